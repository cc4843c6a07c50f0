"""Giving space back to the disk, and with it the last traces of what was deleted, in steps nobody waits for long.

VACUUM would rewrite the whole file while every request waits. Instead the word index is merged, so that words of
deleted texts leave it, and free pages are moved to the end of the file and cut off, some pages at a time.
"""

import sqlite3
from collections.abc import Callable

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.journal.connection import BUSY_SECONDS, Connection
from palyra.journal.word_index import indexes_words

STEP_SECONDS = 0.02
"""What a step is made to take at most: half as many pages follow one that took longer, twice as many a short one."""
FIRST_PAGES, MOST_PAGES = 16, 4096


@value
class Tidied:
    """Bytes of the database before and after, and how many pieces the work was done in, the longest in seconds."""

    bytes_before: int
    bytes_after: int
    steps: int
    longest_s: float


async def tidy(connection: Connection, clock: Clock) -> Tidied:
    """Runs on the connection that writes; commits go in between. Raises sqlite3.Error."""
    before = await connection.run(_size)
    pages, steps, longest = FIRST_PAGES, 0, 0.0
    for step in (_Merge(), _Free()):
        more = True
        while more:
            more, took = await connection.run(_timed(step, pages, clock))
            steps, longest = steps + 1, max(longest, took)
            if took > STEP_SECONDS:
                pages = max(1, pages // 2)
            elif took < STEP_SECONDS / 2:
                pages = min(pages * 2, MOST_PAGES)
    await connection.run(_empty_wal)
    return Tidied(before, await connection.run(_size), steps, longest)


def _timed(
    step: "Callable[[sqlite3.Connection, int], bool]", pages: int, clock: Clock
) -> Callable[[sqlite3.Connection], tuple[bool, float]]:
    def job(database: sqlite3.Connection) -> tuple[bool, float]:
        began = clock.monotonic()
        return step(database, pages), clock.monotonic() - began

    return job


class _Merge:
    """Merges the word index into one piece. The first call says that all of it is meant.

    Source: https://www.sqlite.org/fts5.html#the_merge_command
    """

    def __init__(self) -> None:
        self._begun = False

    def __call__(self, database: sqlite3.Connection, pages: int) -> bool:
        if not indexes_words(database):
            return False
        changes = database.total_changes
        rank = pages if self._begun else -pages
        self._begun = True
        database.execute("INSERT INTO memory_words (memory_words, rank) VALUES ('merge', ?)", (rank,))
        return database.total_changes - changes >= 2


class _Free:
    def __call__(self, database: sqlite3.Connection, pages: int) -> bool:
        free = _free_pages(database)
        if free:
            # A script is run to its end, where a statement without columns would stop at its first page.
            database.executescript(f"PRAGMA incremental_vacuum({pages:d})")
        return 0 < _free_pages(database) < free


def _free_pages(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA freelist_count").fetchone()[0])


def _size(database: sqlite3.Connection) -> int:
    (pages,), (size,) = (database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages) * int(size)


def _empty_wal(database: sqlite3.Connection) -> None:
    """Copies the WAL into the database and empties it, unless somebody reads: the next checkpoint does it then."""
    database.execute("PRAGMA busy_timeout = 0")
    try:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        database.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000):d}")
