"""Carrying out what operators ask for about jobs."""

from typing import assert_never

from palyra.control.jobs_commands import (
    AddJob,
    CancelFire,
    DeleteJob,
    EditJob,
    JobCommand,
    PauseJob,
    ResetJob,
    ResumeJob,
    ReviewFire,
    TriggerJob,
)
from palyra.control.snapshots import CommandResult
from palyra.core.errors import ConflictError, NotFoundError
from palyra.core.instants import spell_exactly
from palyra.core.plural import plural
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AuditAdded
from palyra.journal.job_rows import FireState, JobRow


async def act_on_job(engine: Engine, command: JobCommand, by: Decider) -> CommandResult:
    """Raises PalyraError for what is refused."""
    acts = engine.jobs.acts
    match command:
        case AddJob():
            return _told(await acts.add(command.fields, by.name), "is added")
        case EditJob():
            return _told(await acts.edit(command.job, command.fields, by.name, version=command.version), "is changed")
        case PauseJob():
            row = await acts.pause(
                command.job, command.reason, by.name, cancel_active=command.cancel_active, version=command.version
            )
            return _told(row, "is paused")
        case ResumeJob():
            return _told(await acts.resume(command.job, by.name, version=command.version), "goes on")
        case ResetJob():
            return _told(await acts.reset(command.job, by.name, version=command.version), "is planned again")
        case DeleteJob():
            await acts.delete(command.job, by.name, version=command.version)
            return CommandResult("accepted", f"Job {command.job} is deleted.")
        case TriggerJob():
            return await _trigger(engine, command, by)
        case CancelFire():
            return _cancel(engine, command, by)
        case ReviewFire():
            fires = await acts.review(command.fire_id, command.decision, by.name)
            text = "The missed slots are skipped."
            if fires:
                text = f"{plural(len(fires), 'fire')} will run for the missed slots."
            return CommandResult("accepted", text, data={"fire_ids": ",".join(fire.fire_id for fire in fires)})
        case _:
            assert_never(command)


def _told(row: JobRow, verb: str) -> CommandResult:
    following = "" if row.next_slot is None else f"; it fires next at {spell_exactly(row.next_slot)}"
    after = f" ({row.state.value})" if row.state.value in ("exhausted", "faulted") else following
    data = {"job_id": row.job_id, "name": row.name, "version": str(row.version), "state": row.state.value}
    if row.next_slot is not None:
        data["next_slot"] = str(row.next_slot)
    return CommandResult("accepted", f"Job {row.name} {verb}{after}.", data=data)


async def _trigger(engine: Engine, command: TriggerJob, by: Decider) -> CommandResult:
    fire = await engine.jobs.acts.trigger(command.job, by.name, key=command.key)
    data = {"fire_id": fire.fire_id, "state": fire.state.value, "reason": fire.reason}
    if fire.state is FireState.SKIPPED:
        return CommandResult("conflict", f"It was skipped: {fire.reason}.", "Wait for the active fire.", data=data)
    lane = engine.jobs.roster.find(command.job)
    name = command.job if lane is None else lane.job.name
    now = "fires now" if fire.state in (FireState.PENDING, FireState.RUNNING) else f"has fired: {fire.state.value}"
    return CommandResult("accepted", f"Job {name} {now} (fire {fire.fire_id}).", data=data)


def _cancel(engine: Engine, command: CancelFire, by: Decider) -> CommandResult:
    lane = engine.jobs.roster.find(command.job)
    if lane is None:
        raise NotFoundError(f"There is no job {command.job!r}.", fix="See `palyra jobs list`.")
    head = lane.head
    if not engine.jobs.scheduler.stop_fire(lane.job.job_id, "by_operator", by.name):
        raise ConflictError(f"Nothing of {lane.job.name} is under way.", code="wrong_state")
    told = {"verb": "fire_cancelled", "name": lane.job.name, "fire_id": "" if head is None else head.fire_id}
    engine.write([AuditAdded(engine.clock.now_ms(), "job", lane.job.job_id, by.name, told)])
    return CommandResult("accepted", f"The fire of {lane.job.name} is being cancelled.")
