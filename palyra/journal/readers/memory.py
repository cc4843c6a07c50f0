"""Notes: listed, counted, and searched by vector and by word. The rules of what is found first are not made here."""

import json
import math
import sqlite3
from array import array
from collections.abc import Sequence
from heapq import nsmallest
from operator import mul
from typing import Any

from palyra.core.values import value
from palyra.journal.note_rows import (
    NOTES,
    TRACES,
    UNSETTLED,
    UPKEEP,
    VECTORS,
    MemoryNoteRow,
    MemoryTracesRow,
    MemoryUpkeepRow,
    NoteCounts,
)
from palyra.journal.readers.query import Query
from palyra.journal.vector_extension import knows_vectors
from palyra.journal.word_index import indexes_words, looked_through

MAX_PAGE = 512
POSTINGS = 10_000
"""How many places in the word index one search reads at most: the rarest words come first. Some 10 ms."""
Place = tuple[str, str]
"""A scope and its value."""


@value
class NoteFilter:
    """Which notes: of one owner (None: anybody's) and in any of these places (none: anywhere), alive at `now`."""

    now: int
    owner: str | None = None
    places: tuple[Place, ...] = ()
    scope: str = ""


@value
class Nearest:
    """Numbers of notes, best first: by vector with the cosine distance (0 same, 1 unrelated, 2 opposite), and by word.

    `plain`: distances were not computed by SQLite.
    """

    by_vector: tuple[tuple[int, float], ...]
    by_words: tuple[int, ...]
    plain: bool


class MemoryReaders(Query):
    """Reads notes and their vectors."""

    async def note(self, note_id: str) -> MemoryNoteRow | None:
        """A note, expired or not."""
        rows = await self._saved(NOTES, "WHERE note_id = ? LIMIT 1", (note_id,))
        return rows[0] if rows else None

    async def notes_numbered(self, numbers: Sequence[int]) -> tuple[MemoryNoteRow, ...]:
        """Those of these notes that exist, in any order."""
        return await self._saved(
            NOTES, "WHERE number IN (SELECT value FROM json_each(?)) LIMIT -1", (json.dumps(list(numbers)),)
        )

    async def note_alike(self, owner: str, place: Place, digest: str) -> tuple[MemoryNoteRow | None, int]:
        """The note of that text there, expired or not, and the number that the next new note takes."""
        rows = await self._saved(
            NOTES, "WHERE owner = ? AND scope = ? AND scope_value = ? AND digest = ? LIMIT 1", (owner, *place, digest)
        )
        (number,) = await self._listed(_NEXT_NUMBER, lambda values: int(values[0]))
        return (rows[0] if rows else None), number

    async def unsettled_notes(self) -> tuple[MemoryNoteRow, ...]:
        """Answers that were written with the ends of their runs and not looked at since, oldest first."""
        return await self._saved(NOTES, f"WHERE digest LIKE '{UNSETTLED}%' ORDER BY number LIMIT -1", ())

    async def notes(
        self, which: NoteFilter, *, limit: int = 50, before: int | None = None
    ) -> tuple[MemoryNoteRow, ...]:
        """The newest first; `before` is the number of the last one seen."""
        condition, parameters = _condition(which)
        if before is not None:
            condition, parameters = f"{condition} AND n.number < ?", [*parameters, before]
        tail = f"AS n WHERE {condition} ORDER BY number DESC LIMIT ?"
        return await self._saved(NOTES, tail, (*parameters, max(1, min(limit, MAX_PAGE))))

    async def expired_notes(self, now: int, limit: int) -> tuple[MemoryNoteRow, ...]:
        """Those that ended first."""
        return await self._saved(NOTES, "WHERE expires_at <= ? ORDER BY expires_at, number LIMIT ?", (now, limit))

    async def least_used_notes(self, now: int, limit: int) -> tuple[MemoryNoteRow, ...]:
        """Of those that have not ended, the ones that were made, renewed or recalled longest ago."""
        tail = "WHERE (expires_at IS NULL OR expires_at > ?) ORDER BY used_at, number LIMIT ?"
        return await self._saved(NOTES, tail, (now, limit))

    async def notes_without_vector(
        self, now: int, model: str, limit: int, without: Sequence[int] = ()
    ) -> tuple[MemoryNoteRow, ...]:
        """The oldest notes that have no vector of this model, but those with the numbers `without`."""
        tail = (
            "WHERE (expires_at IS NULL OR expires_at > ?) AND NOT EXISTS"
            " (SELECT 1 FROM memory_vectors AS v WHERE v.number = memory_notes.number AND v.model = ?)"
            " AND number NOT IN (SELECT value FROM json_each(?)) ORDER BY number LIMIT ?"
        )
        return await self._saved(NOTES, tail, (now, model, json.dumps(list(without)), limit))

    async def note_vectors(self, numbers: Sequence[int]) -> dict[int, tuple[int, str]]:
        """Of the notes with these numbers that have a vector, its version and its model."""
        sql = (
            "SELECT json_group_array(json_array(number, version, model)) FROM memory_vectors"
            " WHERE number IN (SELECT value FROM json_each(?))"
        )
        asked = (json.dumps(list(numbers)),)
        return dict(await self._listed(sql, lambda values: (values[0], (values[1], values[2])), asked))

    async def note_counts(self, now: int, model: str) -> NoteCounts:
        """How many notes there are, and what they weigh in bytes."""

        def counts(values: list[Any]) -> NoteCounts:
            return NoteCounts(values[0], values[1], values[2], values[3], dict(values[4]))

        (counted,) = await self._listed(_COUNTS, counts, (now, model, now, now))
        return counted

    async def words_indexed(self) -> bool:
        """Whether words are found by an index, or by looking through every text."""
        return await self._pool.run(indexes_words)

    async def memory_upkeep(self) -> MemoryUpkeepRow | None:
        """What the last upkeep did."""
        rows = await self._saved(UPKEEP, "LIMIT 1")
        return rows[0] if rows else None

    async def memory_traces(self) -> MemoryTracesRow | None:
        """What the memory noted of itself."""
        rows = await self._saved(TRACES, "LIMIT 1")
        return rows[0] if rows else None

    async def nearest_notes(
        self, which: NoteFilter, *, model: str, vector: bytes | None, words: Sequence[str], most: int
    ) -> Nearest:
        """The `most` notes that are nearest to a vector (None: none is) and those that have most of the words.

        `words` are in lower case. Only vectors of `model` that are as long as this one are compared.
        """
        condition, parameters = _condition(which)

        def job(database: sqlite3.Connection) -> Nearest:
            plain = not knows_vectors(database)
            by_vector: list[tuple[int, float]] = []
            if vector is not None:
                compare = _compared_here if plain else _compared_by_sqlite
                by_vector = compare(database, condition, parameters, model, vector, most)
            found = _with_words(database, condition, parameters, words, most)
            return Nearest(tuple(by_vector), tuple(found), plain)

        return await self._pool.run(job)


_NEXT_NUMBER = "SELECT json_array(json_array(ifnull(max(number), 0) + 1)) FROM memory_notes"

_COUNTS = """
WITH alive AS (SELECT * FROM memory_notes WHERE expires_at IS NULL OR expires_at > ?)
SELECT json_array(json_array(
  (SELECT count(*) FROM alive),
  (SELECT ifnull(sum(bytes), 0) FROM alive),
  (SELECT count(*) FROM memory_vectors AS v JOIN memory_notes AS n ON n.number = v.number
    WHERE v.model = ? AND (n.expires_at IS NULL OR n.expires_at > ?)),
  (SELECT count(*) FROM memory_notes WHERE expires_at <= ?),
  (SELECT json_group_array(json_array(scope, count)) FROM (SELECT scope, count(*) AS count FROM alive GROUP BY scope))
))
"""


def _condition(which: NoteFilter) -> tuple[str, list[Any]]:
    """A condition on `n`, and what it is asked with."""
    parts, parameters = ["(n.expires_at IS NULL OR n.expires_at > ?)"], list[Any]([which.now])
    if which.owner is not None:
        parts.append("n.owner = ?")
        parameters.append(which.owner)
    if which.scope:
        parts.append("n.scope = ?")
        parameters.append(which.scope)
    if which.places:
        parts.append(f"({' OR '.join(['n.scope = ? AND n.scope_value = ?'] * len(which.places))})")
        parameters += [one for place in which.places for one in place]
    return " AND ".join(parts), parameters


def _compared_by_sqlite(
    database: sqlite3.Connection, condition: str, parameters: list[Any], model: str, vector: bytes, most: int
) -> list[tuple[int, float]]:
    sql = (
        "SELECT json_group_array(json_array(number, distance)) FROM (SELECT n.number AS number,"
        " vec_distance_cosine(v.vector, ?) AS distance"
        f" FROM {VECTORS.table.name} AS v JOIN {NOTES.table.name} AS n ON n.number = v.number"
        f" WHERE v.model = ? AND length(v.vector) = ? AND {condition} ORDER BY distance, number LIMIT ?)"
    )
    found = database.execute(sql, (vector, model, len(vector), *parameters, most)).fetchone()[0]
    return [(number, distance) for number, distance in json.loads(found)]


def _compared_here(
    database: sqlite3.Connection, condition: str, parameters: list[Any], model: str, vector: bytes, most: int
) -> list[tuple[int, float]]:
    """All vectors are of length one, so the cosine is their product."""
    sql = (
        f"SELECT n.number, v.vector FROM {VECTORS.table.name} AS v JOIN {NOTES.table.name} AS n ON n.number = v.number"
        f" WHERE v.model = ? AND length(v.vector) = ? AND {condition}"
    )
    wanted = array("f", vector).tolist()
    compared = (
        (1.0 - sum(map(mul, wanted, array("f", stored))), number)
        for number, stored in database.execute(sql, (model, len(vector), *parameters))
    )
    return [(number, distance) for distance, number in nsmallest(most, compared) if not math.isnan(distance)]


def _with_words(
    database: sqlite3.Connection, condition: str, parameters: list[Any], words: Sequence[str], most: int
) -> list[int]:
    """By BM25 over as many of the words, the rarest first, as cost little to look through; all of them without an
    index."""
    if not indexes_words(database):
        return looked_through(database, condition, parameters, list(words), most) if words else []
    chosen = _rarest(database, words)
    if not chosen:
        return []
    sql = (
        "SELECT json_group_array(number) FROM (SELECT rowid AS number FROM memory_words WHERE memory_words MATCH ?"
        f" AND +rowid IN (SELECT n.number FROM {NOTES.table.name} AS n WHERE {condition})"
        " ORDER BY rank, rowid DESC LIMIT ?)"
    )
    any_of = " OR ".join(f'"{word}"' for word in chosen)
    found: list[int] = json.loads(database.execute(sql, (any_of, *parameters, most)).fetchone()[0])
    return found


def _rarest(database: sqlite3.Connection, words: Sequence[str]) -> list[str]:
    """The words that notes have, rarest first, until all places to look at are many; one at least."""
    sql = "SELECT term, doc FROM memory_vocabulary WHERE term IN (SELECT value FROM json_each(?))"
    known = sorted(database.execute(sql, (json.dumps(list(words)),)), key=lambda row: (row[1], row[0]))
    chosen: list[str] = []
    places = 0
    for word, count in known:
        places += count
        if chosen and places > POSTINGS:
            break
        chosen.append(word)
    return chosen
