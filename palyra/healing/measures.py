"""How quickly trouble is found, taken up and ended: means over episodes, by severity."""

from collections.abc import Iterable
from statistics import fmean

from palyra.core.conditions import Severity
from palyra.core.values import value
from palyra.healing.record import Episode

WINDOWS_MS = {"24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000}


@value
class Measures:
    """Of the episodes that opened within a window; the means in ms, None where there is nothing to take one of.

    `mttd_ms`: from the condition to the opening; `mtta_ms`: from there to the first acknowledgement by a person, of
    those that got one (`unacknowledged` did not); `mttr_ms`: from the opening to the end, of those that ended.
    """

    severity: Severity | None
    episodes: int
    unacknowledged: int
    unresolved: int
    mttd_ms: int | None
    mtta_ms: int | None
    mttr_ms: int | None


def measure(episodes: Iterable[Episode], since: int) -> tuple[Measures, ...]:
    """Of what opened at `since` (unix ms) or later: all together (severity None), then each severity that occurred,
    the strongest first."""
    found = [episode for episode in episodes if episode.opened_at >= since]
    by_severity = [[one for one in found if one.severity is severity] for severity in reversed(Severity)]
    return (_of(None, found), *(_of(some[0].severity, some) for some in by_severity if some))


def _of(severity: Severity | None, episodes: list[Episode]) -> Measures:
    taken = [one.acknowledged_at - one.opened_at for one in episodes if one.acknowledged_at is not None]
    ended = [one.resolved_at - one.opened_at for one in episodes if one.resolved_at is not None]
    return Measures(
        severity=severity,
        episodes=len(episodes),
        unacknowledged=len(episodes) - len(taken),
        unresolved=len(episodes) - len(ended),
        mttd_ms=_mean([one.opened_at - one.condition_since for one in episodes]),
        mtta_ms=_mean(taken),
        mttr_ms=_mean(ended),
    )


def _mean(numbers: list[int]) -> int | None:
    return round(fmean(numbers)) if numbers else None
