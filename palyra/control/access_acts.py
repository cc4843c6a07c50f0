"""What admins change about who has access: operators, their tokens, keys, features. The audit chain tells of each."""

import os
from typing import Any, Literal

from palyra.control.access_commands import (
    AccessCommand,
    AddFlag,
    AddKey,
    AddOperator,
    RemoveFlag,
    RemoveOperator,
    RevokeKey,
    SetKey,
    SetOperator,
)
from palyra.control.commands import IssueToken, SetFeature
from palyra.control.snapshots import CommandResult
from palyra.core.errors import BadInputError, JournalUnavailableError
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AuditAdded
from palyra.vault.access_edits import (
    add_flag,
    add_operator,
    remove_flag,
    remove_operator,
    revoke_key,
    set_key,
    set_operator,
)
from palyra.vault.identity import account_of
from palyra.vault.records import Operator, RecordError, Role, read_tags

UNWRITTEN = "The journal cannot be written now; Palyra keeps trying."


async def issue_token(engine: Engine, command: IssueToken, by: Decider) -> CommandResult:
    """Raises ConflictError for a role other than the registered one, BadInputError, StateError."""
    operator = command.operator_id
    before = {one.operator_id for one in engine.access.operators}
    try:
        token = engine.access.issue_token(
            operator, owner=account_of(os.geteuid()), role=Role(command.role) if command.role else None
        )
    except RecordError as error:
        raise BadInputError(
            f"--operator {operator!r}: {error}.", fix="Use a-z 0-9 _ . -, beginning with a letter or digit."
        ) from None
    roles = {one.operator_id: one.role for one in engine.access.operators}
    registered = {name: role.value for name, role in roles.items() if name not in before}
    role = roles[operator]
    written = await noted(engine, by, operator, {"verb": "token_issued", "role": role.value, "registered": registered})
    text = f"{operator} is {role} with this token. It is not shown again."
    return CommandResult("accepted", text, written, {"token": token, "role": role.value})


async def set_feature(engine: Engine, command: SetFeature, by: Decider) -> CommandResult:
    """Raises NotFoundError for a feature there is not, StateError."""
    was = engine.access.flag(command.name)
    engine.access.set_flag(command.name, command.on)
    written = await noted(engine, by, command.name, {"verb": "feature_set", "on": command.on, "was": was})
    return CommandResult("accepted", f"{command.name} is {'on' if command.on else 'off'}.", written)


async def act_on_access(engine: Engine, command: AccessCommand, by: Decider) -> CommandResult:
    """Raises BadInputError, ConflictError, NotFoundError, StateError. It holds at once, also for who is at work."""
    registry, now = engine.access, engine.clock.now_ms()
    data: dict[str, str] = {}
    match command:
        case AddOperator():
            name, role = command.operator_id, Role(command.role)
            operator = Operator(name, command.name or name, role, command.identities, True, None, now)
            owner = account_of(engine.state_owner)
            added = registry.edit(lambda document: add_operator(document, operator, owner=owner, now_ms=now))
            told: dict[str, object] = {"verb": "operator_added", "role": role.value, "registered": added}
            text = f"{name} is registered as {role}."
            if others := [one for one in added if one != name]:
                text += f" So is {', '.join(others)}, the state's owner, as admin."
        case SetOperator():
            name = command.operator_id
            changes = _operator_changes(engine, command)
            before = registry.edit(lambda document: set_operator(document, name, changes))
            told = {"verb": "operator_set", "before": before, "after": changes}
            text = f"{name} is changed: {', '.join(changes)}."
        case RemoveOperator():
            name = command.operator_id
            registry.edit(lambda document: remove_operator(document, name))
            told, text = {"verb": "operator_removed"}, f"{name} is removed."
        case AddKey():
            name = command.key_id
            data["token"] = _add_key(engine, command)
            told = {"verb": "key_added", "principal": command.principal}
            text = f"{name} speaks for {command.principal} with this key. It is not shown again."
        case SetKey():
            name, fields = command.key_id, _key_changes(command)
            before = registry.edit(lambda document: set_key(document, name, fields))
            told = {"verb": "key_set", "before": before, "after": fields}
            text = f"{name} is changed: {', '.join(fields)}."
        case RevokeKey():
            name = command.key_id
            registry.edit(lambda document: revoke_key(document, name, now))
            told, text = {"verb": "key_revoked"}, f"{name} is revoked."
        case AddFlag():
            name = command.name
            registry.edit(lambda document: add_flag(document, name))
            told, text = {"verb": "feature_added"}, f"{name} is off."
        case RemoveFlag():
            name = command.name
            registry.edit(lambda document: remove_flag(document, name))
            told, text = {"verb": "feature_removed"}, f"{name} is taken out of the registry, so it is off."
    return CommandResult("accepted", text, await noted(engine, by, name, told), data)


def _operator_changes(engine: Engine, command: SetOperator) -> dict[str, Any]:
    found = next((one for one in engine.access.operators if one.operator_id == command.operator_id), None)
    asked = {"role": command.role, "name": command.name, "enabled": command.enabled}
    changes: dict[str, Any] = {name: given for name, given in asked.items() if given is not None}
    if command.add_identities or command.remove_identities:
        held = [] if found is None else list(found.identities)
        kept = [one for one in held if one not in command.remove_identities]
        changes["identities"] = [*kept, *(one for one in command.add_identities if one not in kept)]
    if not changes:
        raise BadInputError("Nothing is to be changed.", fix="Name what: a role, a name, an identity, on or off.")
    return changes


def _add_key(engine: Engine, command: AddKey) -> str:
    try:
        return engine.access.add_key(
            command.key_id,
            command.principal,
            name=command.name or command.key_id,
            channel=command.channel,
            agent=command.agent,
            tags=read_tags(list(command.tags)),
            allowed_models=command.allowed_models,
            may_act_for=command.may_act_for,
            may_set_mode=command.may_set_mode,
            expires_at=command.expires_at,
        )
    except (ValueError, TypeError) as error:
        why = str(error) or "a tag is not written as name=value"
        raise BadInputError(f"The key cannot be made: {why}.") from None


def _key_changes(command: SetKey) -> dict[str, Any]:
    """As the registry stores them."""
    changes: dict[str, Any] = {}
    for name in ("name", "principal", "enabled", "may_set_mode", "expires_at"):
        if (given := getattr(command, name)) is not None:
            changes[name] = given
    for name in ("channel", "agent"):
        if (given := getattr(command, name)) is not None:
            changes[name] = given or None
    for name in ("tags", "allowed_models", "may_act_for"):
        if (given := getattr(command, name)) is not None:
            changes[name] = list(given)
    if command.never_expires:
        changes["expires_at"] = None
    if not changes:
        raise BadInputError("Nothing is to be changed.", fix="Name what: a principal, models, tags, on or off.")
    return changes


async def noted(
    engine: Engine, by: Decider, subject: str, what: dict[str, object], kind: Literal["access", "vault"] = "access"
) -> str:
    """Writes down who did what; what to tell of it where that has to wait, else nothing."""
    row = AuditAdded(engine.clock.now_ms(), kind, subject, by.name, what)
    try:
        await engine.write_and_wait([row])
    except JournalUnavailableError:
        return UNWRITTEN
    return ""
