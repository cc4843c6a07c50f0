"""When cron expressions fire, also where clocks are changed."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from palyra.config.cron import check_cron
from palyra.core.windows import zone_names
from palyra.scheduler.cron import CronTimes, cron_fields
from palyra.scheduler.zone_changes import changes_between, offset_at
from tests.scheduler.calendar_oracle import Oracle, chosen
from tests.scheduler.instants import at, told

DAY = 86_400_000
ODD_ZONES = (
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Europe/Dublin",
    "America/New_York",
    "Asia/Beirut",
    "America/Sao_Paulo",
    "Asia/Gaza",
    "America/Scoresbysund",
    "Asia/Pyongyang",
    "America/Caracas",
    "Asia/Kathmandu",
    "Antarctica/Casey",
    "Pacific/Chatham",
    "Africa/Juba",
    "Europe/Volgograd",
    "America/St_Johns",
)


def slots(expression: str, zone: str, since: str, until: str) -> list[str]:
    times = CronTimes(cron_fields(expression), zone)
    return [told(slot) for slot in times.between(at(since), at(until))]


def first_after(expression: str, zone: str, since: str) -> str:
    return told(CronTimes(cron_fields(expression), zone).after(at(since)))


@pytest.mark.parametrize(
    ("expression", "since", "first"),
    [
        ("*/15 * * * *", "2026-11-22T09:00:00Z", "2026-11-22T09:15Z"),
        ("* * * * *", "2026-11-22T09:00:59.999Z", "2026-11-22T09:01Z"),
        ("* * * * *", "2026-11-22T08:59:59.999Z", "2026-11-22T09:00Z"),
        ("0 0 29 2 *", "2026-06-01T00:00:00Z", "2028-02-29T00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00Z"),
        ("0 0 * * 7", "2026-11-22T00:00:00Z", "2026-11-29T00:00Z"),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59Z"),
    ],
)
def test_the_first_slot_after_an_instant(expression: str, since: str, first: str) -> None:
    assert first_after(expression, "UTC", since) == first


def test_day_and_weekday_both_chosen_match_either() -> None:
    found = slots("0 9 1 * 1", "UTC", "2024-01-02", "2024-02-07")
    assert "2024-01-08T09:00Z" in found
    assert "2024-02-01T09:00Z" in found
    assert "2024-02-06T09:00Z" not in found


def test_a_day_that_begins_with_a_star_has_to_match_too() -> None:
    assert slots("0 0 */2 * 1", "UTC", "2024-01-01T12:00:00Z", "2024-02-01") == [
        "2024-01-15T00:00Z",
        "2024-01-29T00:00Z",
    ]


def test_times_that_the_clock_jumps_over_fire_once_when_it_has_jumped() -> None:
    assert slots("0,20,40 2 * * *", "America/New_York", "2026-03-08", "2026-03-09") == ["2026-03-08T07:00Z"]
    assert slots("30 2,3 8 3 *", "America/New_York", "2026-03-08", "2026-03-09") == [
        "2026-03-08T07:00Z",
        "2026-03-08T07:30Z",
    ]
    assert slots("0 2,3 8 3 *", "America/New_York", "2026-03-08", "2026-03-09") == ["2026-03-08T07:00Z"]


def test_a_star_tests_real_minutes_only_in_a_gap() -> None:
    assert slots("*/30 2 * * *", "America/New_York", "2026-03-08", "2026-03-09") == []
    assert slots("0 */2 * * *", "America/New_York", "2026-03-08T04:00:00Z", "2026-03-08T09:00:00Z") == [
        "2026-03-08T05:00Z",
        "2026-03-08T08:00Z",
    ]


def test_a_star_fires_in_both_passes_of_an_hour_that_comes_twice() -> None:
    assert slots("*/30 * * * *", "America/New_York", "2026-11-01T04:59:00Z", "2026-11-01T06:59:00Z") == [
        "2026-11-01T05:00Z",
        "2026-11-01T05:30Z",
        "2026-11-01T06:00Z",
        "2026-11-01T06:30Z",
    ]


def test_a_fixed_time_that_comes_twice_fires_the_first_time() -> None:
    assert slots("30 1 * * *", "America/New_York", "2026-11-01", "2026-11-02") == ["2026-11-01T05:30Z"]
    # Standing between the two passes: the first one has gone by.
    assert first_after("30 1 1 11 *", "America/New_York", "2026-11-01T05:45:00Z") == "2027-11-01T05:30Z"


def test_half_an_hour_counts_as_a_change() -> None:
    assert slots("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-04T12:00:00Z") == [
        "2026-10-03T15:30Z"
    ]


def test_a_day_that_the_calendar_drops_does_not_fire() -> None:
    assert slots("0 12 30 12 *", "Pacific/Apia", "2011-12-01", "2012-01-10") == []
    assert slots("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-31T00:00:00Z") == [
        "2011-12-29T22:00Z",
        "2011-12-30T22:00Z",
    ]


def test_no_slot_is_none() -> None:
    times = CronTimes(cron_fields("0 12 30 12 *"), "Pacific/Apia")
    assert told(times.after(at("2011-12-30T00:00:00Z"))) == "2012-12-29T22:00Z"
    assert times.after(at("9999-12-30")) is None
    assert times.latest(0, at("1970-12-30")) is None


NUMBERS = {0: (0, 59), 1: (0, 23), 2: (1, 31), 3: (1, 12), 4: (0, 7)}


@st.composite
def fields(draw: st.DrawFn, place: int) -> str:
    low, high = NUMBERS[place]
    items = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("star", "value", "value", "range", "step", "range step")))
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        step = draw(st.integers(1, high))
        items.append(
            {
                "star": "*",
                "value": f"{first}",
                "range": f"{first}-{last}",
                "step": f"*/{step}",
                "range step": f"{first}-{last}/{step}",
            }[kind]
        )
    return ",".join(items)


expressions = st.tuples(*(fields(place) for place in range(5))).map(" ".join).filter(lambda text: not check_cron(text))
whole_minutes = st.integers(at("1972-01-10") // 60_000, at("2080-01-01") // 60_000).map(lambda minute: minute * 60_000)


@given(expressions)
@example("0 0 * * 0-7")
@example("0 0 * * */7")
@example("0 0 * * 5-7")
@example("0 0 * jan-DEC fri-sun")
@settings(max_examples=200, deadline=None)
def test_fields_choose_what_they_say(expression: str) -> None:
    read = cron_fields(expression)
    minutes, hours, days, months, weekdays = (chosen(part, place) for place, part in enumerate(expression.split()))
    assert set(read.times) == {hour * 60 + minute for hour in hours for minute in minutes}
    assert list(read.times) == sorted(set(read.times))
    assert (set(read.days), set(read.months), set(read.weekdays)) == (days, months, weekdays)


@given(expressions, st.sampled_from(sorted(zone_names())), whole_minutes)
@settings(max_examples=40, deadline=None)
def test_any_zone_at_any_time_agrees_with_walking_minutes(expression: str, zone: str, since: int) -> None:
    until = since + 2 * DAY
    assert list(CronTimes(cron_fields(expression), zone).between(since, until)) == Oracle(expression, zone).between(
        since, until
    )


@given(expressions, st.data())
@settings(max_examples=120, deadline=None)
def test_around_each_change_of_a_clock_it_agrees_with_walking_minutes(expression: str, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ODD_ZONES))
    # Days would mostly not match; what is of interest is the change.
    minute, hour, *_ = expression.split()
    expression = f"{minute} {hour} * * *" if data.draw(st.booleans()) else expression
    change = data.draw(st.sampled_from(changes_between(zone, at("1972-01-10") // 1000, at("2045-01-01") // 1000)))
    since = change.at // 60 * 60_000 - data.draw(st.integers(1, 30 * 60)) * 60_000
    until = since + DAY + DAY // 2
    times = CronTimes(cron_fields(expression), zone)
    expected = Oracle(expression, zone).between(since, until)
    assert list(times.between(since, until)) == expected
    assert times.count(since, until) == len(expected)
    assert times.latest(since, until) == (expected[-1] if expected else None)
    if expected:
        assert times.after(since) == expected[0]


@given(expressions, st.sampled_from(ODD_ZONES), whole_minutes, st.integers(0, 40 * DAY))
@settings(max_examples=60, deadline=None)
def test_counting_and_the_last_agree_with_the_list(expression: str, zone: str, since: int, span: int) -> None:
    times = CronTimes(cron_fields(expression), zone)
    listed = list(times.between(since, since + span))
    assert listed == sorted(set(listed))
    assert times.count(since, since + span) == len(listed)
    assert times.latest(since, since + span) == (listed[-1] if listed else None)


def test_no_zone_changes_its_clock_twice_while_nobody_looks() -> None:
    for zone in ODD_ZONES:
        low, high = at("1970-01-10") // 1000, at("2040-01-01") // 1000
        found = changes_between(zone, low, high)
        offset = offset_at(zone, low)
        for change in found:
            assert change.before == offset_at(zone, change.at - 1) == offset
            assert change.after == offset_at(zone, change.at) != change.before
            offset = change.after
        for since in range(low, high, 30 * 86_400):
            assert offset_at(zone, since) == next(
                (change.after for change in reversed(found) if change.at <= since), offset_at(zone, low)
            )
