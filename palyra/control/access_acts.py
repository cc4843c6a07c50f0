"""What admins change about who has access: operators, their tokens, keys, features. The audit chain tells of each."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal, TypeVar

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
from palyra.core.instants import LATEST_MS
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AuditAdded
from palyra.vault.access_edits import (
    add_flag,
    add_operator,
    identities_with,
    remove_flag,
    remove_operator,
    revoke_key,
    set_key,
    set_operator,
)
from palyra.vault.identity import account_of
from palyra.vault.records import Operator, RecordError, Role, read_tags

T = TypeVar("T")
UNWRITTEN = "The journal cannot be written now; Palyra keeps trying."


async def issue_token(engine: Engine, command: IssueToken, by: Decider) -> CommandResult:
    """Raises ConflictError for a role other than the registered one, BadInputError, StateError."""
    operator = command.operator_id
    role = Role(command.role) if command.role else None
    engine.access.refresh()
    before = {one.operator_id for one in engine.access.operators}
    try:
        token = await asyncio.to_thread(
            engine.access.issue_token, operator, owner=account_of(engine.state_owner), role=role
        )
    except (RecordError, UnicodeEncodeError) as error:
        why = error if isinstance(error, RecordError) else "it is no UTF-8"
        raise BadInputError(
            f"--operator {operator!r}: {why}.", fix="Use a-z 0-9 _ . -, beginning with a letter or digit."
        ) from None
    roles = {one.operator_id: one.role.value for one in engine.access.operators}
    registered = {name: given for name, given in roles.items() if name not in before}
    told: dict[str, object] = {"verb": "token_issued", "role": roles[operator], "registered": registered}
    written = await noted(engine, by, operator, told)
    text = f"{operator} is {roles[operator]} with this token. It is not shown again."
    return CommandResult("accepted", text, written, {"token": token, "role": roles[operator]})


async def set_feature(engine: Engine, command: SetFeature, by: Decider) -> CommandResult:
    """Raises NotFoundError for a feature there is not, StateError."""
    was = await asyncio.to_thread(engine.access.set_flag, command.name, command.on)
    written = await noted(engine, by, command.name, {"verb": "feature_set", "on": command.on, "was": was})
    return CommandResult("accepted", f"{command.name} is {'on' if command.on else 'off'}.", written)


async def act_on_access(engine: Engine, command: AccessCommand, by: Decider) -> CommandResult:
    """Raises BadInputError, ConflictError, NotFoundError, StateError. It holds at once, also for who is at work."""
    now = engine.clock.now_ms()

    async def edit(change: Callable[[dict[str, Any]], T]) -> T:
        return await asyncio.to_thread(engine.access.edit, change)

    data: dict[str, str] = {}
    match command:
        case AddOperator():
            name, role = command.operator_id, Role(command.role)
            operator = Operator(name, command.name or name, role, command.identities, True, None, now)
            owner = account_of(engine.state_owner)
            added = await edit(lambda document: add_operator(document, operator, owner=owner, now_ms=now))
            told: dict[str, object] = {"verb": "operator_added", "role": role.value, "registered": added}
            text = f"{name} is registered as {role}."
            if others := [one for one in added if one != name]:
                text += f" So is {', '.join(others)}, the state's owner, as admin."
        case SetOperator():
            name = command.operator_id
            before, changes = await edit(lambda document: _set_operator(document, command))
            told = {"verb": "operator_set", "before": before, "after": changes}
            text = f"{name} is changed: {', '.join(changes)}."
        case RemoveOperator():
            name = command.operator_id
            await edit(lambda document: remove_operator(document, name))
            told, text = {"verb": "operator_removed"}, f"{name} is removed."
        case AddKey():
            name = command.key_id
            data["token"] = await asyncio.to_thread(_add_key, engine, command)
            told = {"verb": "key_added", "principal": command.principal}
            text = f"{name} speaks for {command.principal} with this key. It is not shown again."
        case SetKey():
            name, fields = command.key_id, _key_changes(command)
            before = await edit(lambda document: set_key(document, name, fields))
            told = {"verb": "key_set", "before": before, "after": fields}
            text = f"{name} is changed: {', '.join(fields)}."
        case RevokeKey():
            name = command.key_id
            await edit(lambda document: revoke_key(document, name, now))
            told, text = {"verb": "key_revoked"}, f"{name} is revoked."
        case AddFlag():
            name = command.name
            await edit(lambda document: add_flag(document, name))
            told, text = {"verb": "feature_added"}, f"{name} is off."
        case RemoveFlag():
            name = command.name
            await edit(lambda document: remove_flag(document, name))
            told, text = {"verb": "feature_removed"}, f"{name} is taken out of the registry, so it is off."
    return CommandResult("accepted", text, await noted(engine, by, name, told), data)


def _set_operator(document: dict[str, Any], command: SetOperator) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was and what is."""
    asked = {"role": command.role, "name": command.name, "enabled": command.enabled}
    changes: dict[str, Any] = {name: given for name, given in asked.items() if given is not None}
    if command.add_identities or command.remove_identities:
        changes["identities"] = identities_with(
            document, command.operator_id, command.add_identities, command.remove_identities
        )
    if not changes:
        raise BadInputError("Nothing is to be changed.", fix="Name what: a role, a name, an identity, on or off.")
    return set_operator(document, command.operator_id, changes), changes


def _add_key(engine: Engine, command: AddKey) -> str:
    _check_end(command.expires_at)
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
    _check_end(command.expires_at)
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


def _check_end(expires_at: int | None) -> None:
    """Raises BadInputError for an end of a key that no calendar has, so that nobody could be told of it."""
    if expires_at is not None and not 0 <= expires_at <= LATEST_MS:
        raise BadInputError("A key ends within the years 1970 to 9999.", fix="Choose another time, or none.")


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
