"""How counters rose: few samples, and hardly an error in what they tell of the newest part."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.core.windows import Window
from palyra.governance.burn import SAMPLES_AT_MOST, BurnBook, Tally

WINDOW = Window(1_000, 1_000 + 86_400_000)
KEY = ("day", "*")


def test_what_was_charged_after_an_instant() -> None:
    book = BurnBook()
    for at, settled in ((2_000, 10), (3_000, 30), (9_000, 100)):
        book.note(KEY, WINDOW, at, settled)
    assert [book.since(KEY, WINDOW, at, 120) for at in (1_000, 1_999, 2_000, 8_999, 9_000, 10_000)] == [
        120,
        120,
        110,
        90,
        20,
        20,
    ]


def test_a_new_window_begins_at_nothing_and_an_unknown_counter_has_burned_all_it_has() -> None:
    book = BurnBook()
    book.note(KEY, WINDOW, 5_000, 70)
    assert WINDOW.end is not None
    following = Window(WINDOW.end, WINDOW.end + 86_400_000)
    assert book.since(KEY, following, following.start + 5, 3) == 3
    book.note(KEY, following, following.start + 9, 3)
    assert book.since(KEY, following, following.start + 5, 3) == 3
    assert book.since(KEY, following, following.start + 9, 3) == 0


def test_a_clock_set_back_takes_nothing_back() -> None:
    book = BurnBook()
    book.note(KEY, WINDOW, 50_000, 10)
    book.note(KEY, WINDOW, 40_000, 25)
    assert book.since(KEY, WINDOW, 45_000, 25) == 25
    assert book.since(KEY, WINDOW, 50_000, 25) == 0


def test_rises_of_windows_that_ended_are_forgotten() -> None:
    book = BurnBook()
    book.note(KEY, WINDOW, 5_000, 70)
    book.forget(KEY, WINDOW.start)
    assert len(book) == 1
    book.forget(KEY, WINDOW.start + 1)
    assert len(book) == 0
    book.forget(("other", "*"), 10**15)


def test_counting_again_replaces_what_was_noted_and_drops_what_is_gone() -> None:
    book = BurnBook()
    for policy in ("day", "kept", "gone"):
        book.note((policy, "*"), WINDOW, 5_000, 70)
    tally = Tally(WINDOW, 101_000)
    tally.add("*", WINDOW.start, 51_000, 40)
    tally.add("*", WINDOW.start - 5, 51_000, 1_000)
    tally.add("ann", WINDOW.start, 99_000, 2)
    book.restart({"day": tally}, {"day", "kept"})
    assert book.since(("day", "*"), WINDOW, 30_000, 40) == 40
    assert book.since(("day", "*"), WINDOW, 52_000, 40) == 0
    assert book.since(("day", "ann"), WINDOW, 60_000, 2) == 2
    assert book.since(("kept", "*"), WINDOW, 6_000, 70) == 0
    assert len(book) == 3


@given(st.lists(st.tuples(st.integers(1, 400_000), st.integers(0, 1_000)), min_size=1, max_size=900), st.data())
def test_what_is_told_of_any_newest_part_is_at_most_two_gaps_of_samples_off(
    charges: list[tuple[int, int]], data: st.DataObject
) -> None:
    book, at, settled = BurnBook(), WINDOW.start, 0
    history: list[tuple[int, int]] = []
    for pause, amount in charges:
        at, settled = at + pause, settled + amount
        history.append((at, amount))
        book.note(KEY, WINDOW, at, settled)
    asked = data.draw(st.integers(WINDOW.start, at))
    told = book.since(KEY, WINDOW, asked, settled)
    slack = 4 * (at - WINDOW.start) // SAMPLES_AT_MOST + 1
    least = sum(amount for then, amount in history if then > asked + slack)
    most = sum(amount for then, amount in history if then > asked - slack)
    assert least <= told <= most


@given(st.lists(st.tuples(st.integers(0, 86_400_000 - 1), st.integers(0, 1_000)), max_size=300), st.data())
def test_a_tally_tells_the_same_to_a_slot(charges: list[tuple[int, int]], data: st.DataObject) -> None:
    at = WINDOW.start + 86_400_000 - 1
    tally = Tally(WINDOW, at)
    for then, amount in charges:
        tally.add("*", WINDOW.start, WINDOW.start + then, amount)
    book = BurnBook()
    book.restart({"day": tally}, {"day"})
    settled = sum(amount for _, amount in charges)
    asked = data.draw(st.integers(0, 86_400_000 - 1))
    told = book.since(KEY, WINDOW, WINDOW.start + asked, settled)
    slot = 2 * 86_400_000 // SAMPLES_AT_MOST + 1
    least = sum(amount for then, amount in charges if then > asked + slot)
    most = sum(amount for then, amount in charges if then > asked - slot)
    assert least <= told <= most
