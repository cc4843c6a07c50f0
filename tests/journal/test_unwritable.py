"""When the disk says no: everyone who waits is told, nothing is half there, and the next try may succeed."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import JournalUnavailableError
from palyra.journal import batch, writer
from palyra.journal.audit import verify
from palyra.journal.changes import AuditAdded, RunSaved
from palyra.journal.journal import Journal
from tests.journal.samples import T0, a_hold, a_run, settled, taken


async def fill_up(journal: Journal) -> None:
    """From now on the file may not grow by a single page."""
    pages = (await journal._connection.run(lambda database: database.execute("PRAGMA page_count").fetchone()))[0]
    await journal._connection.run(lambda database: database.execute(f"PRAGMA max_page_count = {pages}").fetchone())


async def make_room(journal: Journal) -> None:
    await journal._connection.run(lambda database: database.execute("PRAGMA max_page_count = 1000000").fetchone())


async def write_until_full(journal: Journal) -> None:
    for _ in range(1000):
        run = a_run(message="x" * 3000)
        await journal.submit([RunSaved(run)])
    pytest.fail("the disk never filled up")


async def test_a_full_disk_fails_those_who_wait_and_room_brings_the_journal_back(journal: Journal) -> None:
    run = a_run()
    hold = a_hold(run)
    await journal.submit(taken(run, hold))
    await fill_up(journal)
    with pytest.raises(JournalUnavailableError, match="full") as told:
        await write_until_full(journal)
    assert "disk space" in told.value.fix
    assert not journal.healthy
    assert journal.stats.failures_total == 1
    assert "full" in journal.stats.last_error

    big = [a_run(message="y" * 3000) for _ in range(3)]
    waiting = [journal.submit(taken(other, a_hold(other))) for other in big]
    assert all(
        isinstance(error, JournalUnavailableError) for error in await asyncio.gather(*waiting, return_exceptions=True)
    )
    assert [await journal.readers.run(other.run_id) for other in big] == [None] * 3

    await make_room(journal)
    await journal.submit(settled(run, hold))
    assert journal.healthy
    other = a_run()
    await journal.submit(taken(other, a_hold(other)))
    (settled_hold,) = await journal.readers.holds_of_run(run.run_id)
    assert settled_hold.state == "settled"
    assert await journal.readers.rollup_differences() == ()


async def test_the_audit_chain_stays_whole_over_a_failed_write(journal: Journal) -> None:
    await journal.submit([AuditAdded(T0, "engine", "boot", "engine", {})])
    await fill_up(journal)
    with pytest.raises(JournalUnavailableError):
        await journal.submit([AuditAdded(T0, "engine", "lost", "engine", {"big": "x" * 100_000})])
    await make_room(journal)
    await journal.submit([AuditAdded(T0, "engine", "kept", "engine", {})])
    await journal.close()
    report = verify(journal.path, journal.path.with_name("audit.head"))
    assert (report.ok, report.count) == (True, 2)


async def test_the_chain_goes_on_where_it_is_when_a_failed_write_turns_out_to_be_there(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written_but_unconfirmed(database: sqlite3.Connection, values: list[Any], rows: int) -> None:
        batch.write(database, values, rows)
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(writer, "write", written_but_unconfirmed)
        with pytest.raises(JournalUnavailableError):
            await journal.submit([AuditAdded(T0, "engine", "unconfirmed", "engine", {})])
    await journal.submit([AuditAdded(T0, "engine", "next", "engine", {})])
    await journal.close()
    report = verify(journal.path, journal.path.with_name("audit.head"))
    assert (report.ok, report.count) == (True, 2)


async def test_a_failure_reaches_units_that_were_queued_behind_the_batch(journal: Journal) -> None:
    await journal._connection.run(lambda database: database.execute("PRAGMA query_only = ON"))
    hold_thread = threading.Event()
    journal._connection.start(lambda _: hold_thread.wait(), lambda *_: None)
    first = journal.submit([RunSaved(a_run())])
    await settle_loop()
    behind = [journal.submit([RunSaved(a_run())]) for _ in range(3)]
    hold_thread.set()
    errors = await asyncio.gather(first, *behind, return_exceptions=True)
    assert [type(error) for error in errors] == [JournalUnavailableError] * 4
    assert len({id(error) for error in errors}) == 4
    assert journal.stats.failures_total == 1
    await journal._connection.run(lambda database: database.execute("PRAGMA query_only = OFF"))
    await journal.submit([RunSaved(a_run())])
    assert journal.healthy


async def test_a_lock_that_another_process_holds_is_a_failure_that_passes(journal: Journal) -> None:
    await journal._connection.run(lambda database: database.execute("PRAGMA busy_timeout = 0"))
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailableError, match="locked"):
            await journal.submit([RunSaved(a_run())])
        assert not journal.healthy
        assert (await journal.readers.runs()).runs == ()
        other.execute("ROLLBACK")
    await journal.submit([RunSaved(a_run())])
    assert journal.healthy


async def test_a_fence_opens_although_writing_fails(journal: Journal) -> None:
    run = a_run()
    await journal.submit([RunSaved(run)])
    await journal._connection.run(lambda database: database.execute("PRAGMA query_only = ON"))
    failing = journal.submit([RunSaved(a_run())])
    async with journal.fence() as readers:
        assert (await readers.runs()).runs == (run,)
    with pytest.raises(JournalUnavailableError):
        await failing


async def test_a_journal_that_cannot_write_still_closes(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock)
    await journal._connection.run(lambda database: database.execute("PRAGMA query_only = ON"))
    lost = journal.submit([RunSaved(a_run())])
    await journal.close()
    assert isinstance(lost.exception(), JournalUnavailableError)
