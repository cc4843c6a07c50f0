"""What follows from how an attempt ended: a pure decision."""

from dataclasses import field
from typing import Any

from palyra.core.values import value
from palyra.core.windows import HOUR_MS
from palyra.journal.job_rows import FireRow, FireState, JobRow
from palyra.providers.errors import ErrorClass

RETRIED = frozenset(
    {
        ErrorClass.RATE_LIMITED.value,
        ErrorClass.TRANSIENT_UPSTREAM.value,
        ErrorClass.NETWORK_UNAVAILABLE.value,
        ErrorClass.PROVIDER_TIMEOUT.value,
        ErrorClass.MALFORMED_RESPONSE.value,
        "run_timeout",
        "interrupted",
        "internal_error",
        "journal_unavailable",
    }
)
DEFERRED, DEFERRED_MS = "deferred", 5_000
SELF_HEALING, STALLED = "self_healing", "stalled"
ENGINE_STOPPING = "engine_stopping"
BY_OPERATOR = "by_operator"
LONGEST_BACKOFF_MS = HOUR_MS


@value
class AttemptEnd:
    """How an attempt ended: `state` and `reason` as a run's. `detail` are numbers of what was done, `changed` whether
    anything was. Cost in nano-dollars, None where nobody knows it."""

    state: str
    reason: str = ""
    message: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = 0
    detail: dict[str, Any] = field(default_factory=dict)
    changed: bool = True


@value
class Verdict:
    """What the fire becomes; `counted` False where the attempt is not one of those it may have."""

    state: FireState
    reason: str = ""
    retry_at: int | None = None
    counted: bool = True


def backoff_ms(base: int, attempt: int) -> int:
    """How long to wait after the attempt of that number, from 1."""
    return min(base << min(attempt - 1, 32), LONGEST_BACKOFF_MS)


def after_attempt(job: JobRow, fire: FireRow, end: AttemptEnd, now: int) -> Verdict:
    """`fire.attempts` counts the one that has ended."""
    match end.state:
        case "completed":
            return Verdict(FireState.COMPLETED, end.reason)
        case "refused":
            return Verdict(FireState.DENIED, end.reason)
        case "cancelled" if end.reason == ENGINE_STOPPING:
            return Verdict(FireState.PENDING, ENGINE_STOPPING, counted=False)
        case "cancelled" if end.reason == SELF_HEALING:
            return _again(job, fire, SELF_HEALING, STALLED, now)
        case "cancelled":
            return Verdict(FireState.CANCELLED, end.reason)
    if end.reason == DEFERRED:
        since = now if fire.dispatched_at is None else fire.dispatched_at
        if now + DEFERRED_MS - since <= job.max_duration:
            return Verdict(FireState.BACKOFF, DEFERRED, now + DEFERRED_MS, counted=False)
        return Verdict(FireState.FAILED, DEFERRED)
    if end.reason in RETRIED:
        return _again(job, fire, end.reason, end.reason, now)
    return Verdict(FireState.FAILED, end.reason)


def _again(job: JobRow, fire: FireRow, reason: str, exhausted: str, now: int) -> Verdict:
    if fire.attempts >= job.max_attempts:
        return Verdict(FireState.FAILED, exhausted)
    return Verdict(FireState.BACKOFF, reason, now + backoff_ms(job.backoff_ms, max(1, fire.attempts)))
