"""How demanding a request is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.governance.complexity import KEYWORDS, complexity


@pytest.mark.parametrize(
    ("text", "wants_json", "images", "score"),
    [
        ("hello", False, 0, 0.0007),
        ("8 bytes!", True, 1, 0.3509),
        ("word" * 3000, False, 0, 0.70),
        ("word" * 3000, True, 0, 0.90),
        ("Analyze the SECURITY of it", False, 0, 0.10 + 0.35 * 26 / 4000 + 0.35 * 7 / 3000),
        ("analyzed securityless", False, 0, 0.35 * 21 / 4000 + 0.35 * 6 / 3000),
        ("analyze analyze", False, 0, 0.05 + 0.35 * 15 / 4000 + 0.35 * 4 / 3000),
        ("x", False, 5, 0.30 + 0.35 / 4000 + 0.35 / 3000),
    ],
)
def test_complexity_adds_up_its_parts(text: str, wants_json: bool, images: int, score: float) -> None:
    assert complexity(text, wants_json=wants_json, images=images).score == pytest.approx(score, abs=5e-5)


@given(st.text(), st.booleans(), st.integers(0, 20))
def test_complexity_lies_between_nothing_and_one(text: str, wants_json: bool, images: int) -> None:
    assert 0 <= complexity(text, wants_json=wants_json, images=images).score <= 1


@given(st.lists(st.sampled_from(["Security", "ANALYZE", "regression", "_", "x", " ", ".", "é"])).map("".join))
def test_keywords_are_whole_words_wherever_a_long_text_is_cut(text: str) -> None:
    words = {word.lower() for word in re.findall(r"\w+", text)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("palyra.governance.complexity._PIECE", 3)
        found = complexity(text).keywords_part
    assert found == pytest.approx(0.05 * len(words & set(KEYWORDS)))


def test_a_long_text_is_as_demanding_as_its_bytes_up_to_a_limit() -> None:
    assert complexity("ü" * 2000).bytes_part == 0.35
    assert complexity("ü" * 1000).bytes_part == pytest.approx(0.175)
    assert complexity("ü" * 5000).tokens_part == pytest.approx(0.35 * 2500 / 3000)
    assert complexity("ü" * 6000).tokens_part == complexity("ü" * 60_000).tokens_part == 0.35
