"""Notes are found by their words with the index of SQLite's FTS5 and, where a SQLite has none, without it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal import word_index
from palyra.journal.journal import Journal
from palyra.journal.note_rows import NOTES
from palyra.journal.readers.memory import NoteFilter
from tests.journal.notes import a_note
from tests.journal.samples import T0

TEXTS = ("The disk is full", "café in Łódź", "the cat of the disk", "nothing at all")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This SQLite has no FTS5: what names it in a statement fails the test."""
    monkeypatch.setattr(word_index, "knows_words", lambda database: False)
    return monkeypatch


async def found(journal: Journal, *words: str, most: int = 9) -> list[int]:
    nearest = await journal.readers.nearest_notes(NoteFilter(T0), model="m", vector=None, words=words, most=most)
    return list(nearest.by_words)


async def kept(journal: Journal, first: int = 1) -> None:
    for number, text in enumerate(TEXTS, start=first):
        await journal.submit([NOTES.saved(a_note(number, f"{text} {first}"))])


def names(state_dir: Path) -> set[str]:
    with closing(sqlite3.connect(state_dir / "journal.db")) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}


def test_this_sqlite_is_asked_whether_it_has_it() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        options = {option for (option,) in database.execute("PRAGMA compile_options")}
        assert word_index.knows_words(database) is ("ENABLE_FTS5" in options)


async def test_a_journal_is_made_used_and_tidied_without_the_index(
    tmp_path: Path, clock: ManualClock, without: pytest.MonkeyPatch
) -> None:
    journal = await Journal.open(tmp_path, clock)
    try:
        assert not names(tmp_path) & {"memory_words", "memory_vocabulary", *word_index.INDEXED}
        await kept(journal)
        assert not await journal.readers.words_indexed()
        assert await found(journal, "disk") == [3, 1]
        assert await found(journal, "disk", "full") == [1, 3]
        assert await found(journal, "cafe", "lodz") == [2]
        assert await found(journal, "disk", most=1) == [3]
        assert await found(journal, "dis") == await found(journal) == []
        await journal.submit([NOTES.forgotten(3)])
        await journal.tidy()
        assert await found(journal, "disk") == [1]
    finally:
        await journal.close()


async def test_what_was_written_without_the_index_is_found_by_it_later(
    tmp_path: Path, clock: ManualClock, without: pytest.MonkeyPatch
) -> None:
    journal = await Journal.open(tmp_path, clock)
    await kept(journal)
    await journal.close()
    without.undo()
    again = await Journal.open(tmp_path, clock)
    try:
        assert await again.readers.words_indexed()
        assert sorted(await found(again, "disk")) == [1, 3]
        await again.submit([NOTES.forgotten(3)])
        assert await found(again, "disk") == [1]
    finally:
        await again.close()


async def test_a_journal_goes_on_without_the_index_it_had_and_gets_it_back_whole(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await Journal.open(tmp_path, clock)
    await kept(journal)
    await journal.close()
    with monkeypatch.context() as poor:
        poor.setattr(word_index, "knows_words", lambda database: False)
        journal = await Journal.open(tmp_path, clock)
        await journal.submit([NOTES.forgotten(1)])
        await kept(journal, 11)
        assert await found(journal, "disk") == [13, 11, 3]
        await journal.close()
    journal = await Journal.open(tmp_path, clock)
    try:
        assert sorted(await found(journal, "disk")) == [3, 11, 13]
    finally:
        await journal.close()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.execute("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')")
