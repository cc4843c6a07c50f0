"""Budget windows: a pure function of interval, zone and instant, so no job ever resets a budget.

Instants are UTC unix ms from 1970 on. Zone rules come from the pinned `tzdata` package, never from the system's copy,
so that two machines agree on a window. Only ZoneInfo's offset at an instant is trusted; what a local clock that skips
or repeats time means for a window is decided here:

- a local date begins at the first instant whose local time has reached it; a clock that then steps back over
  midnight does not reopen the date before, and a date that is skipped has no window;
- a local hour begins at every instant whose local time reads xx:00:00.
"""

import difflib
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

from palyra.core.instants import LATEST_MS
from palyra.core.values import value

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FARTHEST_MS = LATEST_MS - 366 * DAY_MS
"""The last instant whose windows all end within the calendar."""
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Interval(StrEnum):
    """How long a budget counts before it begins anew; a rolling one forgets hour by hour or day by day."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    ROLLING_24H = "rolling_24h"
    ROLLING_30D = "rolling_30d"
    LIFETIME = "lifetime"


@value
class Window:
    """[start, end) in UTC unix ms; `end` None never comes."""

    start: int
    end: int | None

    def contains(self, t_ms: int) -> bool:
        """Whether an instant (UTC unix ms) lies within: from its start, before its end."""
        return self.start <= t_ms and (self.end is None or t_ms < self.end)


@value
class Rolling:
    """A charge in bucket c counts at bucket b while b - c <= span: it leaves at most one bucket late, never early."""

    bucket_ms: int
    span: int


ROLLING = {
    Interval.ROLLING_24H: Rolling(bucket_ms=60_000, span=1_440),
    Interval.ROLLING_30D: Rolling(bucket_ms=HOUR_MS, span=720),
}
LIFETIME = Window(0, None)

_current: dict[tuple[Interval, str], Window] = {}


def window_for(interval: Interval, zone: str, t_ms: int) -> Window:
    """The window that holds `t_ms`. Raises ValueError for a zone the tzdata package does not know.

    A rolling window reaches from its oldest counting bucket to the end of the current one.
    """
    rolling = ROLLING.get(interval)
    if rolling is not None:
        bucket = t_ms // rolling.bucket_ms
        return Window((bucket - rolling.span) * rolling.bucket_ms, (bucket + 1) * rolling.bucket_ms)
    key = (interval, zone)
    window = _current.get(key)
    if window is not None and window.start <= t_ms and (window.end is None or t_ms < window.end):
        return window
    window = _compute(interval, load_zone(zone), t_ms)
    _current[key] = window
    return window


def charge_start(interval: Interval, zone: str, t_ms: int) -> int:
    """Where a charge made at `t_ms` is counted: the start of its window, or of its bucket in a rolling one."""
    rolling = ROLLING.get(interval)
    if rolling is not None:
        return t_ms - t_ms % rolling.bucket_ms
    return window_for(interval, zone, t_ms).start


@cache
def zone_names() -> frozenset[str]:
    """Every zone of the pinned tzdata package."""
    return frozenset((resources.files("tzdata") / "zones").read_text("utf-8").split())


def nearest_zones(name: str, limit: int = 3) -> tuple[str, ...]:
    """Zones a mistyped name may mean: those of that city first, then those spelled alike."""
    wanted = name.strip().replace(" ", "_").lower()
    names = sorted(zone_names())
    cities = [zone for zone in names if wanted in (zone.lower(), zone.lower().rpartition("/")[2])]
    by_lower = {zone.lower(): zone for zone in names}
    alike = [by_lower[close] for close in difflib.get_close_matches(wanted, by_lower, n=limit, cutoff=0.75)]
    return tuple(dict.fromkeys(cities + alike))[:limit]


@cache
def load_zone(name: str) -> ZoneInfo:
    """The zone's rules from the tzdata package. Raises ValueError, with a suggestion, for a name it does not have."""
    if name not in zone_names():
        near = nearest_zones(name)
        hint = f'; did you mean "{near[0]}"?' if near else "; write one like Europe/Prague"
        raise ValueError(f'"{name}" is no IANA zone{hint}')
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _compute(interval: Interval, zone: ZoneInfo, t_ms: int) -> Window:
    match interval:
        case Interval.LIFETIME:
            return LIFETIME
        case Interval.HOURLY:
            return Window(_hour_start(zone, t_ms), _hour_end(zone, t_ms))
        case Interval.DAILY:
            day = _day_of(zone, t_ms)
            return Window(_day_start(zone, day), _day_start(zone, day + 1))
        case Interval.WEEKLY:
            day = _day_of(zone, t_ms)
            monday = day - (day + _EPOCH_DAY - 1) % 7
            return Window(_day_start(zone, monday), _day_start(zone, monday + 7))
        case Interval.MONTHLY:
            first = date.fromordinal(_day_of(zone, t_ms) + _EPOCH_DAY).replace(day=1)
            following = (first + timedelta(days=31)).replace(day=1)
            return Window(
                _day_start(zone, first.toordinal() - _EPOCH_DAY), _day_start(zone, following.toordinal() - _EPOCH_DAY)
            )
    raise ValueError(f"{interval!r} is no interval")


def _offset(zone: ZoneInfo, t_ms: int) -> int:
    """Local minus UTC at an instant, in ms."""
    return _ms(datetime.fromtimestamp(t_ms // 1000, UTC).astimezone(zone).utcoffset())


def _ms(offset: timedelta | None) -> int:
    if offset is None:
        raise ValueError("a zone without offsets")
    return (offset.days * 86_400 + offset.seconds) * 1000


def _day_of(zone: ZoneInfo, t_ms: int) -> int:
    """The latest local date begun by `t_ms`, in days since 1970-01-01."""
    day = (t_ms + _offset(zone, t_ms)) // DAY_MS
    while _day_start(zone, day + 1) <= t_ms:
        day += 1
    return day


def _day_start(zone: ZoneInfo, day: int) -> int:
    """The first instant whose local time has reached that date's midnight."""
    midnight = datetime(1970, 1, 1) + timedelta(days=day)  # noqa: DTZ001 a wall reading, not an instant
    wall = day * DAY_MS
    before = wall - _ms(midnight.replace(tzinfo=zone).utcoffset())
    if before + _offset(zone, before) == wall:
        return before
    # No clock ever read this midnight: the date begins where the clock jumped over it.
    low = wall - _ms(midnight.replace(tzinfo=zone, fold=1).utcoffset())
    high = before
    while high - low > 1000:
        middle = (low + high) // 2000 * 1000
        if middle + _offset(zone, middle) >= wall:
            high = middle
        else:
            low = middle
    return high


def _hour_start(zone: ZoneInfo, t_ms: int) -> int:
    """The last instant up to `t_ms` that reads xx:00:00."""
    part = _offset(zone, t_ms) % HOUR_MS
    start = t_ms - (t_ms + part) % HOUR_MS
    if _offset(zone, start) % HOUR_MS == part:
        return start
    return _hour_start(zone, _part_change(zone, start, t_ms) - 1)


def _hour_end(zone: ZoneInfo, t_ms: int) -> int:
    """The first instant after `t_ms` that reads xx:00:00."""
    part = _offset(zone, t_ms) % HOUR_MS
    end = t_ms - (t_ms + part) % HOUR_MS + HOUR_MS
    if _offset(zone, end) % HOUR_MS == part:
        return end
    change = _part_change(zone, t_ms, end)
    if (change + _offset(zone, change)) % HOUR_MS == 0:
        return change
    return _hour_end(zone, change)


def _part_change(zone: ZoneInfo, low: int, high: int) -> int:
    """The instant in (low, high] at which the clock moved by a part of an hour."""
    part = _offset(zone, low) % HOUR_MS
    low, high = low // 1000, -(-high // 1000)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle * 1000) % HOUR_MS == part:
            low = middle
        else:
            high = middle
    return high * 1000
