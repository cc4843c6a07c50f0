"""When the clocks of a zone were or will be changed, and by how much.

Rules come from the pinned `tzdata` package. ZoneInfo tells the offset at an instant only, so changes are found by
looking every other day and halving: no zone changed its clocks twice within four days since 1970.
"""

from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import version

from palyra.core.values import value
from palyra.core.windows import load_zone

STEP_S = 2 * 86_400
_STRETCH_S = 128 * STEP_S
"""Changes are looked up and remembered a stretch of time at a time."""
LAST_S = 253_402_300_799 - 2 * 86_400
"""Some days before the end of the year 9999, which is as far as dates go."""


@value
class ZoneChange:
    """At `at` the clock goes from `before` to `after`: seconds ahead of UTC. All in whole seconds."""

    at: int
    before: int
    after: int


@cache
def rules_version() -> str:
    """The version of the zone rules, like `2026.6`."""
    return version("tzdata")


def offset_at(zone: str, at_s: int) -> int:
    """How far local time is ahead of UTC, in seconds."""
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(load_zone(zone)).utcoffset()
    if offset is None:
        raise ValueError(f"{zone} has no offsets")
    return offset.days * 86_400 + offset.seconds


def changes_between(zone: str, since_s: int, until_s: int) -> list[ZoneChange]:
    """Changes in (since, until], in order."""
    found: list[ZoneChange] = []
    for stretch in range(since_s // _STRETCH_S, until_s // _STRETCH_S + 1):
        found += [change for change in _stretch(zone, stretch) if since_s < change.at <= until_s]
    return found


@lru_cache(maxsize=4096)
def _stretch(zone: str, number: int) -> tuple[ZoneChange, ...]:
    if zone == "UTC":
        return ()
    found = []
    start = number * _STRETCH_S
    before = offset_at(zone, start - 1)
    for low in range(start - 1, start + _STRETCH_S - 1, STEP_S):
        high = min(low + STEP_S, LAST_S)
        if high <= low:
            break
        after = offset_at(zone, high)
        if after != before:
            found.append(ZoneChange(_moment(zone, low, high, before), before, after))
            before = after
    return tuple(found)


def _moment(zone: str, low: int, high: int, before: int) -> int:
    """The first second in (low, high] at which the offset is no longer `before`."""
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
