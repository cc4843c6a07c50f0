"""Holds: of a run, still open, and all that counters are rebuilt from."""

from collections.abc import AsyncIterator
from typing import Any

from palyra.journal.readers.query import CHUNK, Query
from palyra.journal.rows import HoldRow
from palyra.journal.tables import HOLDS, hold_row


class HoldReaders(Query):
    """Reads holds."""

    async def hold(self, hold_id: str) -> HoldRow | None:
        """The hold of that id."""
        return await self._row(HOLDS, hold_row, "WHERE hold_id = ?", (hold_id,))

    async def holds_of_run(self, run_id: str) -> tuple[HoldRow, ...]:
        """In the order of their attempts."""
        return await self._rows(HOLDS, hold_row, "WHERE run_id = ? ORDER BY attempt, seq LIMIT 1000", (run_id,))

    async def open_holds(self) -> tuple[HoldRow, ...]:
        """Every hold that has not ended, oldest first."""
        return await self._rows(HOLDS, hold_row, "WHERE state = 'held' ORDER BY seq LIMIT -1")

    def orphan_holds(self, boot_id: str) -> AsyncIterator[tuple[HoldRow, ...]]:
        """Holds that have not ended and belong to another boot than this one, in chunks."""
        return self._chunks(HOLDS, hold_row, "state = 'held' AND boot_id <> ?", (boot_id,), index="holds_open")

    async def holds_for_rebuild(self, since: int = 0) -> AsyncIterator[tuple[HoldRow, ...]]:
        """Every hold created at or after `since`, in the order they were taken, then older ones that are still open.
        Where some of them are gone, the opening balance that they are in comes first.

        Comes in chunks. Read them through a fence to rebuild counters: only there do they belong to one moment.
        """
        if since < await self.folded_until():
            async for opening in self._opening():
                yield opening
        first = await self._listed(
            "SELECT json_array(json_array(min(seq))) FROM holds WHERE created_at >= ?",
            lambda values: values[0],
            (since,),
        )
        if first[0] is not None:
            async for chunk in self._chunks(HOLDS, hold_row, "created_at >= ?", (since,), after=first[0] - 1):
                yield chunk
        older = "state = 'held' AND created_at < ?"
        async for chunk in self._chunks(HOLDS, hold_row, older, (since,), index="holds_open"):
            yield chunk

    async def corrected_holds(self, since: int = 0) -> frozenset[str]:
        """The ids of holds whose usage was corrected at or after `since`, UTC unix ms."""
        sql = "SELECT json_group_array(json_array(corrects)) FROM usage WHERE at >= ? AND corrects IS NOT NULL"
        return frozenset(await self._listed(sql, lambda values: str(values[0]), (since,)))

    async def folded_until(self) -> int:
        """What ended before this instant may be told by sums alone; 0 where nothing has gone."""
        sql = "SELECT json_array(json_array((SELECT until FROM folded)))"
        (until,) = await self._listed(sql, lambda values: int(values[0] or 0))
        return until

    async def _opening(self) -> AsyncIterator[tuple[HoldRow, ...]]:
        """The holds that have gone, put together as they count."""
        sql = (
            "SELECT json_group_array(json_array(seq, holds, json(body))) FROM"
            f" (SELECT * FROM folded_holds WHERE seq > ? ORDER BY seq LIMIT {CHUNK})"
        )
        last, more = 0, True
        while more:
            found = await self._listed(sql, lambda values: (values[0], _folded(*values)), (last,))
            if found:
                last = found[-1][0]
                yield tuple([row for _, row in found])
            more = len(found) == CHUNK


def _folded(seq: int, holds: int, values: list[Any]) -> HoldRow:
    return hold_row(values)._replace(hold_id=f"folded:{seq}", folded=holds)
