"""What may become of a task: each move a function of its row and a time. Any other move is refused with the state.

A move gives the next version of the row; nothing else writes one. Instants are UTC unix ms.
"""

import hashlib
from typing import Any

from palyra.core.errors import BadInputError, ConflictError
from palyra.core.values import altered
from palyra.journal.task_rows import TaskRow, TaskState, Waits

LEASE_MS = 30_000
RENEW_S = 10.0
LONGEST_BACKOFF_MS = 300_000
LONGEST_ASKED_MS = 3_600_000
"""A provider that asks to wait longer than this is asked again all the same: some name a date far away."""
JITTER_PERCENT = 20
PRIORITIES = (-10, 10)
RETRIED = (TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED)

ATTEMPTS_EXHAUSTED, EXPIRED, PARENT_CANCELLED, BY_OPERATOR = (
    "attempts_exhausted",
    "expired",
    "parent_cancelled",
    "by_operator",
)


class WrongStateError(ConflictError):
    """A verb does not apply to a task in its state; `row` is the task as it stands."""

    code = "wrong_state"

    def __init__(self, row: TaskRow, verb: str, *states: TaskState) -> None:
        rule = f"{verb} does not apply" if row.state.terminal else f"{verb} applies to {_either(states)}"
        super().__init__(f"task {row.task_id} is {row.state.value}; {rule}")
        self.row = row


def _either(states: tuple[TaskState, ...]) -> str:
    names = [state.value for state in states]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def next_version(row: TaskRow, now: int, **changes: Any) -> TaskRow:
    """The row's next version, written at `now` (UTC unix ms); one that is not leased has no lease, one that has ended
    has an end."""
    state: TaskState = changes.get("state", row.state)
    if not state.leased:
        changes = {"boot_id": "", "worker_id": "", "lease_until": None, **changes}
    if state.terminal:
        changes.setdefault("finished_at", now)
    return altered(row, {"version": row.version + 1, "updated_at": now, **changes})


def due(row: TaskRow, now: int) -> bool:
    """Whether its time has come."""
    return row.state is TaskState.QUEUED and row.not_before <= now


def must_expire(row: TaskRow, now: int) -> bool:
    """Only what never started expires, and what an operator holds does not."""
    return (
        row.state is TaskState.QUEUED
        and row.started_at is None
        and row.expires_at is not None
        and row.expires_at <= now
    )


def claimable(row: TaskRow, now: int) -> bool:
    """Whether a worker may take it at `now` (UTC unix ms): due, not expired, an attempt left."""
    return due(row, now) and not must_expire(row, now) and row.attempt < row.max_attempts


# The queue's own moves


def claim(row: TaskRow, now: int, boot_id: str, worker_id: str) -> TaskRow:
    """A worker takes it. Raises WrongStateError unless it may be taken."""
    if not claimable(row, now):
        raise WrongStateError(row, "claim", TaskState.QUEUED)
    return next_version(
        row,
        now,
        state=TaskState.RUNNING,
        attempt=row.attempt + 1,
        fence=row.fence + 1,
        boot_id=boot_id,
        worker_id=worker_id,
        lease_until=now + LEASE_MS,
        started_at=now if row.started_at is None else row.started_at,
        waits=Waits.ASKED,
        target_run_id="",
        tokens=0,
        reason="",
        error="",
        decision_id="",
    )


def renew(row: TaskRow, now: int) -> TaskRow:
    """Its worker is still there: the lease lasts LEASE_MS from `now` (UTC unix ms). Raises WrongStateError."""
    _leased(row, "renewal")
    return next_version(row, now, lease_until=now + LEASE_MS)


def begin(row: TaskRow, now: int, run_id: str) -> TaskRow:
    """Its attempt has a run. Raises WrongStateError unless it is leased."""
    _leased(row, "a run")
    return next_version(row, now, target_run_id=run_id)


def expire(row: TaskRow, now: int) -> TaskRow:
    """Ends a task that nobody began in time. Raises WrongStateError."""
    if not must_expire(row, now):
        raise WrongStateError(row, "expiry", TaskState.QUEUED)
    return next_version(row, now, state=TaskState.EXPIRED, reason=EXPIRED)


def confirm_cancel(row: TaskRow, now: int, *, over_its_head: bool = False) -> TaskRow:
    """Its work has stopped; `over_its_head`: its worker did not say so, and whatever it says later is too late.

    Raises WrongStateError unless it was asked to stop."""
    if row.state is not TaskState.CANCEL_REQUESTED:
        raise WrongStateError(row, "this", TaskState.CANCEL_REQUESTED)
    return next_version(row, now, state=TaskState.CANCELLED, fence=row.fence + (1 if over_its_head else 0))


def unclaim(row: TaskRow, now: int, *, delay_ms: int = 0, waits: Waits = Waits.ASKED) -> TaskRow:
    """Its attempt was none and does not count: back into the queue, for at least `delay_ms`. Raises WrongStateError."""
    _leased(row, "giving back")
    return next_version(
        row,
        now,
        state=TaskState.QUEUED,
        attempt=max(0, row.attempt - 1),
        not_before=max(row.not_before, now + delay_ms) if delay_ms else row.not_before,
        waits=waits,
    )


def _leased(row: TaskRow, verb: str) -> None:
    if not row.state.leased:
        raise WrongStateError(row, verb, TaskState.RUNNING, TaskState.CANCEL_REQUESTED)


def backoff_ms(row: TaskRow, retry_after_s: float | None = None) -> int:
    """How long it waits after its present attempt: doubling up to 5 minutes, plus up to 20 % that are fixed for this
    task and attempt; longer where a provider asked for longer, up to an hour."""
    delay = min(row.backoff_ms << max(0, row.attempt - 1), LONGEST_BACKOFF_MS)
    digest = hashlib.sha256(f"{row.task_id}:{row.attempt}".encode()).digest()
    share = int.from_bytes(digest[:8]) % (delay * JITTER_PERCENT // 100 + 1)
    asked = 0 if retry_after_s is None else min(round(retry_after_s * 1000), LONGEST_ASKED_MS)
    return max(delay + share, asked)


# What operators and parents do


def pause(row: TaskRow, now: int, reason: str) -> TaskRow:
    """Takes a queued task out of the line. Raises WrongStateError."""
    if row.state is not TaskState.QUEUED:
        raise WrongStateError(row, "pause", TaskState.QUEUED)
    return next_version(row, now, state=TaskState.PAUSED, reason=reason)


def resume(row: TaskRow, now: int) -> TaskRow:
    """Puts a paused task back into the line. Raises WrongStateError."""
    if row.state is not TaskState.PAUSED:
        raise WrongStateError(row, "resume", TaskState.PAUSED)
    return next_version(row, now, state=TaskState.QUEUED, reason="")


def cancel(row: TaskRow, now: int, reason: str = BY_OPERATOR) -> TaskRow:
    """Ends it at once where nobody works on it, else asks its worker to stop; asked twice, it stays as it is.

    Raises WrongStateError for one that has ended."""
    match row.state:
        case TaskState.QUEUED | TaskState.PAUSED:
            return next_version(row, now, state=TaskState.CANCELLED, reason=reason)
        case TaskState.RUNNING:
            return next_version(row, now, state=TaskState.CANCEL_REQUESTED, reason=reason)
        case TaskState.CANCEL_REQUESTED:
            return row
    raise WrongStateError(row, "cancel")


def retry(row: TaskRow, now: int, *, keep_expiry: bool = False) -> TaskRow:
    """A fresh start; only the fence goes on. Raises WrongStateError, and BadInputError where the expiry that is to be
    kept has passed."""
    if row.state not in RETRIED:
        raise WrongStateError(row, "retry", *RETRIED)
    if keep_expiry and row.expires_at is not None and row.expires_at <= now:
        raise BadInputError(f"task {row.task_id} would expire at once.", fix="Leave --keep-expiry out.")
    return next_version(
        row,
        now,
        state=TaskState.QUEUED,
        attempt=0,
        interruptions=0,
        reason="",
        error="",
        decision_id="",
        target_run_id="",
        tokens=0,
        started_at=None,
        finished_at=None,
        expires_at=row.expires_at if keep_expiry else None,
        not_before=now,
        waits=Waits.ASKED,
    )


def prioritise(row: TaskRow, now: int, priority: int) -> TaskRow:
    """Another priority for a task that waits. Raises WrongStateError, BadInputError outside of PRIORITIES."""
    _waiting(row, "priority")
    low, high = PRIORITIES
    if not low <= priority <= high:
        raise BadInputError(f"priority {priority} is outside {low} to {high}.", fix=f"Choose one from {low} to {high}.")
    return next_version(row, now, priority=priority)


def edit(row: TaskRow, now: int, **changes: int | None) -> TaskRow:
    """Changes `not_before` or `expires_at` (UTC unix ms), which were checked. Raises WrongStateError."""
    _waiting(row, "edit")
    moved = {"waits": Waits.ASKED} if "not_before" in changes else {}
    return next_version(row, now, **changes, **moved)


def _waiting(row: TaskRow, verb: str) -> None:
    if row.state not in (TaskState.QUEUED, TaskState.PAUSED):
        raise WrongStateError(row, verb, TaskState.QUEUED, TaskState.PAUSED)
