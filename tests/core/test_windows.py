import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.windows import (
    ROLLING,
    Interval,
    Window,
    charge_start,
    load_zone,
    nearest_zones,
    window_for,
    zone_names,
)

CALENDAR = [Interval.HOURLY, Interval.DAILY, Interval.WEEKLY, Interval.MONTHLY]
MINUTE = 60_000
HOUR = 3_600_000
DAY = 24 * HOUR

instants = st.integers(min_value=0, max_value=4_102_444_800_000)
zones = st.sampled_from(sorted(zone_names()))


def at(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def window(start: str, end: str) -> Window:
    return Window(at(start), at(end))


def local(zone: str, t_ms: int) -> datetime:
    return datetime.fromtimestamp(t_ms // 1000, UTC).astimezone(load_zone(zone))


@pytest.mark.parametrize(
    ("interval", "zone", "instant", "expected"),
    [
        # Days of 23 and 25 hours.
        ("daily", "Europe/Prague", "2026-03-29T12:00", window("2026-03-28T23:00", "2026-03-29T22:00")),
        ("daily", "Europe/Prague", "2026-10-25T12:00", window("2026-10-24T22:00", "2026-10-25T23:00")),
        # A day whose first reading is 01:00.
        ("daily", "America/Santiago", "2026-09-06T12:00", window("2026-09-06T04:00", "2026-09-07T03:00")),
        # Clocks that move by half an hour, both ways.
        ("hourly", "Australia/Lord_Howe", "2026-04-04T15:10", window("2026-04-04T14:00", "2026-04-04T15:30")),
        ("hourly", "Australia/Lord_Howe", "2026-10-03T15:10", window("2026-10-03T14:30", "2026-10-03T16:00")),
        # Zones that are off by a part of an hour.
        ("hourly", "Asia/Kathmandu", "2026-11-22T10:20", window("2026-11-22T10:15", "2026-11-22T11:15")),
        ("hourly", "Asia/Kolkata", "2026-11-22T10:20", window("2026-11-22T09:30", "2026-11-22T10:30")),
        # Hours that are skipped and repeated whole stay 60 minutes long.
        ("hourly", "Europe/Prague", "2026-03-29T01:30", window("2026-03-29T01:00", "2026-03-29T02:00")),
        ("hourly", "Europe/Prague", "2026-10-25T01:30", window("2026-10-25T01:00", "2026-10-25T02:00")),
        # Samoa had no 30 December 2011.
        ("daily", "Pacific/Apia", "2011-12-30T09:59:59", window("2011-12-29T10:00", "2011-12-30T10:00")),
        ("daily", "Pacific/Apia", "2011-12-30T10:00", window("2011-12-30T10:00", "2011-12-31T10:00")),
        # Newfoundland stepped back from 00:01 to 23:01: the new day, once begun, goes on.
        ("daily", "America/St_Johns", "2010-11-07T02:29:59", window("2010-11-06T02:30", "2010-11-07T02:30")),
        ("daily", "America/St_Johns", "2010-11-07T02:45", window("2010-11-07T02:30", "2010-11-08T03:30")),
        # Brazil stepped back at midnight itself: no second day had begun, so the old one lasts 25 h.
        ("daily", "America/Sao_Paulo", "2018-02-18T02:30", window("2018-02-17T02:00", "2018-02-18T03:00")),
        # Weeks begin on Monday, months on day 1.
        ("weekly", "UTC", "2026-11-22T23:59:59.999", window("2026-11-16T00:00", "2026-11-23T00:00")),
        ("weekly", "Europe/Prague", "2026-10-25T12:00", window("2026-10-18T22:00", "2026-10-25T23:00")),
        ("monthly", "UTC", "2028-02-29T12:00", window("2028-02-01T00:00", "2028-03-01T00:00")),
        ("monthly", "America/New_York", "2026-12-31T23:00", window("2026-12-01T05:00", "2027-01-01T05:00")),
    ],
)
def test_a_window_is_where_the_local_clock_says(interval: str, zone: str, instant: str, expected: Window) -> None:
    assert window_for(Interval(interval), zone, at(instant)) == expected


def test_a_charge_leaves_a_rolling_day_one_bucket_late_and_never_early() -> None:
    start = charge_start(Interval.ROLLING_24H, "UTC", at("2026-11-21T10:00:30"))
    assert start == at("2026-11-21T10:00:00")
    assert window_for(Interval.ROLLING_24H, "UTC", at("2026-11-22T10:00:59.999")).contains(start)
    assert not window_for(Interval.ROLLING_24H, "UTC", at("2026-11-22T10:01:00")).contains(start)


def test_a_rolling_month_moves_by_the_hour() -> None:
    start = charge_start(Interval.ROLLING_30D, "UTC", at("2026-11-01T10:59:59"))
    assert window_for(Interval.ROLLING_30D, "UTC", at("2026-12-01T10:59:59.999")).contains(start)
    assert not window_for(Interval.ROLLING_30D, "UTC", at("2026-12-01T11:00:00")).contains(start)


def test_a_lifetime_never_renews() -> None:
    assert window_for(Interval.LIFETIME, "UTC", at("2026-11-22T10:00")) == Window(0, None)


@given(st.sampled_from(CALENDAR), zones, instants)
def test_windows_contain_their_instant_and_tile_time(interval: Interval, zone: str, t_ms: int) -> None:
    this = window_for(interval, zone, t_ms)
    assert this.end is not None
    assert this.start <= t_ms < this.end
    assert this.contains(t_ms)
    assert window_for(interval, zone, this.end).start == this.end
    assert window_for(interval, zone, this.start - 1).end == this.start
    assert window_for(interval, zone, this.end - 1) == this
    assert window_for(interval, zone, this.start) == this
    assert charge_start(interval, zone, t_ms) == this.start


@given(zones, instants)
def test_longer_windows_are_made_of_whole_days(zone: str, t_ms: int) -> None:
    for interval in (Interval.WEEKLY, Interval.MONTHLY):
        long = window_for(interval, zone, t_ms)
        assert long.end is not None
        assert window_for(Interval.DAILY, zone, long.start).start == long.start
        assert window_for(Interval.DAILY, zone, long.end - 1).end == long.end


@given(zones, instants)
def test_a_window_begins_at_its_local_boundary(zone: str, t_ms: int) -> None:
    hour = local(zone, window_for(Interval.HOURLY, zone, t_ms).start)
    assert (hour.minute, hour.second) == (0, 0)
    day = window_for(Interval.DAILY, zone, t_ms).start
    assert local(zone, day).date() > local(zone, day - 1).date()
    assert local(zone, window_for(Interval.WEEKLY, zone, t_ms).start).weekday() in (0, 1)
    assert local(zone, window_for(Interval.MONTHLY, zone, t_ms).start).day in (1, 2)


@given(st.sampled_from(sorted(ROLLING)), instants, st.integers(0, 40 * DAY))
def test_a_rolling_window_holds_exactly_the_charges_that_count(interval: Interval, t_ms: int, age: int) -> None:
    this = window_for(interval, "UTC", t_ms)
    charged = charge_start(interval, "UTC", t_ms - age)
    assert this.contains(t_ms)
    assert this.contains(charged) == (charged >= this.start)
    span = ROLLING[interval].span * ROLLING[interval].bucket_ms
    if age <= span:
        assert charged >= this.start
    if age > span + ROLLING[interval].bucket_ms:
        assert charged < this.start


def scan_days(zone: str, first: int, last: int) -> Iterator[tuple[int, date]]:
    """Minute by minute, the latest date a wall calendar that never turns back a leaf would show."""
    shown = date.min
    for t_ms in range(first, last, MINUTE):
        shown = max(shown, local(zone, t_ms).date())
        yield t_ms, shown


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/St_Johns", "2010-11-05"),
        ("America/Sao_Paulo", "2018-02-16"),
        ("Asia/Gaza", "2026-10-23"),
        ("Africa/Cairo", "2026-04-23"),
        ("Africa/Cairo", "2026-10-28"),
        ("Pacific/Kwajalein", "1993-08-19"),
        ("Pacific/Apia", "2011-12-28"),
        ("Antarctica/Troll", "2026-03-28"),
        ("Africa/Casablanca", "2026-02-14"),
        ("Asia/Amman", "2021-03-25"),
    ],
)
def test_days_are_those_of_a_calendar_that_never_turns_back(zone: str, day: str) -> None:
    first = at(day)
    begun: dict[date, int] = {}
    for t_ms, shown in scan_days(zone, first - DAY, first + 5 * DAY):
        begun.setdefault(shown, t_ms)
    for t_ms, shown in scan_days(zone, first - DAY, first + 5 * DAY):
        if t_ms > first:
            assert window_for(Interval.DAILY, zone, t_ms).start == begun[shown]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Australia/Lord_Howe", "2026-04-04"),
        ("Australia/Lord_Howe", "2026-10-03"),
        ("America/Caracas", "2007-12-09"),
        ("Asia/Pyongyang", "2018-05-04"),
        ("Asia/Kathmandu", "1985-12-31"),
        ("America/St_Johns", "2010-11-07"),
    ],
)
def test_hours_begin_wherever_the_clock_reads_a_full_hour(zone: str, day: str) -> None:
    started = at(day) - DAY
    for t_ms in range(at(day) - DAY, at(day) + 2 * DAY, MINUTE):
        if local(zone, t_ms).minute == 0:
            started = t_ms
        if t_ms > at(day):
            assert window_for(Interval.HOURLY, zone, t_ms + 59_999).start == started


def test_an_unknown_zone_is_refused_with_the_likely_one() -> None:
    with pytest.raises(ValueError, match=r'"Prague" is no IANA zone; did you mean "Europe/Prague"\?'):
        window_for(Interval.DAILY, "Prague", 0)
    with pytest.raises(ValueError, match="no IANA zone"):
        load_zone("../../../etc/passwd")
    assert nearest_zones("New York") == ("America/New_York",)
    assert nearest_zones("europ/pragu")[0] == "Europe/Prague"


def test_zone_rules_come_from_the_package_even_where_the_system_has_its_own(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A system copy that disagrees must not move a window: here one that claims Prague is Kathmandu."""
    fake = tmp_path_factory.mktemp("zoneinfo")
    (fake / "Europe").mkdir()
    from importlib import resources

    (fake / "Europe" / "Prague").write_bytes(
        (resources.files("tzdata") / "zoneinfo" / "Asia" / "Kathmandu").read_bytes()
    )
    program = (
        "from palyra.core.windows import *; import zoneinfo, datetime;"
        "zoneinfo.ZoneInfo('Europe/Prague');"
        f"print(window_for(Interval.DAILY, 'Europe/Prague', {at('2026-11-22T12:00')}).start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONTZPATH": str(fake)}, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == at("2026-11-21T23:00")


@pytest.mark.parametrize("interval", Interval)
def test_a_window_does_not_depend_on_what_was_asked_before(interval: Interval) -> None:
    early, late = at("2026-03-29T12:00"), at("2026-03-29T18:00")
    first = window_for(interval, "Europe/Prague", early)
    window_for(interval, "Europe/Prague", late)
    assert window_for(interval, "Europe/Prague", early) == first


def test_every_zone_of_the_package_loads() -> None:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    assert all(
        abs(moment.astimezone(load_zone(name)).utcoffset() or timedelta()) <= timedelta(hours=14)
        for name in zone_names()
    )


@pytest.mark.parametrize(("first", "last"), [("2026-02-10", "2026-04-30"), ("2026-09-01", "2026-11-10")])
def test_the_days_of_every_zone_follow_one_another_without_gap(first: str, last: str) -> None:
    """While clocks change all over the world: from local midnight, or from where a clock jumped over it."""
    lengths: dict[float, set[str]] = {}
    for zone in sorted(zone_names()):
        day = window_for(Interval.DAILY, zone, at(first))
        while day.start < at(last):
            assert day.end is not None
            begun, before = local(zone, day.start), local(zone, day.start - 1)
            assert begun.time() == time(0) or begun.utcoffset() != before.utcoffset()
            lengths.setdefault((day.end - day.start) / HOUR, set()).add(zone)
            following = window_for(Interval.DAILY, zone, day.end)
            assert following.start == day.end
            assert local(zone, following.start).date() == begun.date() + timedelta(days=1)
            day = following
    odd = {hours: zones for hours, zones in lengths.items() if hours not in (23, 24, 25)}
    half = {"Australia/Lord_Howe", "Australia/LHI"}
    assert odd in (
        {22: {"Antarctica/Troll"}, 24.5: half},
        {26: {"Antarctica/Troll"}, 23.5: half},
    )
    assert len(lengths[23]) > 10
    assert len(lengths[25]) > 10


def test_every_hour_of_a_year_tiles_in_zones_that_are_off_by_a_part_of_one() -> None:
    parts = [zone for zone in sorted(zone_names()) if local(zone, at("2026-06-22")).minute]
    assert {"Asia/Kathmandu", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe"} <= set(parts)
    for zone in parts:
        for start in ("2026-03-28", "2026-04-04", "2026-10-03", "2026-10-31"):
            hour = window_for(Interval.HOURLY, zone, at(start))
            while hour.start < at(start) + 2 * DAY:
                assert hour.end is not None
                assert (hour.end - hour.start) in (HOUR // 2, HOUR, HOUR * 3 // 2)
                assert (local(zone, hour.start).minute, local(zone, hour.start).second) == (0, 0)
                following = window_for(Interval.HOURLY, zone, hour.end)
                assert following.start == hour.end
                hour = following
