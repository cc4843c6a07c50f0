"""Prepared lines: every line fits its width, and nothing is lost by wrapping."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.core.safe_text import cells, safe
from palyra.tui.details.layout import pairs, table
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, cut, line, muted, part, spread, text_of, width_of, wrap

TEXTS = st.text(max_size=60)
WIDTHS = st.integers(1, 100)


@given(st.lists(TEXTS, max_size=4), WIDTHS)
def test_a_cut_line_is_never_wider_and_says_that_it_is_cut(texts: list[str], width: int) -> None:
    whole = line(*texts)
    shown = cut(whole, width)
    assert width_of(shown) <= width
    if width_of(whole) <= width:
        assert shown == whole
    elif width > 1:
        assert "…" in text_of(shown) or width_of(shown) < width


@given(TEXTS, TEXTS, WIDTHS)
def test_both_ends_of_a_spread_line_meet_its_width(left: str, right: str, width: int) -> None:
    shown = spread(line(left), line(right), width)
    assert width_of(shown) <= width
    if cells(safe(right)) < width:
        assert width_of(shown) == width
        assert text_of(shown).endswith(safe(right))


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.integers(4, 80))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    rows = wrap(text, width, indent=" ", hang="  ")
    assert all(width_of(row) <= width + 1 for row in rows)
    written = "".join("".join(text_of(row).split()) for row in rows)
    assert written == "".join(safe(text, multiline=True).split())


def test_wrapping_breaks_between_words_and_hangs() -> None:
    rows = [text_of(row) for row in wrap("one two three", 8, indent="* ", hang="  ")]
    assert rows == ["* one", "  two", "  three"]


def full(rows: list[Line]) -> str:
    return "".join("".join(text_of(row).split()) for row in rows)


@given(st.lists(st.tuples(st.sampled_from(["who", "session", "complexity"]), TEXTS), max_size=6), st.integers(40, 130))
def test_pairs_never_hide_a_value(values: list[tuple[str, str]], width: int) -> None:
    rows = pairs([(label, part(text)) for label, text in values], width)
    assert all(width_of(row) <= width + 1 for row in rows)
    for _, text in values:
        assert "…" not in full(rows) or any("…" in given for _, given in values)
        assert "".join(safe(text).split()) in full(rows)


def test_short_pairs_stand_beside_each_other_where_there_is_room() -> None:
    values = [("who", part("maria")), ("session", part("s1")), ("model", muted("gpt"))]
    assert len(pairs(values, 80)) == 2
    assert len(pairs(values, 50)) == 3
    assert all(row[-1].tone is not Tone.BAD for row in pairs(values, 80))


def test_a_table_aligns_and_puts_what_is_too_long_above_its_row() -> None:
    name = "a-budget-with-a-very-long-name-indeed"
    rows = [
        text_of(row)
        for row in table(["budget", "used"], [["day", "$1.00"], [name, "$20.00"]], 30, right=frozenset([1]))
    ]
    assert [row.rstrip() for row in rows] == [
        " budget" + 19 * " " + "used",
        " day" + 21 * " " + "$1.00",
        " a-budget-with-a-very-long-na",
        " me-indeed",
        24 * " " + "$20.00",
    ]
