"""Numbers are told with their noun in the form people use."""

import re
from pathlib import Path

import pytest

import palyra
from palyra.core.plural import plural

COUNTED = "requests|tokens|attempts|tools|models|approvals|counters|replays|problems|overrides|decisions|days"
FIXED = re.compile(r"\{[A-Z_]+(?::,)?\} ")
"""Numbers written in the source itself, which are never one."""


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1_000, "1,000 runs"), (-1, "-1 runs")]
)
def test_only_one_of_a_thing_is_told_without_an_s(number: int, told: str) -> None:
    assert plural(number, "run") == told


def test_a_noun_may_have_a_form_of_its_own() -> None:
    assert [plural(number, "entry", "entries") for number in (1, 2)] == ["1 entry", "2 entries"]


def test_no_sentence_puts_a_number_before_a_noun_that_is_always_many() -> None:
    """`1 requests` reads as a fault of the numbers, too."""
    pattern = re.compile(rf"\{{[^{{}}]+\}} (?:{COUNTED})\b")
    found = []
    for path in sorted(Path(palyra.__file__).parent.rglob("*.py")):
        for number, text in enumerate(path.read_text().splitlines(), start=1):
            if pattern.search(FIXED.sub("", text)):
                found.append(f"{path.name}:{number}: {text.strip()}")
    assert found == []
