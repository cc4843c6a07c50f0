"""Carrying out what operators ask for about incidents: each one judged alone, and told how it came out."""

from collections.abc import Callable
from typing import assert_never

from palyra.config.operations import HealingMode
from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentCommand,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
from palyra.control.snapshots import PARTLY_REFUSED, CommandResult
from palyra.core.durations import format_duration
from palyra.core.errors import BadInputError, ConflictError, JournalUnavailableError, NotFoundError, PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.healing.features import ENGINE, Feature
from palyra.healing.record import IncidentRecord
from palyra.healing.remedies import BY_NAME, Auto
from palyra.journal.changes import AuditAdded

MOST = 1_000
"""Incidents that one command may name."""
ALL = "all"
LATER = "The journal cannot be written now; Palyra keeps trying."

One = Callable[[IncidentRef, int], IncidentRecord]


async def act_on_incident(engine: Engine, command: IncidentCommand, by: Decider) -> CommandResult:
    """Raises PalyraError for what is refused as a whole."""
    acts = engine.healing.acts
    match command:
        case AckIncidents():
            return await _each(
                engine,
                command.incidents,
                by,
                "acknowledged",
                lambda ref, at: acts.acknowledge(ref.incident_id, by.name, at, version=ref.version),
            )
        case AssignIncidents():
            return await _each(
                engine,
                command.incidents,
                by,
                f"assigned to {command.assignee}" if command.assignee else "assigned to nobody",
                lambda ref, at: acts.assign(ref.incident_id, command.assignee, by.name, at, version=ref.version),
            )
        case SnoozeIncidents():
            for_ms = command.duration_seconds * 1000
            return await _each(
                engine,
                command.incidents,
                by,
                f"snoozed for {format_duration(for_ms)}" if for_ms else "woken",
                lambda ref, at: acts.snooze(ref.incident_id, for_ms, command.reason, by.name, at, version=ref.version),
            )
        case NoteIncident():
            return await _each(
                engine,
                (command.incident,),
                by,
                "noted",
                lambda ref, at: acts.note(ref.incident_id, command.text, by.name, at, version=ref.version),
            )
        case ResolveIncidents():
            return await _each(
                engine,
                command.incidents,
                by,
                "resolved",
                lambda ref, at: acts.resolve(ref.incident_id, by.name, at, force=command.force, version=ref.version),
            )
        case RunRemedy():
            return await _remedy(engine, command, by)
        case SetHealingMode():
            return await _mode(engine, command, by)
        case _:
            assert_never(command)


async def _each(engine: Engine, refs: tuple[IncidentRef, ...], by: Decider, verb: str, one: One) -> CommandResult:
    if not 1 <= len(refs) <= MOST:
        raise BadInputError(f"{plural(len(refs), 'incident')} cannot be acted on at once.", fix=f"Name 1 to {MOST:,}.")
    now = engine.clock.now_ms()
    done: list[IncidentRecord] = []
    refused: list[PalyraError] = []
    for ref in refs:
        try:
            done.append(one(ref, now))
        except PalyraError as error:
            if len(refs) == 1:
                raise
            refused.append(error)
    fix = await _keep(engine, [_audit(now, record, verb, by) for record in done])
    ids = ",".join(record.incident_id for record in done)
    if len(refs) == 1:
        record = done[0]
        data = {"incident_id": record.incident_id, "version": str(record.version), "state": record.state.value}
        return CommandResult("accepted", f"{verb[:1].upper()}{verb[1:]}: {record.summary}.", fix, data=data)
    text = f"{plural(len(done), 'incident')} {verb}"
    if not refused:
        return CommandResult("accepted", f"{text}.", fix, data={"done": ids})
    lines = [f"{text}, {len(refused)} refused.", *(safe(error.message) for error in refused)]
    status = "conflict" if any(isinstance(error, ConflictError) for error in refused) else "invalid"
    if all(isinstance(error, NotFoundError) for error in refused):
        status = "not_found"
    return CommandResult(status, "\n".join(lines), fix, data={"done": ids}, code=PARTLY_REFUSED)


async def _remedy(engine: Engine, command: RunRemedy, by: Decider) -> CommandResult:
    """What needs somebody's word is asked for; the word begins it."""
    healing, ref, now = engine.healing, command.incident, engine.clock.now_ms()
    record = healing.book.get(ref.incident_id)
    name = command.remedy or next((remedy.name for remedy in healing.remedier.offered(record)), "")
    if not name:
        raise NotFoundError(f"There is no remedy for incident {record.incident_id}.")
    if name in BY_NAME and BY_NAME[name].auto is Auto.APPROVAL:
        approval_id = healing.remedier.ask(record.incident_id, name, by.name, now, version=ref.version)
        fix = await _keep(engine, [_audit(now, record, f"asked for {name}", by)])
        data = {"incident_id": record.incident_id, "remedy": name, "approval_id": approval_id}
        return CommandResult("accepted", f"{name} needs an allow: approval {approval_id} is open.", fix, data=data)
    begun = healing.remedier.run(record.incident_id, name, by.name, now, version=ref.version)
    fix = await _keep(engine, [_audit(now, record, f"ran {name}", by)])
    many = f" on {plural(len(begun), 'incident')}" if len(begun) > 1 else ""
    data = {"incident_id": record.incident_id, "remedy": name, "attempts": ",".join(one.attempt_id for one in begun)}
    return CommandResult("accepted", f"{name} has begun{many}; it is verified next.", fix, data=data)


async def _mode(engine: Engine, command: SetHealingMode, by: Decider) -> CommandResult:
    known = [*(feature.value for feature in Feature), ENGINE]
    if command.feature not in (*known, ALL):
        raise BadInputError(f"{command.feature!r} is no feature.", fix=f"Choose one of {', '.join([*known, ALL])}.")
    try:
        mode = HealingMode(command.mode)
    except ValueError:
        names = ", ".join(one.value for one in HealingMode)
        raise BadInputError(f"{command.mode!r} is no mode.", fix=f"Choose one of {names}.") from None
    features = known if command.feature == ALL else [command.feature]
    before = {feature: engine.healing.modes.say(feature, mode).value for feature in features}
    payload = {"verb": "healing_mode", "mode": mode.value, "before": before, "attestation": by.attestation}
    fix = await _keep(engine, [AuditAdded(engine.clock.now_ms(), "engine", command.feature, by.name, payload)])
    data = {"feature": command.feature, "mode": mode.value}
    text = f"Healing of {command.feature} is {mode.value} until the engine stops."
    return CommandResult("accepted", text, fix, data=data)


def _audit(at: int, record: IncidentRecord, verb: str, by: Decider) -> AuditAdded:
    payload = {"verb": verb, "key": record.key, "episode": record.episode, "attestation": by.attestation}
    return AuditAdded(at, "incident", record.incident_id, by.name, payload)


async def _keep(engine: Engine, audits: list[AuditAdded]) -> str:
    """Makes it durable; what to tell where that takes longer."""
    engine.healing.settle()
    try:
        await engine.write_and_wait(audits)
    except JournalUnavailableError:
        return LATER
    return ""
