"""The books of an engine: the counters it works with, against those that its journal's rows give."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palyra.governance.grants import drawing_since
from palyra.governance.recount import history_start
from palyra.governance.verify import LedgerReport, verify
from palyra.journal.readers import Readers
from palyra.journal.rows import HoldRow

if TYPE_CHECKING:
    from palyra.engine.engine import Engine


async def counted_again(engine: "Engine") -> LedgerReport:
    """Counters compared with the rows of every window that still counts, at one moment, off the loop.

    Every move of memory is submitted to the journal in its own step, so a fence taken in the step that reads the
    counters sees neither less nor more. Raises JournalUnavailableError.
    """
    await engine.catch_up()
    now = engine.clock.now_ms()
    fence = engine.journal.fence()
    live, policies = engine.ledger.counters(now), engine.ledger.policies
    async with fence as readers:
        grants = await readers.grants(state="active")
        drawn = drawing_since(grants)
        starts = [history_start(policy, now) for policy in policies] + ([] if drawn is None else [drawn])
        since = min(starts, default=now)
        corrected = await readers.corrected_holds(since)
        rows = hold_rows(readers, since)
        return await asyncio.to_thread(verify, rows, policies, now, live=live, grants=grants, corrected=corrected)


def hold_rows(readers: Readers, since: int = 0) -> Iterator[HoldRow]:
    """Every hold created since an instant (unix ms) and every open one, for another thread.

    Chunk by chunk, since a heap full of rows would make collections long.
    """
    loop = asyncio.get_running_loop()
    chunks = readers.holds_for_rebuild(since)

    async def more() -> tuple[HoldRow, ...]:
        async for rows in chunks:
            return rows
        return ()

    def each() -> Iterator[HoldRow]:
        while rows := asyncio.run_coroutine_threadsafe(more(), loop).result():
            yield from rows

    return each()
