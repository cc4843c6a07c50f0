"""When a cron expression fires: a pure function of its five fields, a zone's rules and an instant.

A field is *open* when it begins with `*`. Where minute or hour is open, each minute that the local clock really shows
is tested, both times where it shows one twice. Where neither is, the minutes of the calendar are walked: one that the
clock jumped over fires when the jump is done, several as one, unless the jump was longer than three hours; one that
comes twice fires the first time. Days match when either day or weekday does if neither is open, else when both do.
"""

import calendar
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache

from palyra.config.cron import check_cron, cron_values
from palyra.core.values import value
from palyra.scheduler.zone_changes import LAST_S, ZoneChange, changes_between, offset_at

HORIZON_DAYS = 50 * 366
LONGEST_GAP_S = 3 * 3600
_DAY = 1440
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LOOK_AHEAD_DAYS = (2, 64, HORIZON_DAYS)
"""Most slots are near, and the changes of fifty years need not be known for them."""
_LOOK_BACK_S = 2 * 86_400
"""No clock was ever set back by more than this since 1970."""


@value
class CronFields:
    """What an expression chooses, each in order. `times` are minutes of the day; weekday 0 is Sunday."""

    times: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    each_minute: bool
    """Whether minute or hour is open."""
    either_day: bool
    """Whether neither day nor weekday is open."""

    def on(self, day: int) -> bool:
        """Whether a day fires, given as days since 1970-01-01."""
        ordinal = day + _EPOCH_DAY
        there = date.fromordinal(ordinal)
        if there.month not in self.months:
            return False
        of_month, of_week = there.day in self.days, ordinal % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week

    def days_from(self, first: int, last: int) -> Iterator[int]:
        """The days of [first, last] that fire; months that are not chosen are passed over at once."""
        day = first
        while day <= last:
            there = date.fromordinal(day + _EPOCH_DAY)
            if there.month not in self.months:
                day += calendar.monthrange(there.year, there.month)[1] - there.day + 1
                continue
            if self.on(day):
                yield day
            day += 1


@lru_cache(maxsize=16_384)
def cron_fields(expression: str) -> CronFields:
    """Raises ValueError for one that `check_cron` refuses."""
    if check_cron(expression):
        raise ValueError(f"{expression!r} is no cron expression")
    parts = expression.split()
    chosen = cron_values(expression)
    opened = [part.startswith("*") for part in parts]
    return CronFields(
        times=tuple(hour * 60 + minute for hour in sorted(chosen["hour"]) for minute in sorted(chosen["minute"])),
        days=chosen["day"],
        months=chosen["month"],
        weekdays=chosen["weekday"],
        each_minute=opened[0] or opened[1],
        either_day=not opened[2] and not opened[4],
    )


@value
class _Run:
    """Some slots of one day: `base` + 60 × each minute of `times`, in seconds since 1970."""

    base: int
    times: Sequence[int]


@value
class CronTimes:
    """The slots of an expression in a zone. Instants are UTC unix ms."""

    fields: CronFields
    zone: str

    def after(self, at: int) -> int | None:
        """The first slot after an instant; None when there is none within 50 years."""
        for days in _LOOK_AHEAD_DAYS:
            found = next(self.between(at, at + days * 86_400_000), None)
            if found is not None:
                return found
        return None

    def between(self, since: int, until: int) -> Iterator[int]:
        """The slots of (since, until], in order."""
        for run in self._runs(since // 1000, until // 1000):
            for minute in run.times:
                yield (run.base + minute * 60) * 1000

    def count(self, since: int, until: int) -> int:
        """How many slots (since, until] has."""
        return sum(len(run.times) for run in self._runs(since // 1000, until // 1000))

    def latest(self, since: int, until: int) -> int | None:
        """The last slot of (since, until]."""
        span = 2 * 86_400
        while True:
            start = max(since, until - span * 1000)
            newest = deque(self._runs(start // 1000, until // 1000), maxlen=1)
            if newest:
                return (newest[0].base + newest[0].times[-1] * 60) * 1000
            if start == since:
                return None
            span *= 20

    def _runs(self, since: int, until: int) -> Iterator[_Run]:
        """Slots of (since, until], in seconds."""
        until = min(until, LAST_S)
        if until <= since:
            return
        early = since - _LOOK_BACK_S
        changes = changes_between(self.zone, early, until)
        starts = [ZoneChange(early, offset := offset_at(self.zone, early), offset), *changes]
        seen = early + offset
        """Local time up to here has been shown already."""
        for place, change in enumerate(starts):
            end = starts[place + 1].at if place + 1 < len(starts) else until + 1
            first = change.at + change.after
            if self.fields.each_minute:
                yield from self._within(first, end + change.after, change.after, since, until)
                continue
            if first > seen:
                # The clock jumped over [seen, first): what lies there comes when the jump is done.
                missed = first - change.at - change.before <= LONGEST_GAP_S and self._any(seen, first)
                if missed and since < change.at <= until and not self._any(first, first + 1):
                    yield _Run(change.at, (0,))
                seen = first
            yield from self._within(max(first, seen), end + change.after, change.after, since, until)
            seen = max(seen, end + change.after)

    def _within(self, low: int, high: int, offset: int, since: int, until: int) -> Iterator[_Run]:
        """Slots whose local time lies in [low, high) where the clock is `offset` ahead."""
        low, high = max(low, since + offset + 1), min(high, until + offset + 1)
        if low >= high:
            return
        times = self.fields.times
        first_day, last_day = low // 86_400, (high - 1) // 86_400
        for day in self.fields.days_from(first_day, last_day):
            midnight = day * 86_400
            start = -(-max(0, low - midnight) // 60)
            end = -(-min(86_400, high - midnight) // 60)
            if start > 0 or end < _DAY:
                part: Sequence[int] = times[bisect_left(times, start) : bisect_left(times, end)]
            else:
                part = times
            if part:
                yield _Run(midnight - offset, part)

    def _any(self, low: int, high: int) -> bool:
        """Whether a local minute that begins in [low, high) is chosen."""
        return any(True for _ in self._within(low, high, 0, low - 1, high - 1))
