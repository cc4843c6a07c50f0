"""A list pages through any number of things in both directions, and never holds more than it has room for."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.tui.window import Page, Turn, Window
from tests.tui.fake_pages import paged

ROOM = 500
PAGE = 100


def journal(things: list[int], turn: Turn) -> Page[int]:
    return Page(*paged(things, turn.cursor, PAGE, upward=turn.upward))


@given(st.integers(0, 1_234), st.integers(0, 300), st.booleans(), st.booleans(), st.lists(st.booleans(), max_size=60))
def test_what_is_held_is_one_stretch_and_it_knows_which(
    number: int, beside: int, from_oldest: bool, counted: bool, downs: list[bool]
) -> None:
    things = list(range(number))
    window: Window[int] = Window(ROOM, from_oldest=from_oldest)
    assert window.add(window.first, journal(things, window.first), beside)
    if counted:
        window.count(number)
    for down in downs:
        turn = window.older if down else window.newer
        if turn is None:
            assert window.complete if down else not window.slid
            continue
        assert window.add(turn, journal(things, turn), beside)
    held = list(window)
    start = held[0] if held else 0
    assert held == things[start : start + len(held)]
    assert len(held) + (0 if window.slid else beside) <= max(ROOM, PAGE + beside)
    assert window.complete == (start + len(held) == number)
    assert window.slid == (start > 0)
    assert window.total in ((number,) if counted else (None, number))
    assert window.above in ((start,) if counted or not from_oldest else (None, start))


def test_a_hundred_thousand_are_paged_through_down_and_up() -> None:
    things = list(range(100_000))
    window: Window[int] = Window(ROOM)
    turn: Turn | None = window.first
    seen = most = 0
    while turn is not None:
        page = journal(things, turn)
        assert window.add(turn, page, 250)
        seen += len(page.items)
        most = max(most, len(window))
        turn = window.older
    assert (seen, most, window.complete, window.total) == (len(things), ROOM, True, len(things))
    while (turn := window.newer) is not None:
        assert window.add(turn, journal(things, turn), 250)
    assert (window.above, next(iter(window)), len(window)) == (0, 0, 200)


def test_a_page_that_is_not_wanted_any_more_is_dropped() -> None:
    things = list(range(300))
    window: Window[int] = Window(ROOM)
    first = journal(things, window.first)
    assert window.add(window.first, first)
    assert not window.add(window.first, first)
    assert not window.add(Turn(upward=True), first)
    assert list(window) == things[:PAGE]


def test_what_came_since_is_added_above_unless_the_window_slid_away_meanwhile() -> None:
    window: Window[int] = Window(ROOM)
    window.add(window.first, Page((9, 8), older="8"))
    again = window.again("9")
    assert again == Turn("9", upward=True)
    assert not window.slid, "nobody knows yet whether anything came"
    assert window.add(again, Page((), ""))
    assert window.add(window.again("9"), Page((12, 11, 10), older="10"))
    assert list(window) == [12, 11, 10, 9, 8]
    assert (window.above, window.slid) == (0, False)
    more = window.again("12")
    assert window.add(Turn("8"), Page(tuple(range(7, 7 - ROOM, -1)), older="x", newer="7"))
    assert window.slid
    assert not window.add(more, Page((13,), older="13"))


def test_pages_in_which_a_filter_leaves_nothing_lead_on() -> None:
    window: Window[int] = Window(ROOM)
    assert window.add(window.first, Page((), older="a"))
    assert window.add(Turn("a"), Page((), older="b", newer="a"))
    assert window.older == Turn("b")
    assert window.add(Turn("b"), Page((1,)))
    assert (list(window), window.complete, window.slid) == ([1], True, False)
