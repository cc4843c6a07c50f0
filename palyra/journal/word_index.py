"""The index of the words of notes, where this SQLite has FTS5: words are found without looking at every text.

It is never needed: without it the texts are looked through one by one. A journal that was written without it gets it
the next time that it is opened with it, and one that was written with it goes on without.
"""

import math
import sqlite3
from collections import Counter
from typing import Any

from palyra.core.word_forms import words_of
from palyra.journal.memory_schema import WORDS

INDEXED = ("memory_note_made", "memory_note_gone")
"""The triggers that keep the index; where they are, it is complete."""


def knows_words(database: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5."""
    found = database.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5' LIMIT 1")
    return found.fetchone() is not None


def fitting(sql: str, database: sqlite3.Connection) -> str:
    """A migration as this SQLite can apply it."""
    return sql if knows_words(database) else sql.replace(WORDS, "")


def indexes_words(database: sqlite3.Connection) -> bool:
    """Whether notes of this journal are found by the index."""
    return knows_words(database) and _kept(database)


def align(database: sqlite3.Connection) -> None:
    """Brings the index in line with what this SQLite can do. Raises sqlite3.Error."""
    if not knows_words(database):
        for trigger in INDEXED:
            database.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    elif not _kept(database) and _there(database, "memory_notes"):
        known = WORDS.replace("CREATE VIRTUAL TABLE", "CREATE VIRTUAL TABLE IF NOT EXISTS")
        rebuilt = "INSERT INTO memory_words (memory_words) VALUES ('rebuild')"
        dropped = " ".join(f"DROP TRIGGER IF EXISTS {trigger};" for trigger in INDEXED)
        database.executescript(f"BEGIN IMMEDIATE; {dropped} {known}; {rebuilt}; COMMIT;")


def looked_through(
    database: sqlite3.Connection, condition: str, parameters: list[Any], words: list[str], most: int
) -> list[int]:
    """The notes that have most of the words, rare ones counting more; newer ones before older."""
    wanted = set(words)
    having: dict[int, set[str]] = {}
    count = 0
    for number, text in database.execute(
        f"SELECT n.number, n.text FROM memory_notes AS n WHERE {condition}", parameters
    ):
        count += 1
        if found := wanted.intersection(words_of(text)):
            having[number] = found
    often = Counter(word for found in having.values() for word in found)
    worth = {word: math.log(1 + count / times) for word, times in often.items()}
    ranked = sorted(having, key=lambda number: (-sum(worth[word] for word in having[number]), -number))
    return ranked[:most]


def _kept(database: sqlite3.Connection) -> bool:
    return all(_there(database, trigger) for trigger in INDEXED)


def _there(database: sqlite3.Connection, name: str) -> bool:
    return database.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is not None
