"""What becomes of a delivery after a try: pure. It arrived, is tried again after a while, or is given up."""

from collections.abc import Callable
from enum import StrEnum

from palyra.core.values import value

TRIES = 6
"""The first one and five more."""
BACKOFF_S = (1.0, 4.0, 16.0, 64.0, 256.0)
JITTER = 0.2
"""A back-off is longer or shorter by up to this part of it, so that webhooks that failed together are not tried so."""
LONGEST_WAIT_S = 3600.0
"""A webhook that asks for more time than this gets this."""
_AGAIN = frozenset({408, 425, 429})


@value
class Outcome:
    """What came of one try: the answer's status, None where there was none; `error` is empty when it arrived.

    `final`: trying again would bring nothing. `retry_after_s` is what the webhook asked to wait.
    """

    status: int | None = None
    error: str = ""
    final: bool = False
    retry_after_s: float | None = None


class Fate(StrEnum):
    """What becomes of a notice after one try: it arrived, is tried again, or is given up."""

    ARRIVED = "arrived"
    AGAIN = "again"
    DEAD = "dead"


@value
class Verdict:
    """`wait_s` is how long to wait before the next try."""

    fate: Fate
    wait_s: float = 0.0


def answered(status: int, words: str, retry_after_s: float | None) -> Outcome:
    """What an answer means: 2xx arrived; 408, 425, 429 and 5xx may pass; all others, redirects too, will not."""
    if 200 <= status < 300:
        return Outcome(status)
    again = status in _AGAIN or status >= 500
    told = f"answered {status}" + (f": {words}" if words else "")
    if 300 <= status < 400:
        told = f"answered {status}: redirects are not followed, name the address it leads to"
    return Outcome(status, told, final=not again, retry_after_s=retry_after_s if again else None)


def judge(outcome: Outcome, tries: int, uniform: Callable[[float, float], float]) -> Verdict:
    """`tries` counts those that were made, this one too; `uniform(low, high)` gives the jitter."""
    if not outcome.error:
        return Verdict(Fate.ARRIVED)
    if outcome.final or tries >= TRIES:
        return Verdict(Fate.DEAD)
    wait = BACKOFF_S[tries - 1] * uniform(1 - JITTER, 1 + JITTER)
    return Verdict(Fate.AGAIN, max(wait, min(outcome.retry_after_s or 0.0, LONGEST_WAIT_S)))
