"""Ending attempts and runs: each hold ends once, each keeper hears of it, and what was used goes into the run's row."""

from collections.abc import Callable

from palyra.core.clock import Clock
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Change, RunNoted
from palyra.providers.ways import AttemptEnd
from palyra.runs.attempt import Attempt, usage_change
from palyra.runs.dispatch import Delivered
from palyra.runs.experience import Experience
from palyra.runs.live import LiveRun, LiveRuns
from palyra.runs.states import Phase, RunState
from palyra.runs.trail import Traced

MESSAGE_LIMIT = 512
"""Characters that are kept of what went wrong."""


class Closing:
    """Moves memory; what it returns is to be made durable in the same step. `traced` hears of every attempt."""

    def __init__(
        self, ledger: Ledger, live: LiveRuns, experience: Experience, clock: Clock, traced: Callable[[Traced], None]
    ) -> None:
        self._ledger = ledger
        self._live = live
        self._experience = experience
        self._clock = clock
        self._traced = traced

    def attempt(self, run: LiveRun, attempt: Attempt, delivered: Delivered, *, last: bool = True) -> list[Change]:
        """Ends an attempt. `last`: its dispatch ends with it; otherwise the same model is asked once more."""
        now = self._clock.now_ms()
        changes: list[Change] = []
        charged = delivered.charged
        hold_id = attempt.hold.hold_id
        if charged is None:
            changes.append(self._ledger.release(hold_id, at=now).change)
        else:
            ending = self._ledger.settle(
                hold_id, at=now, usd=charged.usd, tokens=charged.tokens, source=charged.usage_source
            )
            usage = usage_change(attempt, charged, ending.flat, now)
            changes += [ending.change, usage]
            run.spend(usage.row.charge, usage.row.input_total, usage.row.output_total, charged.flags)
            run.usage_source = charged.usage_source
            self._experience.take(attempt, charged, usage.row.latency_ms, ending.change.overrun)
        run.attempt = None
        run.held_usd = 0
        trace = _trace(attempt, delivered, now)
        run.traces.append(trace)
        self._traced(trace)
        if attempt.way is not None:
            attempt.way.end(_end(attempt, delivered, trace, last=last))
        return changes

    def note(self, run: LiveRun) -> Change:
        """A line that tells of the newest attempt that ended; the last one of a run is told with its end."""
        return RunNoted(run.run_id, self._clock.now_ms(), "attempt", dict(run.traces[-1].to_json()))

    def run(self, run: LiveRun, state: RunState, reason: str, message: str = "", **facts: object) -> list[Change]:
        """Ends a run that holds nothing any more."""
        return self._live.move(
            run, state, reason=reason, phase=Phase.SETTLE.value, message=message[:MESSAGE_LIMIT], **run.spent(), **facts
        )


def _trace(attempt: Attempt, delivered: Delivered, now: int) -> Traced:
    error, way = delivered.error, attempt.way
    credential = None if way is None else way.credential
    answered_at = attempt.answered_at
    return Traced(
        number=attempt.hold.attempt,
        hold_id=attempt.hold.hold_id,
        provider=attempt.hold.provider,
        model=attempt.hold.model,
        credential="" if credential is None else credential.id,
        error_class="" if error is None else error.error_class.value,
        status=attempt.status if error is None or error.upstream_status is None else error.upstream_status,
        first_byte_ms=None if answered_at is None else answered_at - attempt.started_at,
        ms=max(0, now - attempt.started_at),
        course=attempt.course.value,
    )


def _end(attempt: Attempt, delivered: Delivered, trace: Traced, *, last: bool) -> AttemptEnd:
    """What keepers hear. An attempt that somebody stopped succeeded as far as it got, if its provider had answered."""
    error = delivered.error
    unknown = error is None and not attempt.answered
    hold = attempt.hold
    return AttemptEnd(
        trace.provider,
        trace.credential,
        error,
        trace.first_byte_ms,
        unknown,
        last,
        trace.model,
        hold.run_id,
        hold.attempt,
    )
