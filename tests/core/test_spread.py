"""How numbers are spread."""

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from palyra.core.spread import Spread


def test_a_number_counts_up_to_the_bound_it_equals() -> None:
    spread = Spread((1, 2.5))
    for value in (0, 1, 1.01, 2.5, 3):
        spread.add(value)
    assert spread.up_to() == [("1", 2), ("2.5", 4), ("+Inf", 5)]
    assert (spread.count, spread.total) == (5, 7.51)


@given(st.lists(st.floats(0, 100)))
def test_each_bound_has_all_that_are_at_most_as_large(values: list[float]) -> None:
    spread = Spread((1, 10, 50))
    for value in values:
        spread.add(value)
    ordered = sorted(values)
    assert [count for _, count in spread.up_to()] == [bisect_right(ordered, bound) for bound in (1, 10, 50, 1e9)]


def test_a_part_of_all_is_at_most_the_bound_it_fell_under() -> None:
    spread = Spread((1, 5, 10))
    assert spread.quantile(0.5) is None
    for value in (0.5, 4, 4, 4, 100):
        spread.add(value)
    assert [spread.quantile(part) for part in (0.0, 0.2, 0.5, 0.8, 0.99)] == [1, 1, 5, 5, 10]
