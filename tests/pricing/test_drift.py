"""How far estimates are off, and when somebody should know."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.pricing import drift
from palyra.pricing.drift import DriftBook, Estimated, estimate_drift


@pytest.mark.parametrize(
    ("count", "expected", "actual", "drifting"),
    [
        (49, 100, 400, False),
        (50, 100, 400, True),
        (50, 100, 125, False),
        (50, 100, 126, True),
        (50, 100, 75, False),
        (50, 100, 74, True),
        (50, 0, 1, True),
        (50, 0, 0, False),
    ],
)
def test_sums_off_by_more_than_a_quarter_are_drift(count: int, expected: int, actual: int, drifting: bool) -> None:
    assert estimate_drift("p", "m", [Estimated(expected, actual)] * count).drifting is drifting


def test_errors_that_even_out_are_no_drift() -> None:
    found = estimate_drift("p", "m", [Estimated(100, 20), Estimated(100, 180)] * 40)
    assert found.ratio == 1
    assert not found.drifting


def test_one_overrun_among_two_hundred_is_more_than_a_thousandth() -> None:
    fine = [Estimated(100, 100)] * 199
    assert estimate_drift("p", "m", [*fine, Estimated(100, 100, overrun=True)]).drifting
    assert not estimate_drift("p", "m", [Estimated(100, 100, overrun=True), *fine, fine[0]]).drifting


def test_nothing_expected_has_no_ratio() -> None:
    assert estimate_drift("p", "m", []).ratio is None
    assert estimate_drift("p", "m", [Estimated(2, 3)]).ratio == Fraction(3, 2)


@given(samples=st.lists(st.tuples(st.sampled_from("abc"), st.builds(Estimated, st.integers(0, 9), st.integers(0, 9)))))
def test_a_book_tells_of_each_model_what_its_newest_attempts_tell(samples: list[tuple[str, Estimated]]) -> None:
    book = DriftBook()
    for model, sample in samples:
        book.add("p", model, sample)
    by_model = {model: [one for name, one in samples if name == model] for model, _ in samples}
    assert book.drifts() == tuple(estimate_drift("p", model, by_model[model]) for model in sorted(by_model))


def test_a_book_is_bounded_and_forgets_the_model_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MODELS_AT_MOST", 2)
    book = DriftBook()
    for model in ("a", "b", "a", "c"):
        book.add("p", model, Estimated(1, 1))
    assert [found.model for found in book.drifts()] == ["a", "c"]
