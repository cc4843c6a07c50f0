"""What admins change about who has access: operators' tokens, and features. The audit chain tells of each change."""

import os

from palyra.control.commands import IssueToken, SetFeature
from palyra.control.snapshots import CommandResult
from palyra.core.errors import BadInputError, JournalUnavailableError
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AuditAdded
from palyra.vault.identity import account_of
from palyra.vault.records import RecordError, Role

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
    written = await _noted(engine, by, operator, {"verb": "token_issued", "role": role.value, "registered": registered})
    text = f"{operator} is {role} with this token. It is not shown again."
    return CommandResult("accepted", text, written, {"token": token, "role": role.value})


async def set_feature(engine: Engine, command: SetFeature, by: Decider) -> CommandResult:
    """Raises NotFoundError for a feature there is not, StateError."""
    was = engine.access.flag(command.name)
    engine.access.set_flag(command.name, command.on)
    written = await _noted(engine, by, command.name, {"verb": "feature_set", "on": command.on, "was": was})
    return CommandResult("accepted", f"{command.name} is {'on' if command.on else 'off'}.", written)


async def _noted(engine: Engine, by: Decider, subject: str, what: dict[str, object]) -> str:
    """Writes down who did what; what to tell of it where that has to wait, else nothing."""
    row = AuditAdded(engine.clock.now_ms(), "access", subject, by.name, {**what, "attestation": by.attestation})
    try:
        await engine.write_and_wait([row])
    except JournalUnavailableError:
        return UNWRITTEN
    return ""
