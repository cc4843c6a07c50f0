"""A fence shows exactly what was submitted before it."""

import asyncio
import random
import threading

import pytest

from palyra.core.clock import settle_loop
from palyra.core.errors import JournalUnavailableError
from palyra.journal.changes import HoldTaken, RunSaved
from palyra.journal.journal import Journal
from palyra.journal.readers import Readers
from tests.journal.samples import a_hold, a_run, an_end


async def seen(readers: Readers) -> set[str]:
    return {hold.hold_id async for chunk in readers.holds_for_rebuild() for hold in chunk}


async def test_a_fence_holds_what_came_before_and_nothing_that_came_after(journal: Journal) -> None:
    """Writers never pause while fences open and close among them, at every position of the stream."""
    submitted: list[str] = []
    stop = asyncio.Event()
    dice = random.Random(7)

    async def write() -> None:
        while not stop.is_set():
            run = a_run()
            hold = a_hold(run)
            submitted.append(hold.hold_id)
            durable = journal.submit([RunSaved(run), HoldTaken(hold)])
            if dice.random() < 0.7:
                await durable
            else:
                await asyncio.sleep(0)

    async def look() -> None:
        for _ in range(15):
            before = set(submitted)
            async with journal.fence() as readers:
                assert await seen(readers) == before
                await journal.submit([RunSaved(a_run())])
                assert await seen(readers) == before

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await asyncio.gather(look(), look())
    stop.set()
    await asyncio.gather(*writers)


async def test_a_fence_waits_for_units_that_are_still_on_their_way(journal: Journal) -> None:
    hold_thread = threading.Event()
    journal._connection.start(lambda _: hold_thread.wait(), lambda *_: None)
    run = a_run()
    before = journal.submit([RunSaved(run)])
    entered = asyncio.Event()

    async def look() -> None:
        async with journal.fence() as readers:
            assert await readers.run(run.run_id) == run
            entered.set()

    looking = asyncio.create_task(look())
    await settle_loop()
    after = journal.submit([RunSaved(a_run())])
    assert not entered.is_set()
    hold_thread.set()
    await looking
    assert before.done()
    await after


async def test_writing_goes_on_while_a_fence_is_open(journal: Journal) -> None:
    async with journal.fence() as readers:
        run = a_run()
        await journal.submit([RunSaved(run)])
        assert await readers.run(run.run_id) is None
        assert await journal.readers.run(run.run_id) == run


async def test_a_fence_given_up_early_lets_the_writer_go_on(journal: Journal) -> None:
    hold_thread = threading.Event()
    journal._connection.start(lambda _: hold_thread.wait(), lambda *_: None)
    first = journal.submit([RunSaved(a_run())])

    async def look() -> None:
        async with journal.fence():
            pass

    looking = asyncio.create_task(look())
    await settle_loop()
    later = journal.submit([RunSaved(a_run())])
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    hold_thread.set()
    await asyncio.gather(first, later)


async def test_an_error_inside_a_fence_leaves_the_journal_as_it_was(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError):
        async with journal.fence():
            raise ZeroDivisionError
    await journal.submit([RunSaved(a_run())])
    async with journal.fence() as readers:
        assert len((await readers.runs()).runs) == 1


async def test_readers_of_a_closed_fence_answer_nothing(journal: Journal) -> None:
    async with journal.fence() as readers:
        pass
    with pytest.raises(JournalUnavailableError):
        await readers.runs()


async def test_a_rebuild_reads_newer_holds_in_order_and_older_ones_that_are_open(journal: Journal) -> None:
    run = a_run()
    holds = [a_hold(run, created_at=at) for at in (5, 100, 30, 99, 101, 7)]
    await journal.submit([RunSaved(run), *map(HoldTaken, holds), an_end(holds[2], terminal_at=9), an_end(holds[1])])
    found = [hold.hold_id async for chunk in journal.readers.holds_for_rebuild(100) for hold in chunk]
    assert found == [holds[number].hold_id for number in (1, 4, 0, 3, 5)]
    everything = [hold.hold_id async for chunk in journal.readers.holds_for_rebuild() for hold in chunk]
    assert everything == [hold.hold_id for hold in holds]
