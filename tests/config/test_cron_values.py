"""What the fields of an expression choose, against a reading of them item by item."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.config.cron import FIELDS, Field, check_cron, cron_values


@st.composite
def items(draw: st.DrawFn, field: Field) -> tuple[str, frozenset[int]]:
    """One item of a list, and what it chooses."""
    first = draw(st.integers(field.low, field.high))
    last = draw(st.integers(first, field.high))
    step = draw(st.integers(1, field.high))
    return draw(
        st.sampled_from(
            [
                ("*", frozenset(range(field.low, field.high + 1))),
                (f"*/{step}", frozenset(range(field.low, field.high + 1, step))),
                (str(first), frozenset([first])),
                (f"{first}-{last}", frozenset(range(first, last + 1))),
                (f"{first}-{last}/{step}", frozenset(range(first, last + 1, step))),
                (f"{first}-{first}", frozenset([first])),
            ]
        )
    )


@st.composite
def expressions(draw: st.DrawFn) -> tuple[str, dict[str, frozenset[int]]]:
    words: list[str] = []
    chosen: dict[str, frozenset[int]] = {}
    for field in FIELDS:
        listed = draw(st.lists(items(field), min_size=1, max_size=3))
        words.append(",".join(word for word, _ in listed))
        values = frozenset[int]().union(*(values for _, values in listed))
        chosen[field.name] = frozenset(value % 7 for value in values) if field.name == "weekday" else values
    return " ".join(words), chosen


@given(expressions())
def test_a_field_chooses_what_its_items_say(given: tuple[str, dict[str, frozenset[int]]]) -> None:
    expression, chosen = given
    if all("never fire" in problem for problem in check_cron(expression)):
        assert cron_values(expression) == chosen


def test_names_choose_what_they_stand_for() -> None:
    assert cron_values("4-4 0 * FEB-apr fri-sun") == {
        "minute": frozenset([4]),
        "hour": frozenset([0]),
        "day": frozenset(range(1, 32)),
        "month": frozenset([2, 3, 4]),
        "weekday": frozenset([5, 6, 0]),
    }
