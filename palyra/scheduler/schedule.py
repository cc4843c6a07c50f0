"""Schedules: a cron expression in a zone, an interval from an anchor, or one instant. Pure: values and a time in."""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from palyra.config.amounts import spell_duration
from palyra.config.cron import FIELDS, check_cron
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError
from palyra.core.instants import LATEST_MS, parse_instant_ms, spell_exactly
from palyra.core.values import value
from palyra.core.windows import DAY_MS, nearest_zones, zone_names
from palyra.scheduler.cron import CronTimes, cron_fields

SHORTEST_MS = 1_000
LONGEST_MS = 366 * DAY_MS
LOCAL = "local"
_ZONE_LINK = Path("/etc/localtime")


class ScheduleKind(StrEnum):
    """How a schedule is written: five fields of cron, an interval, one instant."""

    CRON = "cron"
    EVERY = "every"
    AT = "at"


@value
class Schedule:
    """`expression`: five fields with single blanks; an interval like `1h30m`; an instant in UTC like
    `2026-12-24T17:00:00.000Z`. Only cron uses `timezone`, an IANA name."""

    kind: ScheduleKind
    expression: str
    timezone: str = "UTC"


class Times(Protocol):
    """The slots of a schedule. Instants are UTC unix ms."""

    def after(self, at: int) -> int | None:
        """The first slot after an instant; None when none comes."""
        ...

    def between(self, since: int, until: int) -> Iterator[int]:
        """The slots of (since, until], in order."""
        ...

    def count(self, since: int, until: int) -> int:
        """How many slots (since, until] has."""
        ...

    def latest(self, since: int, until: int) -> int | None:
        """The last slot of (since, until]."""
        ...


@value
class EveryTimes:
    """anchor + k × interval, k ≥ 1; both in ms."""

    interval: int
    anchor: int

    def after(self, at: int) -> int | None:
        """The first slot after `at`, UTC unix ms; None past LATEST_MS."""
        steps = max(1, (at - self.anchor) // self.interval + 1)
        slot = self.anchor + steps * self.interval
        return slot if slot <= LATEST_MS else None

    def between(self, since: int, until: int) -> Iterator[int]:
        """The slots in (since, until], in their order."""
        slot = self.after(since)
        while slot is not None and slot <= until:
            yield slot
            slot = self.after(slot)

    def count(self, since: int, until: int) -> int:
        """How many slots lie in (since, until]."""
        return max(0, self._steps(until) - self._steps(since))

    def latest(self, since: int, until: int) -> int | None:
        """The last slot in (since, until]."""
        slot = self.anchor + self._steps(until) * self.interval
        return slot if slot > max(since, self.anchor) else None

    def _steps(self, at: int) -> int:
        return max(0, (at - self.anchor) // self.interval)


@value
class AtTimes:
    """One instant."""

    at: int

    def after(self, at: int) -> int | None:
        """Its instant while that is to come, UTC unix ms."""
        return self.at if self.at > at else None

    def between(self, since: int, until: int) -> Iterator[int]:
        """Its instant, where it lies in (since, until]."""
        if since < self.at <= until:
            yield self.at

    def count(self, since: int, until: int) -> int:
        """1 where its instant lies in (since, until], else 0."""
        return int(since < self.at <= until)

    def latest(self, since: int, until: int) -> int | None:
        """Its instant, where it lies in (since, until]."""
        return self.at if since < self.at <= until else None


def times_of(schedule: Schedule, anchor: int = 0) -> Times:
    """Raises ValueError for a schedule that nobody should have saved."""
    match schedule.kind:
        case ScheduleKind.CRON:
            if schedule.timezone not in zone_names():
                raise ValueError(f"unknown zone {schedule.timezone!r}")
            return CronTimes(cron_fields(schedule.expression), schedule.timezone)
        case ScheduleKind.EVERY:
            interval = parse_duration_ms(schedule.expression)
            if interval < SHORTEST_MS:
                raise ValueError(f"{schedule.expression!r} is no interval")
            return EveryTimes(interval, anchor)
        case ScheduleKind.AT:
            return AtTimes(parse_instant_ms(schedule.expression))


class ScheduleError(BadInputError):
    """A schedule that cannot be saved; `problems` has everything wrong with it, each as `schedule.…: what`."""

    code = "bad_schedule"

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def parse_schedule(kind: ScheduleKind, text: str, timezone: str, now: int) -> Schedule:
    """A schedule as people write it. Raises ScheduleError."""
    problems: list[str] = []
    zone = resolve_zone(timezone)
    if zone not in zone_names():
        near = nearest_zones(timezone[:64])
        hint = f'; did you mean "{near[0]}"?' if near else ""
        problems.append(f'schedule.timezone: unknown zone "{timezone[:64]}"{hint}')
    expression = ""
    try:
        match kind:
            case ScheduleKind.CRON:
                expression = _cron(text)
            case ScheduleKind.EVERY:
                expression = spell_duration(_every(text))
            case ScheduleKind.AT:
                expression = spell_exactly(_at(text, now))
    except ScheduleError as error:
        problems = [*error.problems, *problems]
    if problems:
        raise ScheduleError(problems)
    return Schedule(kind, expression, zone)


def resolve_zone(timezone: str) -> str:
    """The zone's name; `local` becomes the one of this host, UTC where nobody can tell."""
    if timezone != LOCAL:
        return timezone
    _, marker, name = str(_ZONE_LINK.resolve()).partition("zoneinfo/")
    name = name.removeprefix("posix/").removeprefix("right/")
    return name if marker and name in zone_names() else "UTC"


def _cron(text: str) -> str:
    found = check_cron(text)
    if found:
        named = tuple(f"{field.name}: " for field in FIELDS)
        raise ScheduleError([f"schedule.cron{'.' if one.startswith(named) else ': '}{one}" for one in found])
    return " ".join(text.split())


def _every(text: str) -> int:
    try:
        interval = parse_duration_ms(text)
    except ValueError as error:
        raise ScheduleError([f"schedule.every: {error}"]) from None
    if interval < SHORTEST_MS:
        raise ScheduleError([f"schedule.every: {interval} ms is below the minimum of 1 s"])
    if interval > LONGEST_MS:
        raise ScheduleError([f"schedule.every: {text.strip()[:32]} is above the maximum of 366 d"])
    return interval


_LOCAL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?", re.ASCII)


def _at(text: str, now: int) -> int:
    stripped = text.strip()
    if _LOCAL_TIME.fullmatch(stripped):
        raise ScheduleError(["schedule.at: offset needed, e.g. 2026-12-24T18:00:00+01:00"])
    try:
        at = parse_instant_ms(stripped)
    except ValueError:
        raise ScheduleError(
            [f"schedule.at: {stripped[:64]!r} is no instant; write it like 2026-12-24T18:00:00+01:00"]
        ) from None
    if at <= now:
        raise ScheduleError([f"schedule.at: {stripped} is not in the future (now {spell_exactly(now)})"])
    return at
