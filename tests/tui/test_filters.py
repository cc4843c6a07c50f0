"""`/` keeps rows that hold every word; `field:value` looks at one field, a leading `!` turns a word round."""

import pytest

from palyra.tui.filters import parse_filter

FIELDS = ("who", "model", "state")
ROW = {"who": "maria", "model": "anthropic/claude-opus-5", "state": "completed"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("maria", True),
        ("MARIA opus", True),
        ("maria gpt", False),
        ("who:maria", True),
        ("who:opus", False),
        ("!gpt", True),
        ("!maria", False),
        ("!state:completed", False),
        ("!state:failed model:claude", True),
        ("who:", True),
        ("!", True),
        ("nofield:maria", False),
        ("[/b]", False),
        ("  maria   opus ", True),
    ],
)
def test_a_filter_keeps_rows_that_hold_all_its_words(text: str, kept: bool) -> None:
    assert parse_filter(text, FIELDS).matches(ROW) is kept


def test_a_colon_after_no_field_is_text() -> None:
    assert parse_filter("default:jobs", FIELDS).matches({"session": "default:jobs"})


def test_a_field_that_a_row_lacks_never_matches_but_its_opposite_does() -> None:
    assert not parse_filter("who:x", FIELDS).matches({"model": "m"})
    assert parse_filter("!who:x", FIELDS).matches({"model": "m"})


def test_an_empty_filter_is_false() -> None:
    assert not parse_filter("  ", FIELDS)
    assert parse_filter("x", FIELDS)
