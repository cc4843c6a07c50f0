"""At a start: jobs as the journal has them, the attempts of a dead engine ended or taken up, zone rules looked at."""

from typing import Protocol

from palyra.journal.changes import AuditAdded, Change
from palyra.journal.job_rows import AttemptRow, FireRow, FireState, JobState
from palyra.journal.rows import RunRow
from palyra.runs.states import RunState
from palyra.scheduler import attempts, troubles
from palyra.scheduler.jumps import JUMP_MS
from palyra.scheduler.lane import Lane
from palyra.scheduler.retrying import DEFERRED, DEFERRED_MS, AttemptEnd, backoff_ms
from palyra.scheduler.schedule import ScheduleKind
from palyra.scheduler.scheduler import Scheduler
from palyra.scheduler.zone_changes import rules_version

UNREADABLE = "what the journal has of its action and rules cannot be read"
INTERRUPTED = AttemptEnd("failed", "interrupted", "the engine ended while it ran")


class RunReader(Protocol):
    """Reads what became of a run."""

    async def run(self, run_id: str) -> RunRow | None:
        """The run of that id, if there is one."""
        ...


async def restore(scheduler: Scheduler, runs: RunReader) -> None:
    """Before anything starts; runs of a dead engine have been ended by then. A second pass changes nothing."""
    readers, roster = scheduler.journal.readers, scheduler.roster
    fires: dict[str, list[FireRow]] = {}
    for fire in await readers.open_fires():
        fires.setdefault(fire.job_id, []).append(fire)
    ended = {fire.job_id: fire for fire in await readers.last_ended_fires()}
    open_attempts = {attempt.fire_id: attempt for attempt in await readers.open_attempts()}
    now, unreadable = scheduler.clock.now_ms(), frozenset(await readers.unreadable_jobs())
    broken = frozenset(await readers.unreadable_fires())
    for job in await readers.jobs():
        lane = roster.take_in(job, fires.get(job.job_id, ()))
        lane.last = ended.get(job.job_id)
        lost = [fire for fire in (*lane.fires, lane.review) if fire is not None and fire.fire_id in broken]
        for fire in lost:
            given_up = attempts.give_up(roster, lane, fire, open_attempts.get(fire.fire_id), now)
            scheduler.write(job.job_id, given_up)
        head = lane.head
        if head is not None and head.state is FireState.RUNNING:
            await _take_up(scheduler, lane, head, open_attempts.get(head.fire_id), runs)
        if lost or job.job_id in unreadable:
            why = attempts.UNREADABLE_FIRE if lost else UNREADABLE
            scheduler.write(job.job_id, [roster.fault(lane, why, now)])
        _wait_no_longer(scheduler, lane, now)
        _look_at_slots(scheduler, lane, now)
        scheduler.consider(lane)
        if lane.review is not None:
            scheduler.tell(troubles.needs_review(lane.job))
        if lane.job.state is JobState.FAULTED:
            scheduler.tell(troubles.faulted(lane.job))
        if lane.job.failures >= attempts.FAILING:
            scheduler.tell(troubles.failing(lane.job))


async def _take_up(
    scheduler: Scheduler, lane: Lane, fire: FireRow, attempt: AttemptRow | None, runs: RunReader
) -> None:
    now = scheduler.clock.now_ms()
    if attempt is None:
        attempt = AttemptRow(f"{fire.fire_id}:{fire.tries}", 1, fire.fire_id, fire.tries, fire.boot_id, now)
    elif lane.job.outlives:
        scheduler.adopt(lane, fire, attempt)
        return
    run = await runs.run(attempt.attempt_id)
    came_to = INTERRUPTED
    if run is not None and RunState(run.state).terminal:
        came_to = AttemptEnd(run.state, run.reason, run.message, run.input_tokens, run.output_tokens, run.cost)
    ended = attempts.end(scheduler.roster, lane, attempt, came_to, now, scheduler.settings.pause_after)
    scheduler.write(lane.job.job_id, ended.changes)


def _wait_no_longer(scheduler: Scheduler, lane: Lane, now: int) -> None:
    """The wait of a fire is over after its back-off at the latest, also where the clock was set back meanwhile."""
    head = lane.head
    if head is None or head.state is not FireState.BACKOFF or head.retry_at is None:
        return
    longest = DEFERRED_MS if head.reason == DEFERRED else backoff_ms(lane.job.backoff_ms, max(1, head.attempts))
    if head.retry_at > now + longest:
        scheduler.write(lane.job.job_id, [scheduler.roster.put(lane, head, retry_at=now + longest)[1]])


def _look_at_slots(scheduler: Scheduler, lane: Lane, now: int) -> None:
    """Slots that newer zone rules move, and intervals whose next slot is further away than one interval."""
    job, roster = lane.job, scheduler.roster
    if job.state is not JobState.ACTIVE or job.next_slot is None:
        return
    unit: list[Change] = []
    try:
        if job.schedule == ScheduleKind.EVERY:
            if job.planned_after - now > JUMP_MS:
                # It was planned at a time that has yet to come: the clock went back.
                unit.append(roster.plan_from(lane, now, anchor=now))
        elif job.zone_rules != rules_version():
            slots = roster.slot_after(job, job.planned_after)
            unit.append(roster.save(lane, **slots))
            if slots["next_slot"] != job.next_slot:
                told = {"verb": "slot_moved", "from": job.next_slot, "to": slots["next_slot"], "rules": rules_version()}
                unit.append(AuditAdded(now, "job", job.job_id, "palyra", told))
    except ValueError as error:
        unit = [roster.fault(lane, str(error), now)]
    if unit:
        scheduler.write(job.job_id, unit)
