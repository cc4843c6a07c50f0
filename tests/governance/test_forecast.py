"""Forecasts: whole numbers, the pace of the newest quarter, and no word about a window that has hardly begun."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.windows import Interval, Window
from palyra.governance.forecast import burn_since, forecast, has_calendar

DAY = Window(1_000_000, 1_000_000 + 86_400_000)
END = DAY.start + 86_400_000


@pytest.mark.parametrize(
    ("elapsed", "since"),
    [
        (0, None),
        (8_639_999, None),
        (8_640_000, DAY.start + 6_480_000),
        (43_200_000, DAY.start + 32_400_000),
        (86_399_999, DAY.start + 64_800_000),
        (86_400_000, None),
        (-1, None),
    ],
)
def test_the_newest_quarter_of_what_has_elapsed_once_a_tenth_has(elapsed: int, since: int | None) -> None:
    assert burn_since(DAY, DAY.start + elapsed) == since


def test_a_window_without_an_end_has_no_forecast() -> None:
    assert burn_since(Window(0, None), 5) is None
    assert forecast(Window(0, None), 5, used=1, burned=1, limit=1) is None
    kinds = [kind for kind in Interval if has_calendar(kind)]
    assert kinds == [Interval.HOURLY, Interval.DAILY, Interval.WEEKLY, Interval.MONTHLY]


@pytest.mark.parametrize(
    ("used", "burned", "limit", "projected", "reaches_after"),
    [
        # At noon: $10 in the last three hours, so $40 more until midnight.
        (20, 10, 60, 60, None),
        (20, 10, 59, 60, 42_120_000),
        (20, 10, 30, 60, 10_800_000),
        (20, 10, 21, 60, 1_080_000),
        (20, 10, 20, 60, 0),
        (20, 10, 5, 60, 0),
        (20, 0, 21, 20, None),
        (20, 0, 20, 20, 0),
        (20, 10, None, 60, None),
        (0, 0, 0, 0, 0),
    ],
)
def test_where_a_day_at_noon_is_going(
    used: int, burned: int, limit: int | None, projected: int, reaches_after: int | None
) -> None:
    noon = DAY.start + 43_200_000
    found = forecast(DAY, noon, used=used, burned=burned, limit=limit)
    assert found is not None
    assert found.projected == projected
    assert found.reaches_at == (None if reaches_after is None else noon + reaches_after)
    assert (found.window_end, found.limit, found.burn_since) == (END, limit, DAY.start + 32_400_000)


def test_what_is_reached_only_as_the_window_ends_is_not_reached() -> None:
    noon = DAY.start + 43_200_000
    at_the_end = forecast(DAY, noon, used=20, burned=10, limit=60)
    assert at_the_end is not None
    assert at_the_end.projected == 60
    assert at_the_end.reaches_at is None


AMOUNTS = st.integers(0, 10**15)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Window, int, int, int, int]:
    start = draw(st.integers(0, 2 * 10**12))
    length = draw(st.integers(10, 32 * 86_400_000))
    elapsed = draw(st.integers(-(-length // 10), length - 1))
    return Window(start, start + length), start + elapsed, draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS)


@given(cases())
def test_the_limit_is_reached_at_the_first_instant_at_which_the_pace_carries_there(
    case: tuple[Window, int, int, int, int],
) -> None:
    window, at, used, burned, limit = case
    found = forecast(window, at, used=used, burned=burned, limit=limit)
    assert found is not None
    assert window.end is not None
    quarter = max(1, at - found.burn_since)

    def reached(then: int) -> bool:
        return used * quarter + burned * (then - at) >= limit * quarter

    if found.reaches_at is None:
        assert not reached(window.end - 1)
    else:
        assert at <= found.reaches_at < window.end
        assert reached(found.reaches_at)
        assert found.reaches_at == at or not reached(found.reaches_at - 1)


@given(cases(), AMOUNTS)
def test_more_burn_never_comes_later_and_more_room_never_sooner(
    case: tuple[Window, int, int, int, int], more: int
) -> None:
    window, at, used, burned, limit = case
    far = 2**63

    def reaches(burned: int, limit: int) -> int:
        found = forecast(window, at, used=used, burned=burned, limit=limit)
        assert found is not None
        return far if found.reaches_at is None else found.reaches_at

    assert reaches(burned + more, limit) <= reaches(burned, limit) <= reaches(burned, limit + more)


@given(cases())
def test_the_projection_is_the_pace_carried_on_rounded_down(case: tuple[Window, int, int, int, int]) -> None:
    window, at, used, burned, limit = case
    found = forecast(window, at, used=used, burned=burned, limit=limit)
    assert found is not None
    assert window.end is not None
    quarter = max(1, at - found.burn_since)
    over = burned * (window.end - at) - (found.projected - used) * quarter
    assert 0 <= over < quarter
