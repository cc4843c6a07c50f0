"""Notes in the journal: kept, found by word and by vector, gone without a trace."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.journal import Journal
from palyra.journal.note_rows import NOTES, UPKEEP, UPKEEP_ID, VECTORS, MemoryUpkeepRow
from palyra.journal.readers.memory import NoteFilter
from palyra.journal.vector_extension import NO_EXTENSION
from palyra.journal.writer import UnitRefusedError
from tests.journal.notes import MODEL, a_note, a_vector, packed
from tests.journal.samples import T0
from tests.journal.test_migrating import older

LOGS = a_note(1, "The nightly backup of the logs took four hours.")
DISK = a_note(2, "Disk three of the old server is loud.")
CAT = a_note(3, "The cat sleeps on the server.", owner="bob")
LATER = T0 + 86_400_000


async def test_a_note_and_its_upkeep_come_back_as_they_were_kept(journal: Journal) -> None:
    upkeep = MemoryUpkeepRow(UPKEEP_ID, 1, T0, 5, 1, 2, 3, 4096, 2048, True, None, "")
    ended = replace(DISK, expires_at=T0 + 9, recalled_at=T0 + 3)
    await journal.submit([NOTES.saved(LOGS), NOTES.saved(ended), UPKEEP.saved(upkeep)])
    readers = journal.readers
    assert await readers.note("note-1") == LOGS
    assert await readers.note("note-9") is None
    assert await readers.note_alike("ann", ("job", "nightly"), LOGS.digest) == (LOGS, 3)
    assert await readers.note_alike("bob", ("job", "nightly"), LOGS.digest) == (None, 3)
    assert set(await readers.notes_numbered([2, 1, 7])) == {LOGS, ended}
    assert await readers.memory_upkeep() == upkeep
    assert [row.number for row in await readers.least_used_notes(T0 + 8, 9)] == [1, 2]
    assert [row.number for row in await readers.least_used_notes(T0 + 9, 9)] == [1]
    assert [row.number for row in await readers.expired_notes(T0 + 9, 9)] == [2]


async def test_a_list_shows_the_newest_first_and_nothing_that_has_ended(journal: Journal) -> None:
    rows = [LOGS, replace(DISK, expires_at=T0 + 10), CAT, a_note(4, "Anywhere.", scope="global", value="")]
    await journal.submit([NOTES.saved(row) for row in rows])
    readers = journal.readers

    async def ids(which: NoteFilter, **page: int) -> list[int]:
        return [row.number for row in await readers.notes(which, **page)]

    assert await ids(NoteFilter(T0 + 9)) == [4, 3, 2, 1]
    assert await ids(NoteFilter(T0 + 10)) == [4, 3, 1]
    assert await ids(NoteFilter(T0 + 10, "ann")) == [4, 1]
    assert await ids(NoteFilter(T0 + 10, "ann", (("global", ""), ("session", "x")))) == [4]
    assert await ids(NoteFilter(T0 + 10, scope="job")) == [3, 1]
    assert await ids(NoteFilter(T0), limit=2) == [4, 3]
    assert await ids(NoteFilter(T0), limit=2, before=3) == [2, 1]


async def test_an_owner_has_a_text_in_a_place_once(journal: Journal) -> None:
    await journal.submit([NOTES.saved(LOGS)])
    with pytest.raises(UnitRefusedError):
        await journal.submit([NOTES.saved(replace(LOGS, number=5, note_id="note-5"))])
    with pytest.raises(UnitRefusedError, match="never changed"):
        await journal.submit([NOTES.saved(replace(LOGS, version=2, text="Something else."))])
    await journal.submit([NOTES.saved(replace(LOGS, number=5, note_id="note-5", owner="bob"))])
    assert (await journal.readers.note_counts(T0, MODEL)).entries == 2


@pytest.fixture(params=["sqlite-vec", "plain"])
async def searched(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    extension = NO_EXTENSION if request.param == "plain" else None
    journal = await Journal.open(tmp_path, clock, extension=extension)
    rows = [LOGS, DISK, CAT]
    vectors = [a_vector(1, 1, 0), a_vector(2, 1, 1), a_vector(3, 0, 1)]
    await journal.submit([*(NOTES.saved(row) for row in rows), *(VECTORS.saved(row) for row in vectors)])
    yield journal
    await journal.close()


async def test_the_nearest_vectors_and_the_best_words_are_found(searched: Journal) -> None:
    found = await searched.readers.nearest_notes(
        NoteFilter(T0), model=MODEL, vector=packed([1, 0.1]), words=("server", "the", "nothing"), most=2
    )
    assert [number for number, _ in found.by_vector] == [1, 2]
    assert found.by_vector[0][1] == pytest.approx(0.00496, abs=1e-5)
    assert found.by_vector[1][1] == pytest.approx(0.22604, abs=1e-5)
    assert set(found.by_words) == {2, 3}
    assert found.plain is (searched.extension is NO_EXTENSION)


async def test_a_search_keeps_to_its_filter_and_its_model(searched: Journal) -> None:
    async def numbers(which: NoteFilter, model: str = MODEL, size: int = 2) -> tuple[list[int], list[int]]:
        found = await searched.readers.nearest_notes(
            which, model=model, vector=packed([1] * size), words=("server",), most=9
        )
        return sorted(number for number, _ in found.by_vector), sorted(found.by_words)

    assert await numbers(NoteFilter(T0, "bob")) == ([3], [3])
    assert await numbers(NoteFilter(T0, "ann", (("job", "other"),))) == ([], [])
    assert await numbers(NoteFilter(T0), model="another") == ([], [2, 3])
    assert await numbers(NoteFilter(T0), size=3) == ([], [2, 3])
    await searched.submit([NOTES.saved(replace(DISK, version=2, expires_at=LATER))])
    assert await numbers(NoteFilter(LATER - 1)) == ([1, 2, 3], [2, 3])
    assert await numbers(NoteFilter(LATER)) == ([1, 3], [3])


async def test_a_deleted_note_takes_its_vector_and_its_words_along(searched: Journal) -> None:
    await searched.submit([NOTES.forgotten(2)])
    readers = searched.readers
    found = await readers.nearest_notes(NoteFilter(T0), model=MODEL, vector=packed([1, 1]), words=("loud",), most=9)
    assert sorted(number for number, _ in found.by_vector) == [1, 3]
    assert found.by_words == ()
    assert await readers.note_vectors([1, 2, 3]) == {1: (1, MODEL), 3: (1, MODEL)}


async def test_what_has_no_vector_of_the_model_is_told(searched: Journal) -> None:
    await searched.submit([NOTES.saved(a_note(4, "New.")), NOTES.saved(replace(a_note(5, "Old."), expires_at=T0))])
    readers = searched.readers

    async def waiting(model: str, *without: int) -> list[int]:
        return [row.number for row in await readers.notes_without_vector(T0, model, 3, without)]

    assert await waiting(MODEL) == [4]
    assert await waiting("another") == [1, 2, 3]
    assert await waiting("another", 1, 3) == [2, 4]
    counts = await readers.note_counts(T0, MODEL)
    assert (counts.entries, counts.indexed, counts.expired, counts.by_scope) == (4, 3, 1, {"job": 4})
    assert (await readers.note_counts(T0, "another")).indexed == 0


async def test_nothing_of_a_deleted_text_is_left_in_the_file(tmp_path: Path, clock: ManualClock) -> None:
    """The words of the index as well, and also where others were deleted with it."""
    secret = "xyloquartz"
    journal = await Journal.open(tmp_path, clock)
    for number in range(1, 200):
        text = f"note {number} about {'things ' * 40}{secret if number == 77 else ''}"
        await journal.submit([NOTES.saved(a_note(number, text)), VECTORS.saved(a_vector(number, 1, number))])
    assert secret.encode() in (tmp_path / "journal.db-wal").read_bytes()
    await journal.submit([NOTES.forgotten(number) for number in range(70, 190)])
    tidied = await journal.tidy()
    assert tidied.bytes_after < tidied.bytes_before
    assert tidied.bytes_after == (tmp_path / "journal.db").stat().st_size
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"note 7 about" in left
    assert secret.encode() not in left
    await journal.close()


async def test_an_index_that_was_tidied_still_finds_everything(journal: Journal) -> None:
    for number in range(1, 40):
        await journal.submit([NOTES.saved(a_note(number, f"word{number} shared"))])
    await journal.submit([NOTES.forgotten(number) for number in range(1, 20)])
    await journal.tidy()
    again = await journal.tidy()
    assert again.bytes_after == again.bytes_before
    found = await journal.readers.nearest_notes(
        NoteFilter(T0), model=MODEL, vector=None, words=("shared", "word5", "word30"), most=99
    )
    assert sorted(found.by_words) == list(range(20, 40))
    assert found.by_words[0] == 30


async def test_an_older_journal_learns_to_keep_notes(tmp_path: Path, clock: ManualClock) -> None:
    with closing(older(tmp_path, 13)):
        pass
    journal = await Journal.open(tmp_path, clock)
    try:
        assert await journal.readers.memory_upkeep() is None
        await journal.submit([NOTES.saved(LOGS), VECTORS.saved(a_vector(1, 1, 0))])
        assert await journal.readers.notes(NoteFilter(T0)) == (LOGS,)
    finally:
        await journal.close()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
