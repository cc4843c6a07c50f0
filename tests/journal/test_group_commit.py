"""One transaction for everything that waits, whole units, refused units alone, and no write taken back by a cancel."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import JournalUnavailableError
from palyra.journal.batch import MAX_ROWS
from palyra.journal.changes import Change, HoldTaken, PolicySaved, RunNoted, RunSaved
from palyra.journal.journal import Journal
from palyra.journal.writer import PATIENCE_SECONDS, UnitRefusedError
from tests.journal.samples import T0, a_hold, a_policy, a_run, settled, taken


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        found: int = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


async def test_units_that_wait_together_share_one_commit(journal: Journal) -> None:
    futures = [journal.submit([RunSaved(a_run())]) for _ in range(50)]
    await asyncio.gather(*futures)
    assert journal.stats.commits_total == 1
    assert journal.stats.last_batch_rows == 50
    assert count(journal.path, "runs") == 50


async def test_units_that_come_while_a_batch_is_written_wait_for_the_next(journal: Journal) -> None:
    hold_thread = threading.Event()
    journal._connection.start(lambda _: hold_thread.wait(), lambda *_: None)
    first = journal.submit([RunSaved(a_run())])
    await settle_loop()
    later = [journal.submit([RunSaved(a_run())]) for _ in range(3)]
    stats = journal.stats
    assert (stats.queue_units, stats.queue_rows) == (3, 3)
    hold_thread.set()
    await asyncio.gather(first, *later)
    assert (journal.stats.commits_total, journal.stats.last_batch_rows) == (2, 3)
    assert (journal.stats.queue_units, journal.stats.queue_rows) == (0, 0)


async def test_nothing_is_readable_before_its_future_resolves_and_everything_after(journal: Journal) -> None:
    run = a_run()
    hold = a_hold(run)
    durable = journal.submit(taken(run, hold))
    assert not durable.done()
    await durable
    assert await journal.readers.hold(hold.hold_id) == hold
    await journal.submit(settled(run, hold))
    assert [row.state for row in await journal.readers.holds_of_run(run.run_id)] == ["settled"]


async def test_changes_apply_in_the_order_of_the_calls_whatever_their_kind(journal: Journal) -> None:
    run = a_run()
    hold = a_hold(run)
    first = journal.submit(taken(run, hold))
    second = journal.submit(settled(run, hold))
    await asyncio.gather(first, second)
    stored = await journal.readers.run(run.run_id)
    assert stored is not None
    assert stored.state == "completed"
    assert journal.stats.commits_total == 1


BAD_UNITS: dict[str, list[Change]] = {
    "a hold of a run nobody knows": [HoldTaken(a_hold(a_run()))],
    "a state that does not exist": [RunSaved(a_run(state="exploded"))],
    "a terminal run without an end": [RunSaved(a_run(state="completed"))],
    "an integer past 64 bits": [RunSaved(a_run(cost=2**63))],
    "a text where a number belongs": [RunSaved(a_run(attempts="many"))],
    "an id that is no text": [RunSaved(a_run("run-\ud800"))],
    "data that is no JSON": [RunSaved(a_run("r-json")), RunNoted("r-json", T0, "x", {"a": object()})],
    "a number that JSON has not": [RunSaved(a_run("r-nan")), RunNoted("r-nan", T0, "x", {"a": float("nan")})],
    "the same revision of a policy twice": [PolicySaved(a_policy()), PolicySaved(a_policy())],
}


@pytest.mark.parametrize("bad", BAD_UNITS.values(), ids=BAD_UNITS.keys())
async def test_a_unit_at_fault_fails_alone_and_whole(journal: Journal, bad: list[Change]) -> None:
    mark = a_run()
    runs = [a_run() for _ in range(4)]
    before = [journal.submit(taken(run, a_hold(run))) for run in runs[:2]]
    refused = journal.submit([RunSaved(mark), *bad])
    after = [journal.submit(taken(run, a_hold(run))) for run in runs[2:]]
    with pytest.raises(UnitRefusedError):
        await refused
    await asyncio.gather(*before, *after)
    assert await journal.readers.run(mark.run_id) is None
    for run in runs:
        assert await journal.readers.run(run.run_id) == run
    assert len(await journal.readers.audit()) == 4
    assert journal.healthy
    assert journal.stats.refused_total == 1


async def test_a_unit_longer_than_one_statement_is_still_whole(journal: Journal) -> None:
    run = a_run()
    notes: list[Change] = [RunNoted(run.run_id, T0 + n, "tick", {"n": n}) for n in range(2 * MAX_ROWS + 7)]
    with pytest.raises(UnitRefusedError):
        await journal.submit([RunSaved(run), *notes, HoldTaken(a_hold(a_run()))])
    assert count(journal.path, "run_notes") == 0
    await journal.submit([RunSaved(run), *notes])
    assert count(journal.path, "run_notes") == len(notes)


async def test_every_number_of_rows_fits_a_statement(journal: Journal) -> None:
    run = a_run()
    await journal.submit([RunSaved(run)])
    written = 0
    for length in (1, 2, 5, 7, 17, 100, MAX_ROWS - 1, MAX_ROWS, MAX_ROWS + 1):
        await journal.submit([RunNoted(run.run_id, T0, "tick")] * length)
        written += length
        assert count(journal.path, "run_notes") == written


async def test_many_units_are_cut_into_batches_and_none_is_lost(journal: Journal) -> None:
    runs = [a_run() for _ in range(3 * MAX_ROWS)]
    await asyncio.gather(*[journal.submit([RunSaved(run)]) for run in runs])
    assert journal.stats.commits_total == 3
    assert count(journal.path, "runs") == len(runs)


async def test_a_cancelled_caller_does_not_take_the_write_back(journal: Journal) -> None:
    run = a_run()

    async def caller() -> None:
        await journal.submit([RunSaved(run)])

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await journal.submit(())
    assert await journal.readers.run(run.run_id) == run


async def test_an_empty_unit_resolves_after_everything_before_it(journal: Journal) -> None:
    before = journal.submit([RunSaved(a_run())])
    await journal.submit(())
    assert before.done()
    assert journal.stats.commits_total == 1


async def test_a_commit_window_gathers_units(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock, commit_window_ms=20)
    first = journal.submit([RunSaved(a_run())])
    await clock.advance(0.019)
    second = journal.submit([RunSaved(a_run())])
    await settle_loop()
    assert not first.done()
    await clock.advance(0.001)
    await asyncio.gather(first, second)
    assert journal.stats.commits_total == 1
    await journal.close()


async def test_closing_writes_what_waits_without_waiting_for_the_window(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock, commit_window_ms=50)
    waiting = [journal.submit([RunSaved(a_run())]) for _ in range(3)]
    await journal.close()
    assert all(future.done() and future.exception() is None for future in waiting)
    assert count(journal.path, "runs") == 3


async def test_a_closed_journal_takes_and_answers_nothing(journal: Journal) -> None:
    await journal.close()
    await journal.close()
    with pytest.raises(JournalUnavailableError):
        await journal.submit([RunSaved(a_run())])
    with pytest.raises(JournalUnavailableError):
        await journal.readers.run("r")
    with pytest.raises(JournalUnavailableError):
        async with journal.fence():
            pass


async def test_the_duration_of_a_commit_is_measured_on_the_clock(journal: Journal, clock: ManualClock) -> None:
    hold_thread = threading.Event()
    journal._connection.start(lambda _: hold_thread.wait(), lambda *_: None)
    durable = journal.submit([RunSaved(a_run())])
    await settle_loop()
    clock.tick(0.25)
    hold_thread.set()
    await durable
    stats = journal.stats
    assert (stats.last_commit_ms, stats.commit_p50_ms, stats.commit_p99_ms) == (250.0, 250.0, 250.0)
    assert stats.last_commit_at == clock.now_ms()


async def test_no_thread_survives_the_journal(tmp_path: Path, clock: ManualClock) -> None:
    before = set(threading.enumerate())
    journal = await Journal.open(tmp_path, clock)
    async with journal.fence() as readers:
        await readers.runs()
    await journal.submit([RunSaved(a_run())])
    await journal.close()
    for thread in set(threading.enumerate()) - before:
        if "asyncio" not in thread.name:
            thread.join(10)
            assert not thread.is_alive()


async def test_patient_units_go_with_the_next_that_somebody_waits_for(journal: Journal) -> None:
    patient = [journal.submit([RunSaved(a_run())], patient=True) for _ in range(3)]
    await settle_loop()
    assert (journal.stats.commits_total, journal.stats.queue_units) == (0, 3)
    await journal.submit([RunSaved(a_run())])
    assert all(future.done() for future in patient)
    assert journal.stats.commits_total == 1


async def test_patient_units_that_nothing_comes_for_go_alone(journal: Journal, clock: ManualClock) -> None:
    durable = journal.submit([RunSaved(a_run())], patient=True)
    await clock.advance(PATIENCE_SECONDS)
    await durable
    assert journal.stats.commits_total == 1


async def test_patient_units_do_not_follow_a_commit_at_once(journal: Journal, clock: ManualClock) -> None:
    hold_thread = threading.Event()
    journal._connection.start(lambda _: hold_thread.wait(), lambda *_: None)
    first = journal.submit([RunSaved(a_run())])
    await settle_loop()
    patient = journal.submit([RunSaved(a_run())], patient=True)
    hold_thread.set()
    await first
    await settle_loop()
    assert journal.stats.queue_units == 1
    await clock.advance(PATIENCE_SECONDS)
    await patient


async def test_a_fence_and_the_end_wait_for_patient_units(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock)
    run = a_run()
    journal.submit([RunSaved(run)], patient=True)
    async with journal.fence() as readers:
        assert await readers.run(run.run_id) == run
    last = journal.submit([RunSaved(a_run())], patient=True)
    await journal.close()
    assert last.done()
    assert count(journal.path, "runs") == 2


async def test_listeners_hear_each_unit_as_it_is_submitted_and_one_that_fails_hinders_nobody(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[list[Change]] = []

    def failing(unit: object) -> None:
        raise RuntimeError("no ears")

    journal.listen(failing)
    journal.listen(lambda unit: heard.append(list(unit)))
    run = RunSaved(a_run())
    written = journal.submit([run])
    assert heard == [[run]]
    await written
    assert count(journal.path, "runs") == 1
    assert "a listener of the journal failed" in caplog.text
