"""What every reader does: ask for one JSON text and turn its arrays into rows, all on the reader's thread."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from palyra.journal.connection import ReaderPool
from palyra.journal.entity import Entity
from palyra.journal.tables import Table

R = TypeVar("R")

CHUNK = 500
MOST = (1 << 63) - 1
"""The largest integer that the database holds."""


def whole(value: Any) -> int:
    """An integer of a page's cursor. Raises ValueError for anything that no row can have."""
    try:
        number = int(value)
    except (TypeError, OverflowError) as error:
        raise ValueError(value) from error
    if abs(number) > MOST:
        raise ValueError(value)
    return number


def readable(entity: Entity[Any]) -> str:
    """The columns of an entity for a SELECT, each payload that cannot be read as an empty one."""
    return ", ".join(
        f"CASE WHEN {_sound(name, entity.payloads[name])} THEN {name} ELSE '{entity.payloads[name]}' END AS {name}"
        if name in entity.payloads
        else name
        for name in entity.table.columns
    )


def _sound(column: str, empty: str) -> str:
    """Whether a column holds JSON of the kind of its empty text."""
    kind = "array" if empty == "[]" else "object"
    return f"CASE WHEN json_valid({column}) THEN json_type({column}) = '{kind}' ELSE 0 END"


class Query:
    """Base of the readers of one noun."""

    _pool: ReaderPool

    async def _rows(
        self, table: Table, decode: Callable[[list[Any]], R], tail: str, parameters: Sequence[Any] = ()
    ) -> tuple[R, ...]:
        """Rows of `table`; `tail` is what follows FROM, ending in a LIMIT so that its order holds."""
        sql = f"SELECT json_group_array({table.array()}) FROM (SELECT * FROM {table.name} {tail})"
        return await self._listed(sql, decode, parameters)

    async def _row(
        self, table: Table, decode: Callable[[list[Any]], R], tail: str, parameters: Sequence[Any]
    ) -> R | None:
        rows = await self._rows(table, decode, f"{tail} LIMIT 1", parameters)
        return rows[0] if rows else None

    async def _saved(self, entity: Entity[R], tail: str, parameters: Sequence[Any] = ()) -> tuple[R, ...]:
        """As `_rows`, of rows that are saved whole."""
        return await self._rows(entity.table, entity.read, tail, parameters)

    async def _readable(self, entity: Entity[R], tail: str, parameters: Sequence[Any] = ()) -> tuple[R, ...]:
        """As `_saved`; a payload that cannot be read is empty: it keeps nobody from reading other rows."""
        sql = f"SELECT json_group_array({entity.table.array()}) FROM (SELECT {readable(entity)} FROM {tail})"
        return await self._listed(sql, entity.read, parameters)

    async def _unreadable(self, entity: Entity[R], condition: str) -> tuple[str, ...]:
        """The keys of rows with a payload that cannot be read."""
        unsound = " OR ".join(f"NOT ({_sound(name, empty)})" for name, empty in sorted(entity.payloads.items()))
        (key,) = entity.key
        sql = f"SELECT json_group_array({key}) FROM {entity.table.name} WHERE {condition} AND ({unsound})"
        return await self._listed(sql, str)

    async def _listed(
        self, sql: str, decode: Callable[[list[Any]], R], parameters: Sequence[Any] = ()
    ) -> tuple[R, ...]:
        """`sql` yields one JSON array of arrays."""

        def job(database: sqlite3.Connection) -> tuple[R, ...]:
            return tuple([decode(values) for values in _answer(database, sql, parameters)])

        return await self._pool.run(job)

    async def _chunks(
        self,
        table: Table,
        decode: Callable[[list[Any]], R],
        condition: str,
        parameters: Sequence[Any] = (),
        *,
        index: str = "",
        after: int = 0,
    ) -> AsyncIterator[tuple[R, ...]]:
        """Rows past `after` in the order in which they were written, a chunk at a time.

        `index` names the index that finds few among many. Without a fence, later writes may show.
        """
        by = f"INDEXED BY {index}" if index else ""
        sql = (
            f"SELECT json_group_array(json_array(seq, {table.array()})) FROM"
            f" (SELECT * FROM {table.name} {by} WHERE seq > ? AND {condition} ORDER BY seq LIMIT {CHUNK})"
        )
        last = after

        def job(database: sqlite3.Connection) -> tuple[int, tuple[R, ...]]:
            found = _answer(database, sql, (last, *parameters))
            return (found[-1][0] if found else last), tuple([decode(values) for _, values in found])

        while True:
            last, rows = await self._pool.run(job)
            if rows:
                yield rows
            if len(rows) < CHUNK:
                return


def _answer(database: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[Any]:
    answer: list[Any] = json.loads(database.execute(sql, parameters).fetchone()[0])
    return answer
