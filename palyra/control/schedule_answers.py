"""When schedules fire, as consoles show it: in UTC, in the zone's own time, and where its clock is changed."""

from datetime import UTC, datetime

from palyra.control.jobs_queries import InstantView, ScheduleAnswer, ScheduleQuery
from palyra.core.instants import LATEST_MS, spell_exactly
from palyra.core.windows import load_zone
from palyra.scheduler.schedule import (
    Schedule,
    ScheduleError,
    ScheduleKind,
    Times,
    parse_schedule,
    times_of,
)
from palyra.scheduler.zone_changes import changes_between

MOST = 100
NEAR_MS = 86_400_000
"""A change of the clock is told of at the first slot after it, where it lies in the day before that."""


def answer_schedule(query: ScheduleQuery, timezone: str, now: int) -> ScheduleAnswer:
    """`timezone` is the zone where none is asked for."""
    kind = ScheduleKind(query.schedule)
    after = now if query.after is None else query.after
    wanted = query.timezone or timezone
    try:
        schedule = parse_schedule(kind, query.expression, wanted, min(now, after))
    except ScheduleError as error:
        return ScheduleAnswer(query.expression, wanted, after, (), error.problems)
    times = times_of(schedule, after)
    found = upcoming(times, schedule, after, query.count)
    return ScheduleAnswer(schedule.expression, schedule.timezone, after, found)


def upcoming(times: Times, schedule: Schedule, after: int, count: int) -> tuple[InstantView, ...]:
    """The next slots, at most 100."""
    found: list[InstantView] = []
    before, slot = after, times.after(after)
    while slot is not None and slot <= LATEST_MS and len(found) < min(count, MOST):
        found.append(_instant(slot, schedule.timezone, max(before, slot - NEAR_MS)))
        before, slot = slot, times.after(slot)
    return tuple(found)


def instant_text(at: int) -> str:
    """As a schedule of one instant is written."""
    return spell_exactly(at)


def _instant(at: int, zone: str, since: int) -> InstantView:
    """A change of the clock after `since` is told of."""
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(load_zone(zone))
    written = local.isoformat(sep=" ", timespec="milliseconds" if at % 1000 else "seconds")
    changes = changes_between(zone, since // 1000, at // 1000)
    mark = "" if not changes else "forward" if changes[-1].after > changes[-1].before else "back"
    return InstantView(at, written[:-6], written[-6:], mark)
