"""Whether what is looked for is found: on a small library of notes, by word, by part of a word, and by both."""

import math
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.word_forms import words_of
from palyra.journal.readers.memory import NoteFilter
from palyra.memory.memory import Memory
from palyra.memory.ranking import joined
from palyra.memory.search import Search
from palyra.memory.words import (
    DIMENSIONS,
    MAX_WORDS,
    WORDS_MODEL,
    pack,
    search_words,
    to_length_one,
    words_vector,
)
from tests.memory.keeping import Keeping, keep

LIBRARY = {
    "backup": "The nightly backup of the database to the second site took four hours and eleven minutes.",
    "disk": "Disk three of the old file server reports reallocated sectors; replace it before winter.",
    "invoice": "Invoices of the supplier Brandt are due after thirty days, never after fourteen.",
    "deploy": "Deployments on Friday are forbidden since the outage of the payment service in May.",
    "cat": "The office cat is called Mimir and must not be fed tuna.",
    "password": "Passwords are rotated every ninety days; the vault refuses the last ten.",
    "tone": "The weekly report is written in British English, in short sentences, without adjectives.",
    "timezone": "Customers in Auckland are one day ahead; schedule their maintenance on Thursday in UTC.",
    "cafe": "Das Café Zürich liefert Kuchen für Geburtstage, bestellt wird am Vortag.",
    "query": "The slow query on orders was cured by an index over customer and creation date.",
    "license": "The PDF library has an AGPL license and may not be shipped to customers.",
    "on_call": "On call this week is Ines; her deputy is Tomasz.",
}
ASKED = [
    ("how long does the database backup take", "backup"),
    ("back-ups at night", "backup"),
    ("failing disks in the server", "disk"),
    ("payment terms for supplier invoices", "invoice"),
    ("may I deploy on a Friday?", "deploy"),
    ("what does the cat eat, tuna?", "cat"),
    ("rotation of passwords", "password"),
    ("which style for the weekly report", "tone"),
    ("maintenance window of the customers in Auckland", "timezone"),
    ("cafe zurich", "cafe"),
    ("KUCHEN bestellen", "cafe"),
    ("indexes that cure slow queries", "query"),
    ("licensing of the PDF library", "license"),
    ("who is on call?", "on_call"),
    ("deputies", "on_call"),
    ("reallocation of sectors", "disk"),
]


async def library(keeping: Keeping) -> Memory:
    memory = await keeping.memory()
    for text in LIBRARY.values():
        await keep(memory, text)
    return memory


async def test_questions_find_their_note_first_nearly_always_and_among_three_always(keeping: Keeping) -> None:
    memory = await library(keeping)
    places = {}
    for asked, wanted in ASKED:
        found = [note.text for note in (await memory.search(Search(asked, 12, "ann"))).notes]
        places[asked] = found.index(LIBRARY[wanted]) + 1
    assert {asked: place for asked, place in places.items() if place > 3} == {}
    assert sum(place == 1 for place in places.values()) >= len(ASKED) - 3


@pytest.mark.parametrize(("asked", "wanted"), [("deputies", "on_call"), ("reallocation", "disk")])
async def test_vectors_find_parts_of_words_that_the_word_index_does_not_know(
    keeping: Keeping, asked: str, wanted: str
) -> None:
    await library(keeping)
    nearest = await keeping.journal.readers.nearest_notes(
        NoteFilter(keeping.clock.now_ms()),
        model=WORDS_MODEL,
        vector=words_vector(asked),
        words=search_words(asked),
        most=3,
    )
    assert nearest.by_words == ()
    rows = await keeping.journal.readers.notes_numbered([number for number, _ in nearest.by_vector])
    assert LIBRARY[wanted] in {row.text for row in rows}


async def test_nothing_to_look_for_finds_nothing(keeping: Keeping) -> None:
    memory = await library(keeping)
    found = await memory.search(Search(" \n ", 3, "ann"))
    assert (found.notes, found.by_meaning) == ((), False)


@pytest.mark.parametrize(
    "asked", ['"', "a OR b NOT", "text:cat*", "NEAR(a b)", "🐈‍⬛ 猫", "' ; DROP TABLE", "\x00", "(" * 99]
)
async def test_any_text_may_be_looked_for(keeping: Keeping, asked: str) -> None:
    memory = await library(keeping)
    assert len((await memory.search(Search(asked, 3, "ann"))).notes) == 3


def test_words_are_as_the_index_has_them() -> None:
    assert words_of("Das Café ZÜRICH, it's 3.5_x") == ["das", "cafe", "zurich", "it", "s", "3", "5", "x"]
    assert search_words("a bb ccc bb") == ["ccc", "bb", "a"]
    assert len(search_words(" ".join(f"w{number}" for number in range(100)))) == MAX_WORDS


def numbers(packed: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(packed) // 4}f", packed)


@given(st.text(min_size=1, max_size=300))
def test_every_text_has_a_vector_of_length_one(text: str) -> None:
    vector = numbers(words_vector(text))
    assert len(vector) == DIMENSIONS
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)


def test_vectors_are_equal_in_every_process() -> None:
    """Python hashes texts differently in each."""
    source = "from palyra.memory.words import words_vector; print(words_vector('The office cat, Mimir').hex())"
    other = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout.strip()
    assert other == words_vector("The office cat, Mimir").hex()
    assert other.startswith(words_vector("the OFFICE cat mimir").hex()[:64])


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_a_vector_without_a_direction_is_refused(vector: list[float]) -> None:
    with pytest.raises(ValueError, match="without a direction"):
        pack(vector)
    assert numbers(pack([3.0, 4.0])) == pytest.approx((0.6, 0.8))
    assert to_length_one([0.0, -2.0]) == [0.0, -1.0]


def test_two_good_places_beat_one_best_place() -> None:
    assert joined([[1, 2, 3], [4, 2, 5]], 3) == [2, 4, 1]
    assert joined([[], []], 3) == []
    assert joined([[7], []], 3) == [7]


@given(
    st.lists(st.integers(0, 9), unique=True),
    st.lists(st.integers(0, 9), unique=True),
    st.integers(0, 12),
)
def test_joining_loses_and_doubles_nothing(first: list[int], second: list[int], most: int) -> None:
    best = joined([first, second], most)
    assert len(best) == len(set(best)) == min(most, len({*first, *second}))
    whole = joined([first, second], 99)
    assert whole[: len(best)] == best
    assert joined([second, first], 99) == whole
    assert not first or not second or first[0] != second[0] or whole[0] == first[0]
