"""Answers made of several questions come from one state of the journal."""

import asyncio

import pytest

from palyra.core.errors import JournalUnavailableError
from palyra.journal.changes import RunSaved
from palyra.journal.connection import ReaderPool
from palyra.journal.journal import READERS, Journal
from tests.journal.samples import a_run


async def test_what_is_written_between_two_questions_shows_in_neither(journal: Journal) -> None:
    first, later = a_run(), a_run()
    await journal.submit([RunSaved(first)])
    async with journal.readers.at_one_moment() as readers:
        assert await readers.run(first.run_id) == first
        await journal.submit([RunSaved(later)])
        assert await journal.readers.run(later.run_id) == later
        assert await readers.run(later.run_id) is None
        assert len((await readers.runs()).runs) == 1
    async with journal.readers.at_one_moment() as readers:
        assert await readers.run(later.run_id) == later


async def test_connections_come_back_whatever_happened_in_between(journal: Journal) -> None:
    run = a_run()
    await journal.submit([RunSaved(run)])
    started = asyncio.Event()

    async def wait_inside() -> None:
        async with journal.readers.at_one_moment():
            started.set()
            await asyncio.Event().wait()

    for _ in range(READERS + 1):
        with pytest.raises(ZeroDivisionError):
            async with journal.readers.at_one_moment():
                raise ZeroDivisionError
        waiting = asyncio.create_task(wait_inside())
        await started.wait()
        started.clear()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    # Each of them sees what was written since, so none was left in its transaction.
    later = a_run()
    await journal.submit([RunSaved(later)])
    found = await asyncio.gather(*(journal.readers.run(later.run_id) for _ in range(2 * READERS)))
    assert found == [later] * 2 * READERS


async def test_a_closed_pool_opens_no_moment() -> None:
    pool = ReaderPool([])
    await pool.close()
    pool._turns.release()
    with pytest.raises(JournalUnavailableError):
        async with pool.at_one_moment():
            pass
