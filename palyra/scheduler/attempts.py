"""An attempt's way: begun, and ended by what it came to. Memory moves at once; the changes make it durable."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from palyra.core.redact import redact
from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.job_rows import JOB_ATTEMPTS, JOB_FIRES, AttemptRow, FireRow, FireState, JobState
from palyra.scheduler.lane import Lane
from palyra.scheduler.retrying import AttemptEnd, Verdict, after_attempt
from palyra.scheduler.roster import MAX_RUNS, Roster

MESSAGE_MOST = 512
UNREADABLE, UNREADABLE_FIRE = "unreadable", "what the journal has of a fire cannot be read"
FAILING = 5
"""So many failed fires in a row are an incident."""


@value
class Ended:
    """An attempt's end: what to write, and what the rule for retries said."""

    changes: Sequence[Change]
    verdict: Verdict


def begin(roster: Roster, lane: Lane, attempt: AttemptRow, held_until: int | None) -> list[Change]:
    """The first fire of the lane starts an attempt. Its first one counts as a run of the job."""
    fire, now = lane.fires[0], attempt.started_at
    lateness = fire.lateness_ms
    if fire.dispatched_at is None:
        lateness = max(0, now - max(fire.release_at, held_until or 0))
    first = fire.dispatched_at is None
    _, saved = roster.put(
        lane,
        fire,
        state=FireState.RUNNING,
        reason="",
        boot_id=attempt.boot_id,
        dispatched_at=now if first else fire.dispatched_at,
        held_until=fire.held_until if held_until is None else held_until,
        lateness_ms=lateness,
        retry_at=None,
        attempts=fire.attempts + 1,
        tries=attempt.number,
        work_ids=(*fire.work_ids, attempt.attempt_id),
    )
    unit = [saved, JOB_ATTEMPTS.saved(attempt)]
    if first:
        unit += _started(roster, lane, now)
    return unit


def _started(roster: Roster, lane: Lane, now: int) -> list[Change]:
    job, fired = lane.job, lane.job.fired + 1
    if job.max_runs is None or fired < job.max_runs or job.state is not JobState.ACTIVE:
        return [roster.save(lane, fired=fired)]
    waiting = [fire for fire in lane.waiting if fire.state is FireState.PENDING and not fire.by_hand]
    unit = [roster.skip(lane, fire, MAX_RUNS, now) for fire in waiting]
    exhausted = {"state": JobState.EXHAUSTED, "why": MAX_RUNS, "state_by": "", "state_at": now}
    return [*unit, roster.save(lane, fired=fired, next_slot=None, release_at=None, **exhausted)]


def end(roster: Roster, lane: Lane, attempt: AttemptRow, came_to: AttemptEnd, now: int, pause_after: int) -> Ended:
    """What its fire and its job become. `pause_after` failed fires in a row pause the job, 0 never does."""
    fire = next(one for one in lane.fires if one.fire_id == attempt.fire_id)
    if fire.tries < attempt.number:
        # It ended before it could be begun: it is an attempt all the same.
        fire = lane.put(replace(fire, attempts=fire.attempts + 1, tries=attempt.number))
    verdict = after_attempt(lane.job, fire, came_to, now)
    if verdict.state is FireState.BACKOFF and lane.replaced_at is not None:
        verdict = Verdict(FireState.CANCELLED, "replaced")
    message = redact(came_to.message)[:MESSAGE_MOST]
    _, saved = roster.put(
        lane,
        fire,
        state=verdict.state,
        reason=verdict.reason,
        retry_at=verdict.retry_at,
        attempts=fire.attempts - (not verdict.counted),
        **_used(fire, came_to),
        error=message if verdict.state not in (FireState.COMPLETED, FireState.CANCELLED) else "",
        detail=came_to.detail,
        changed=came_to.changed or verdict.state is not FireState.COMPLETED,
        finished_at=now if verdict.state.terminal else None,
    )
    lane.under_way = False
    closed = _closed(attempt, came_to, message, now)
    unit: list[Change] = [JOB_ATTEMPTS.saved(closed), saved]
    if verdict.state is FireState.COMPLETED and lane.job.failures:
        unit.append(roster.save(lane, failures=0))
    elif verdict.state is FireState.FAILED:
        unit.append(roster.save(lane, failures=lane.job.failures + 1))
        if pause_after and lane.job.failures >= pause_after and lane.job.state is JobState.ACTIVE:
            unit += roster.pause(lane, f"{lane.job.failures} fires in a row failed", "palyra", now)
    return Ended(unit, verdict)


def end_alone(attempt: AttemptRow, fire: FireRow | None, came_to: AttemptEnd, now: int) -> list[Change]:
    """An attempt whose fire was ended before it, because its job went; what it used is counted all the same. None for
    a fire that another engine has."""
    unit: list[Change] = [JOB_ATTEMPTS.saved(_closed(attempt, came_to, redact(came_to.message)[:MESSAGE_MOST], now))]
    if fire is not None:
        unit.append(JOB_FIRES.saved(replace(fire, revision=fire.revision + 1, **_used(fire, came_to))))
    return unit


def give_up(roster: Roster, lane: Lane, fire: FireRow, attempt: AttemptRow | None, now: int) -> list[Change]:
    """A fire of which too little is known to go on with it, and its attempt."""
    failed = {"state": FireState.FAILED, "reason": UNREADABLE, "error": UNREADABLE_FIRE, "finished_at": now}
    ended = [] if attempt is None else end_alone(attempt, None, AttemptEnd("failed", UNREADABLE, UNREADABLE_FIRE), now)
    return [roster.put(lane, fire, **failed)[1], *ended]


def _used(fire: FireRow, came_to: AttemptEnd) -> dict[str, Any]:
    return {
        "input_tokens": fire.input_tokens + came_to.input_tokens,
        "output_tokens": fire.output_tokens + came_to.output_tokens,
        "cost": None if fire.cost is None or came_to.cost is None else fire.cost + came_to.cost,
    }


def _closed(attempt: AttemptRow, came_to: AttemptEnd, message: str, now: int) -> AttemptRow:
    return replace(attempt, revision=2, state=came_to.state, reason=came_to.reason, message=message, ended_at=now)
