"""Schedules as people write them, and intervals and single instants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.instants import spell_exactly
from palyra.scheduler.schedule import (
    EveryTimes,
    Schedule,
    ScheduleError,
    ScheduleKind,
    parse_schedule,
    resolve_zone,
    times_of,
)
from tests.scheduler.instants import at, told

NOW = at("2026-11-22T12:00:00Z")
CRON, EVERY, AT = ScheduleKind.CRON, ScheduleKind.EVERY, ScheduleKind.AT


@pytest.mark.parametrize(
    ("kind", "text", "zone", "problems"),
    [
        (
            CRON,
            "0 0 * * * *",
            "UTC",
            ["schedule.cron: 5 fields needed (minute hour day month weekday), got 6; no seconds"],
        ),
        (CRON, "60 * * * *", "UTC", ["schedule.cron.minute: 60 is outside 0-59"]),
        (CRON, "*/0 * * * *", "UTC", ["schedule.cron.minute: step must be 1-59"]),
        (CRON, "*/75 * * * *", "UTC", ["schedule.cron.minute: step must be 1-59"]),
        (CRON, "1,,2 * * * *", "UTC", ['schedule.cron.minute: empty list item in "1,,2"']),
        (CRON, "30-10 * * * *", "UTC", ["schedule.cron.minute: 30-10 runs backwards; write 30-59,0-10"]),
        (CRON, "5/15 * * * *", "UTC", ["schedule.cron.minute: a step needs * or a range; write 5-59/15"]),
        (CRON, "@daily", "UTC", ['schedule.cron: "@daily" is not accepted; write 0 0 * * *']),
        (CRON, "0 0 L * *", "UTC", ['schedule.cron.day: character "L" is not accepted']),
        (
            CRON,
            "0 0 31 4,6 *",
            "UTC",
            ["schedule.cron.day: no chosen month has day 31; the job would never fire"],
        ),
        (CRON, "0 0 30 2 *", "UTC", ["schedule.cron.day: no chosen month has day 30; the job would never fire"]),
        (EVERY, "200ms", "UTC", ["schedule.every: 200 ms is below the minimum of 1 s"]),
        (EVERY, "367d", "UTC", ["schedule.every: 367d is above the maximum of 366 d"]),
        (AT, "2026-12-24T18:00:00", "UTC", ["schedule.at: offset needed, e.g. 2026-12-24T18:00:00+01:00"]),
        (
            AT,
            "2026-11-22T12:00:00Z",
            "UTC",
            ["schedule.at: 2026-11-22T12:00:00Z is not in the future (now 2026-11-22T12:00:00.000Z)"],
        ),
        (
            CRON,
            "61 25 * * *",
            "Europe/Pragu",
            [
                "schedule.cron.minute: 61 is outside 0-59",
                "schedule.cron.hour: 25 is outside 0-23",
                'schedule.timezone: unknown zone "Europe/Pragu"; did you mean "Europe/Prague"?',
            ],
        ),
    ],
)
def test_everything_wrong_is_told_at_once(kind: ScheduleKind, text: str, zone: str, problems: list[str]) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_schedule(kind, text, zone, NOW)
    assert list(refused.value.problems) == problems


@pytest.mark.parametrize(
    ("kind", "text", "kept"),
    [
        (CRON, " 0  9 * * mon ", "0 9 * * mon"),
        (EVERY, "2h30m", "2h30m"),
        (EVERY, "90", "1m30s"),
        (EVERY, "366d", "366d"),
        (AT, "2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00.000Z"),
        (AT, "2026-11-22T12:00:00.001Z", "2026-11-22T12:00:00.001Z"),
    ],
)
def test_what_is_kept_of_a_good_one(kind: ScheduleKind, text: str, kept: str) -> None:
    schedule = parse_schedule(kind, text, "Europe/Prague", NOW)
    assert schedule == Schedule(kind, kept, "Europe/Prague")
    assert parse_schedule(kind, kept, "Europe/Prague", NOW) == schedule


def test_the_zone_called_local_is_that_of_the_host_from_then_on() -> None:
    assert parse_schedule(CRON, "0 0 * * *", "local", NOW).timezone == resolve_zone("local") != "local"


def test_an_interval_counts_from_its_anchor() -> None:
    times = EveryTimes(60_000, 30_000)
    assert times.after(0) == 90_000
    assert times.after(90_000) == 150_000
    assert list(times.between(0, 210_000)) == [90_000, 150_000, 210_000]
    assert times.latest(0, 209_999) == 150_000
    assert times.latest(150_000, 209_999) is None
    assert times.count(90_000, 210_000) == 2


@given(st.integers(1000, 10_000), st.integers(0, 50_000), st.integers(0, 100_000), st.integers(0, 100_000))
def test_intervals_agree_with_counting_up(interval: int, anchor: int, since: int, span: int) -> None:
    times = EveryTimes(interval, anchor)
    slots = [slot for slot in range(anchor + interval, since + span + 1, interval) if slot > since]
    assert list(times.between(since, since + span)) == slots
    assert times.count(since, since + span) == len(slots)
    assert times.latest(since, since + span) == (slots[-1] if slots else None)


def test_an_instant_comes_once() -> None:
    times = times_of(Schedule(AT, "2026-12-24T17:00:00.000Z"))
    assert told(times.after(NOW)) == "2026-12-24T17:00Z"
    assert times.after(at("2026-12-24T17:00:00Z")) is None
    assert times.count(NOW, at("2027-01-01")) == 1


def test_an_instant_has_to_come_by_a_millisecond_at_least() -> None:
    present = spell_exactly(NOW)
    with pytest.raises(ScheduleError, match="is not in the future"):
        parse_schedule(AT, present, "UTC", NOW)
    to_come = parse_schedule(AT, spell_exactly(NOW + 1), "UTC", NOW)
    assert times_of(to_come).after(NOW) == NOW + 1


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(CRON, "nonsense"),
        Schedule(CRON, "* * * * *", "Mars/Base"),
        Schedule(EVERY, "1ms"),
        Schedule(EVERY, "soon"),
        Schedule(AT, "tomorrow"),
    ],
)
def test_a_stored_schedule_that_cannot_be_read_says_so(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match=r"."):
        times_of(schedule)
