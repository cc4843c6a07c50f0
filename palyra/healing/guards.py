"""Whether a remedy may be begun by itself now: attempts, back-off, circuit. Pure; instants are UTC unix ms."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from palyra.core.values import value
from palyra.healing.record import Attempt, AttemptStatus
from palyra.healing.remedies import Auto, Remedy

TRIES_MOST = 3
"""Per remedy and episode, and per subject within `SUBJECT_WITHIN_MS`."""
SUBJECT_WITHIN_MS = 10 * 60_000
BACK_OFF_MS = 30_000
BACK_OFF_MOST_MS = 10 * 60_000
CIRCUIT_TRIES = 10
"""Further automatic attempts of one feature within `CIRCUIT_WITHIN_MS` open its circuit for `CIRCUIT_OPEN_MS`."""
CIRCUIT_WITHIN_MS = 10 * 60_000
CIRCUIT_OPEN_MS = 10 * 60_000


class Outcome(StrEnum):
    """`over`: nothing more in this episode. `capped` and `circuit` are for people to hear of."""

    GO = "go"
    WAIT = "wait"
    OVER = "over"
    CAPPED = "capped"
    CIRCUIT = "circuit"


@value
class Guarded:
    """`at`: when to look again, for `wait`."""

    outcome: Outcome
    at: int = 0


@value
class Tried:
    """What was tried so far. `episode`: of this remedy in this episode; `subject`: automatic ones of any remedy on the
    same subject; `feature`: when automatic ones of the feature were planned; `circuit_until`: 0 where it is closed."""

    episode: Sequence[Attempt]
    subject: Sequence[Attempt]
    feature: Iterable[int]
    circuit_until: int = 0


def guarded(remedy: Remedy, tried: Tried, now: int) -> Guarded:
    """For a remedy that is begun by itself."""
    tries = [one for one in tried.episode if one.status is not AttemptStatus.SKIPPED]
    if any(not one.status.ended for one in tries):
        return Guarded(Outcome.OVER)
    if remedy.auto is Auto.ONCE and tries:
        return Guarded(Outcome.OVER)
    lately = [one for one in tried.subject if _counts(one) and now - one.planned_at < SUBJECT_WITHIN_MS]
    if len(tries) >= TRIES_MOST or len(lately) >= TRIES_MOST:
        return Guarded(Outcome.CAPPED)
    if tries and now < (again := tries[-1].planned_at + back_off(len(tries))):
        return Guarded(Outcome.WAIT, again)
    if now < tried.circuit_until:
        return Guarded(Outcome.WAIT, tried.circuit_until)
    if sum(now - planned < CIRCUIT_WITHIN_MS for planned in tried.feature) >= CIRCUIT_TRIES:
        return Guarded(Outcome.CIRCUIT, now + CIRCUIT_OPEN_MS)
    return Guarded(Outcome.GO)


def back_off(tries: int) -> int:
    """How long after the beginning of the last of so many tries the next may begin."""
    return int(min(BACK_OFF_MS * 2 ** (tries - 1), BACK_OFF_MOST_MS))


def _counts(attempt: Attempt) -> bool:
    return attempt.status is not AttemptStatus.SKIPPED
