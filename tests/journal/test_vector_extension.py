"""sqlite-vec is used where it can be; a missing or damaged one hinders nobody."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.journal import vector_extension
from palyra.journal.journal import Journal
from palyra.journal.note_rows import NOTES, VECTORS
from palyra.journal.readers.memory import NoteFilter
from palyra.journal.vector_extension import NO_EXTENSION, VectorExtension, installed_extension, knows_vectors, tried
from tests.journal.notes import MODEL, a_note, a_vector, packed
from tests.journal.samples import T0


def opened(extension: VectorExtension) -> sqlite3.Connection:
    return extension.connect(lambda: sqlite3.connect(":memory:"))


def test_the_installed_one_computes_distances_here_and_in_no_other_connection() -> None:
    extension = installed_extension()
    assert extension.problem == ""
    with closing(opened(extension)) as database, closing(sqlite3.connect(":memory:")) as other:
        distance = database.execute("SELECT vec_distance_cosine(?, ?)", (packed([1, 0]), packed([0, 1]))).fetchone()
        assert distance == (1.0,)
        assert knows_vectors(database)
        assert not knows_vectors(other)
    with closing(opened(NO_EXTENSION)) as database:
        assert not knows_vectors(database)


@pytest.mark.parametrize("damage", [b"", b"\x7fELF and nothing more", b"not a library at all"])
def test_a_damaged_library_is_told_and_not_used(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "vec0.so"
    path.write_bytes(damage)
    extension = tried(path)
    assert extension.path is None
    assert "does not load vec0.so" in extension.problem
    with closing(opened(VectorExtension(path))) as database:
        assert not knows_vectors(database)


def test_a_library_that_is_not_the_one_installed_is_not_even_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that was cut off in the middle would end the process."""
    whole = installed_extension().path
    assert whole is not None
    path = tmp_path / "vec0.so"
    path.write_bytes(whole.read_bytes()[:-1000])
    monkeypatch.setattr(vector_extension.VectorExtension, "connect", lambda *_: pytest.fail("it was opened"))
    assert tried(path, "bm90IHRoaXM").problem == "vec0.so is not the file that was installed"


def test_a_library_that_is_gone_or_was_never_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(tmp_path / "vec0.so").problem == "vec0.so cannot be read: No such file or directory"
    monkeypatch.setattr(vector_extension, "PACKAGE", "sqlite-vec-that-nobody-has")
    assert "is not installed" in installed_extension.__wrapped__().problem
    monkeypatch.setattr(vector_extension, "PACKAGE", "pytest")
    assert "no library for this machine" in installed_extension.__wrapped__().problem


@pytest.mark.skipif(hasattr(sqlite3.Connection, "enable_load_extension"), reason="this Python asks SQLite itself")
def test_where_sqlite_takes_no_extensions_none_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = installed_extension().path
    assert whole is not None
    monkeypatch.setattr(vector_extension, "_takes_extensions", lambda: False)
    assert "does not load vec0.so" in tried(whole).problem


def test_a_database_that_cannot_be_opened_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        installed_extension().connect(lambda: sqlite3.connect(f"{tmp_path.as_uri()}/none?mode=ro", uri=True))


async def test_a_journal_written_with_it_is_opened_without_it(tmp_path: Path, clock: ManualClock) -> None:
    """Nothing in the database needs it: migration, reading, writing and tidying go on."""
    kept = await Journal.open(tmp_path, clock)
    await kept.submit([NOTES.saved(a_note(1, "Kept.")), VECTORS.saved(a_vector(1, 1, 0))])
    await kept.close()
    damaged = tmp_path / "vec0.so"
    damaged.write_bytes(b"\x7fELF")
    journal = await Journal.open(tmp_path, clock, extension=tried(damaged))
    try:
        await journal.submit([NOTES.saved(a_note(2, "More.")), VECTORS.saved(a_vector(2, 0, 1))])
        await journal.tidy()
        found = await journal.readers.nearest_notes(
            NoteFilter(T0), model=MODEL, vector=packed([0, 1]), words=("kept",), most=5
        )
    finally:
        await journal.close()
    assert found.plain
    assert found.by_vector == ((2, 0.0), (1, 1.0))
    assert found.by_words == (1,)


numbers = st.lists(st.integers(-50, 50), min_size=4, max_size=4).filter(any)


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    with closing(opened(installed_extension())) as fast, closing(opened(NO_EXTENSION)) as plain:
        for database in (fast, plain):
            database.executescript(
                "CREATE TABLE memory_notes (number INTEGER PRIMARY KEY, expires_at INTEGER);"
                "CREATE TABLE memory_vectors (number INTEGER PRIMARY KEY, model TEXT, vector BLOB)"
            )
        yield fast, plain


@settings(max_examples=150, deadline=None)
@given(wanted=numbers, stored=st.lists(numbers, max_size=12), most=st.integers(1, 13))
def test_sqlite_vec_and_the_plain_scan_find_the_same(
    databases: tuple[sqlite3.Connection, sqlite3.Connection],
    wanted: list[int],
    stored: list[list[int]],
    most: int,
) -> None:
    from palyra.journal.readers.memory import _compared_by_sqlite, _compared_here

    found = []
    for database, compare in zip(databases, (_compared_by_sqlite, _compared_here), strict=True):
        database.execute("DELETE FROM memory_notes")
        database.execute("DELETE FROM memory_vectors")
        for number, one in enumerate(stored, start=1):
            database.execute("INSERT INTO memory_notes VALUES (?, NULL)", (number,))
            database.execute("INSERT INTO memory_vectors VALUES (?, ?, ?)", (number, MODEL, packed(one)))
        found.append(compare(database, "n.expires_at IS NULL", [], MODEL, packed(wanted), most))
    fast, plain = found
    assert [distance for _, distance in fast] == pytest.approx([distance for _, distance in plain], abs=1e-6)
    exact = dict(_all_distances(wanted, stored))
    for answer in found:
        assert len({number for number, _ in answer}) == len(answer) == min(most, len(stored))
        for number, distance in answer:
            assert distance == pytest.approx(exact[number], abs=1e-6)


def _all_distances(wanted: list[int], stored: list[list[int]]) -> list[tuple[int, float]]:
    def cosine(one: list[int], other: list[int]) -> float:
        product = sum(a * b for a, b in zip(one, other, strict=True))
        return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))

    return [(number, 1 - cosine(wanted, one)) for number, one in enumerate(stored, start=1)]
