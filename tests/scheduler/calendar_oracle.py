"""The rules of cron expressions, written a second time as plainly as can be: minute after minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from palyra.core.windows import load_zone

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MINUTE = timedelta(minutes=1)


def chosen(text: str, place: int) -> set[int]:
    names = {3: {name: n + 1 for n, name in enumerate(MONTHS)}, 4: {name: n for n, name in enumerate(WEEKDAYS)}}
    low, high = BOUNDS[place]
    found: set[int] = set()
    for item in text.lower().split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = low, high
        else:
            start, _, end = span.partition("-")
            known = names.get(place, {})
            first = known[start] if start in known else int(start)
            last = first if not end else known[end] if end in known else int(end)
            if place == 4 and end == "sun":
                last = 7
        found.update(range(first, last + 1, int(step or 1)))
    return {0 if place == 4 and number == 7 else number for number in found}


class Oracle:
    def __init__(self, expression: str, zone: str) -> None:
        self.parts = expression.split()
        self.sets = [chosen(part, place) for place, part in enumerate(self.parts)]
        self.zone = load_zone(zone)

    def fires_at(self, local: datetime) -> bool:
        minutes, hours, days, months, weekdays = self.sets
        if local.minute not in minutes or local.hour not in hours or local.month not in months:
            return False
        on_day, on_weekday = local.day in days, local.isoweekday() % 7 in weekdays
        if self.parts[2].startswith("*") or self.parts[4].startswith("*"):
            return on_day and on_weekday
        return on_day or on_weekday

    def between(self, since: int, until: int) -> list[int]:
        """Instants in ms; `since` and `until` are whole minutes."""
        if self.parts[0].startswith("*") or self.parts[1].startswith("*"):
            return list(self._real(since, until))
        return sorted(self._calendar(since, until))

    def _real(self, since: int, until: int) -> Iterator[int]:
        for at in range(since + 60_000, until + 1, 60_000):
            if self.fires_at(local_at(self.zone, at)):
                yield at

    def _calendar(self, since: int, until: int) -> set[int]:
        found: set[int] = set()
        reading = local_at(self.zone, since) - timedelta(days=2)
        reading = reading.replace(tzinfo=None, second=0, fold=0)
        end = local_at(self.zone, until).replace(tzinfo=None) + timedelta(days=2)
        while reading < end:
            if self.fires_at(reading):
                at = self._instant(reading)
                if at is not None and since < at <= until:
                    found.add(at)
            reading += MINUTE
        return found

    def _instant(self, reading: datetime) -> int | None:
        """When a clock first shows a reading, or where it jumped over it; None for a jump of more than three hours."""
        first = unix(reading.replace(tzinfo=self.zone, fold=0))
        if local_at(self.zone, first).replace(tzinfo=None, fold=0) == reading:
            return first
        early = unix(reading.replace(tzinfo=self.zone, fold=1))
        gap = first - early
        if gap > 3 * 3_600_000:
            return None
        at = early - early % 1000
        while local_at(self.zone, at).replace(tzinfo=None) < reading:
            at += 1000 if gap < 60_000 else 60_000
        return at


def local_at(zone: ZoneInfo, at: int) -> datetime:
    return datetime.fromtimestamp(at // 1000, UTC).astimezone(zone)


def unix(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
