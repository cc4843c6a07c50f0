"""What the end of an attempt's run means for its task, and what is left to be done about tasks of a dead engine."""

from palyra.core.values import value
from palyra.journal.rows import RunRow
from palyra.journal.task_rows import TaskRow, TaskState, Waits
from palyra.providers.errors import ErrorClass
from palyra.runs.background import PromptResult
from palyra.runs.states import ENGINE_STOPPING, SELF_HEALING, RunState
from palyra.tasks.moves import ATTEMPTS_EXHAUSTED, backoff_ms, next_version, unclaim

DEFERRED_MS = 5_000
MAX_INTERRUPTIONS = 3
MAX_ERROR = 512
"""Characters that are kept of what went wrong."""

POISON, STALLED, TIMEOUT, INTERRUPTED, ANSWER_LOST = "poison", "stalled", "timeout", "interrupted", "answer_lost"

RETRYABLE = frozenset(
    {
        ErrorClass.RATE_LIMITED.value,
        ErrorClass.TRANSIENT_UPSTREAM.value,
        ErrorClass.NETWORK_UNAVAILABLE.value,
        ErrorClass.PROVIDER_TIMEOUT.value,
        ErrorClass.MALFORMED_RESPONSE.value,
        "internal_error",
        "journal_unavailable",
    }
)
"""Reasons a run failed for that the next attempt may not meet again."""


@value
class Interrupted:
    """The work ended without saying how: a crash, a worker that is gone, a run that is missing."""


End = PromptResult | Interrupted


def after(row: TaskRow, end: End, now: int) -> TaskRow:
    """The task after its attempt came to that end. `row` is leased."""
    if isinstance(end, Interrupted):
        return _interrupted(row, now)
    row = _counted(row, end)
    match end.state:
        case RunState.COMPLETED.value:
            return next_version(row, now, state=TaskState.COMPLETED, reason="", error="", interruptions=0)
        case RunState.REFUSED.value if end.retry_after_s is None:
            return _failed(row, now, end.reason, end.message)
        case RunState.CANCELLED.value:
            return _cancelled(row, end, now)
    if end.reason == "deferred":
        return _or_cancelled(row, now) or unclaim(row, now, delay_ms=DEFERRED_MS, waits=Waits.PROVIDER_LEASE)
    if end.reason == INTERRUPTED:
        return _interrupted(row, now)
    if end.reason == "run_timeout":
        return _failed(row, now, TIMEOUT, end.message)
    if end.reason in RETRYABLE or end.state == RunState.REFUSED.value:
        told = f"{end.reason}: {end.message}" if end.message else end.reason
        return _again(row, now, ATTEMPTS_EXHAUSTED, told, retry_after_s=end.retry_after_s)
    return _failed(row, now, end.reason, end.message)


def from_run(run: RunRow) -> PromptResult:
    """How a run ended, as the journal knows it: its answer is lost."""
    return PromptResult(
        run_id=run.run_id,
        state=run.state,
        reason=run.reason,
        input_tokens=run.input_tokens,
        output_tokens=run.output_tokens,
        cost_usd=run.cost,
        decision_id=run.decision_id,
        message=run.message,
    )


def finalised(row: TaskRow, run: RunRow | None, now: int) -> TaskRow:
    """A leased task of a dead engine, by what became of its run; None is missing or was never made."""
    if run is None or not RunState(run.state).terminal:
        return _or_cancelled(row, now) or _interrupted(row, now)
    ended = after(row, from_run(run), now)
    return next_version(row, now, state=TaskState.COMPLETED, reason=ANSWER_LOST) if _completed(ended) else ended


def unreadable(row: TaskRow, now: int) -> TaskRow:
    """An open task of which the journal has something that nobody can read: it waits for a person, as poisoned ones."""
    return _failed(row, now, POISON, "What the journal has of it cannot be read.", interruptions=row.interruptions)


def sooner(row: TaskRow, now: int) -> TaskRow:
    """A waiting task that was written at a time that has yet to come: it waits from now on, as long as it was to."""
    return next_version(row, now, not_before=now + max(0, row.not_before - row.updated_at))


def _completed(row: TaskRow) -> bool:
    return row.state is TaskState.COMPLETED


def _counted(row: TaskRow, end: PromptResult) -> TaskRow:
    used = row.tokens + end.input_tokens + end.output_tokens
    return next_version(row, row.updated_at, tokens=used, decision_id=end.decision_id)


def _cancelled(row: TaskRow, end: PromptResult, now: int) -> TaskRow:
    if row.state is TaskState.CANCEL_REQUESTED:
        return next_version(row, now, state=TaskState.CANCELLED)
    if end.reason == ENGINE_STOPPING:
        return unclaim(row, now)
    if end.reason == SELF_HEALING:
        return _again(row, now, STALLED, "It got nowhere and was stopped.")
    return next_version(row, now, state=TaskState.CANCELLED, reason=end.reason)


def _interrupted(row: TaskRow, now: int) -> TaskRow:
    in_a_row = row.interruptions + 1
    told = "The work on it ended without saying how."
    if in_a_row >= MAX_INTERRUPTIONS and row.state is TaskState.RUNNING:
        return _failed(row, now, POISON, told, interruptions=in_a_row)
    return _again(row, now, ATTEMPTS_EXHAUSTED, told, interruptions=in_a_row)


def _again(
    row: TaskRow, now: int, exhausted: str, told: str, *, retry_after_s: float | None = None, interruptions: int = 0
) -> TaskRow:
    """Another attempt after a pause, or the end where none is left or none is wanted."""
    stopped = _or_cancelled(row, now)
    if stopped is not None:
        return stopped
    if row.attempt >= row.max_attempts:
        return _failed(row, now, exhausted, told, interruptions=interruptions)
    return next_version(
        row,
        now,
        state=TaskState.QUEUED,
        not_before=now + backoff_ms(row, retry_after_s),
        waits=Waits.BACKOFF,
        error=told[:MAX_ERROR],
        interruptions=interruptions,
    )


def _or_cancelled(row: TaskRow, now: int) -> TaskRow | None:
    """The end of a task that was asked to stop and is not to be tried again."""
    if row.state is not TaskState.CANCEL_REQUESTED:
        return None
    return next_version(row, now, state=TaskState.CANCELLED)


def _failed(row: TaskRow, now: int, reason: str, told: str, *, interruptions: int = 0) -> TaskRow:
    return next_version(
        row, now, state=TaskState.FAILED, reason=reason, error=told[:MAX_ERROR], interruptions=interruptions
    )
