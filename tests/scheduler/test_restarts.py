"""Crashes, stops and a second engine: no slot is lost, none is fired twice."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import JournalUnavailableError
from palyra.core.scope import Scope
from palyra.journal.batch import write
from palyra.journal.changes import RunSaved
from palyra.journal.job_rows import FireState, JobState
from palyra.journal.journal import Journal
from palyra.journal.rows import RunRow
from palyra.scheduler.acts import JobActs
from palyra.scheduler.retrying import AttemptEnd
from tests.scheduler.bench import bench
from tests.scheduler.rows import T0, a_job


async def test_a_fire_that_was_not_started_is_started_by_the_next_engine(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with bench(tmp_path, a_job(), clock=clock, boot="one", max_concurrent=0) as stage:
        await stage.at(60)
        assert await stage.story() == [(60, "pending", "", 0)]
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        await stage.turn()
        assert stage.hands.slots == [60]
        assert await stage.story() == [(60, "completed", "", 0)]
        assert (await stage.fires())[0].boot_id == "two"


async def test_a_slot_that_came_while_no_engine_ran_or_the_machine_slept_is_not_owed(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with bench(tmp_path, a_job(), clock=clock, boot="one"):
        pass
    clock.tick(600)
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        assert stage.scheduler.overdue(clock.now_ms()) == []
        await stage.turn()
        # Whoever looks first after the machine slept finds what is due, before the scheduler has seen that it is.
        clock.set_wall(clock.now_ms() + 3_600_000)
        assert stage.scheduler.overdue(clock.now_ms()) == []
        await stage.turn()
        # What it does not take up though it could is owed.
        stage.scheduler.roster._releases.clear()
        await stage.at(600 + 3_600 + 121)
        ((job_id, slot),) = stage.scheduler.overdue(clock.now_ms())
        assert (job_id, slot <= clock.now_ms() - 60_000) == ("j1", True)


async def crash(tmp_path: Path, clock: ManualClock, **rules: Any) -> str:
    """A fire is under way when the engine dies: the journal still says that it runs. Its attempt's id."""
    state = tmp_path / "dead"
    async with bench(state, a_job(**rules), clock=clock, boot="one") as stage:
        stage.hands.hold = True
        await stage.at(60)
        (attempt,) = await stage.journal.readers.open_attempts()
        # What a kill leaves: the file as it is now.
        (tmp_path / "journal.db").write_bytes(await copied(state, clock))
    return attempt.attempt_id


async def copied(state: Path, clock: ManualClock) -> bytes:
    target = state / "copy.db"
    with closing(sqlite3.connect(state / "journal.db")) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target.read_bytes()


async def test_an_interrupted_attempt_is_tried_again_while_attempts_remain(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    await crash(tmp_path, clock, max_attempts=2)
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        await stage.turn()
        (fire,) = await stage.fires()
        assert (fire.state, fire.reason, fire.retry_at) == (FireState.BACKOFF, "interrupted", T0 + 61_000)
        await stage.at(61)
        (fire,) = await stage.fires()
        assert (fire.state, fire.attempts, fire.tries) == (FireState.COMPLETED, 2, 2)


async def test_an_interrupted_attempt_without_another_fails(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    await crash(tmp_path, clock)
    for boot in ("two", "three"):
        async with bench(tmp_path, clock=clock, boot=boot) as stage:
            await stage.turn()
            assert await stage.story() == [(60, "failed", "interrupted", 0)]
            assert (await stage.job()).failures == 1
            assert stage.hands.orders == []


async def test_a_run_that_had_ended_ends_its_fire_and_is_not_made_again(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    attempt_id = await crash(tmp_path, clock, max_attempts=3)
    journal = await Journal.open(tmp_path, clock)
    await journal.submit([RunSaved(a_run(attempt_id))])
    await journal.close()
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        await stage.turn()
        (fire,) = await stage.fires()
        assert (fire.state, fire.input_tokens, fire.cost) == (FireState.COMPLETED, 11, 13)
        assert stage.hands.orders == []


def a_run(run_id: str) -> RunRow:
    return RunRow(
        run_id=run_id,
        boot_id="one",
        version=9,
        source="job",
        scope=Scope("ann", "job:j1", job="j1"),
        task_class="background_automation",
        wire="chat",
        streaming=True,
        model_asked="auto",
        max_tokens=None,
        input_bytes=1,
        expected_input=1,
        complexity=0.0,
        digest="",
        state="completed",
        phase="",
        reason="stop",
        message="",
        accepted_at=T0,
        finished_at=T0 + 1,
        input_tokens=11,
        cost=13,
    )


async def test_a_fire_that_an_orderly_stop_ended_goes_on_uncounted(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with bench(tmp_path, a_job(), clock=clock, boot="one") as stage:
        stage.hands.hold = True
        await stage.at(60)
        await stage.scheduler.close()
        (fire,) = await stage.fires()
        assert (fire.state, fire.attempts, fire.tries) == (FireState.PENDING, 0, 1)
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        await stage.turn()
        (fire,) = await stage.fires()
        assert (fire.state, fire.attempts, fire.tries) == (FireState.COMPLETED, 1, 2)


async def test_of_two_engines_one_fires_a_slot_and_the_other_runs_nothing(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with (
        bench(tmp_path, a_job(), clock=clock, boot="one") as first,
        bench(tmp_path, clock=clock, boot="two") as second,
    ):
        for minute in range(1, 6):
            clock.tick(60)
            ahead, behind = (first, second) if minute % 2 else (second, first)
            await ahead.turn()
            await behind.turn()
            await ahead.turn()
        started = sorted([*first.hands.slots, *second.hands.slots], key=lambda slot: slot or 0)
        assert started == [60, 120, 180, 240, 300]
        assert first.hands.slots
        assert second.hands.slots
        assert first.scheduler.conflicts + second.scheduler.conflicts == 5
        assert {state for _, state, _, _ in await first.story()} == {"completed"}
        assert len(await first.fires()) == 5


async def test_an_edit_by_another_engine_is_met_before_anything_is_fired(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with (
        bench(tmp_path, a_job(), clock=clock, boot="one") as first,
        bench(tmp_path, clock=clock, boot="two") as second,
    ):
        lane = second.scheduler.roster.get("j1")
        assert lane is not None
        second.scheduler.write("j1", second.scheduler.roster.pause(lane, "", "ann", T0))
        await second.turn()
        clock.tick(60)
        await first.turn()
        assert first.hands.orders == []
        assert first.scheduler.conflicts == 1
        assert await first.fires() == []


async def test_nothing_is_started_while_the_journal_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, a_job()) as stage:
        broken = True

        def failing(database: sqlite3.Connection, values: list[Any], rows: int) -> None:
            if broken and rows:
                raise sqlite3.OperationalError("disk I/O error")
            write(database, values, rows)

        monkeypatch.setattr("palyra.journal.writer.write", failing)
        stage.clock.tick(60)
        for _ in range(4):
            await stage.scheduler.turn()
            with suppress(JournalUnavailableError):
                await stage.journal.submit(())
            await settle_loop()
        assert stage.hands.orders == []
        assert "storage:journal" in stage.told
        broken = False
        await stage.turn()
        assert stage.hands.slots == [60]
        assert "storage:journal" not in stage.told
        assert await stage.story() == [(60, "completed", "", 0)]


@pytest.mark.parametrize(("column", "text"), [("work_ids", "{broken"), ("detail", "[1]"), ("spans", "")])
async def test_a_fire_whose_payload_cannot_be_read_faults_its_job_alone(tmp_path: Path, column: str, text: str) -> None:
    clock = ManualClock(T0)
    await crash(tmp_path, clock, max_attempts=9)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database, database:
        database.execute(f"UPDATE job_fires SET {column} = ?", (text,))
    async with bench(tmp_path, a_job("other"), clock=clock, boot="two") as stage:
        await stage.turn()
        assert await stage.story() == [(60, "failed", "unreadable", 0)]
        assert (await stage.fires())[0].error == "what the journal has of a fire cannot be read"
        assert await stage.journal.readers.open_attempts() == ()
        job = await stage.job()
        assert (job.state, job.next_slot, set(stage.told)) == (JobState.FAULTED, None, {"job:j1:faulted"})
        assert stage.hands.slots == [60]
        await JobActs(stage.scheduler, "UTC", "ann").reset("j1", "ann")
        await stage.at(120)
        assert await stage.story() == [(60, "failed", "unreadable", 0), (120, "completed", "", 0)]
    async with bench(tmp_path, clock=clock, boot="three") as stage:
        assert set(stage.told) == set()


async def test_a_wait_is_over_in_time_where_the_clock_was_set_back_far_while_nothing_ran(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with bench(tmp_path, a_job(max_attempts=3, backoff_ms=30_000), clock=clock, boot="one") as stage:
        stage.hands.ends = [AttemptEnd("failed", "rate_limited")]
        await stage.at(60)
        assert (await stage.fires())[0].retry_at == T0 + 90_000
    clock.set_wall(T0 - 86_400_000)
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        await stage.turn()
        assert (await stage.fires())[0].retry_at == T0 - 86_400_000 + 30_000
        clock.tick(30)
        await stage.turn()
        assert await stage.story() == [(60, "completed", "", 0)]


@pytest.mark.parametrize(("column", "text"), [("work", "{broken"), ("rules", "[1]")])
async def test_a_job_whose_payload_cannot_be_read_hinders_no_other(tmp_path: Path, column: str, text: str) -> None:
    async with bench(tmp_path, a_job("bad"), a_job()):
        pass
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database, database:
        database.execute(f"UPDATE jobs SET {column} = ? WHERE job_id = 'bad'", (text,))
    async with bench(tmp_path) as stage:
        await stage.at(60)
        assert stage.hands.slots == [60]
        job = await stage.job("bad")
        assert (job.state, job.next_slot, "cannot be read" in job.why) == (JobState.FAULTED, None, True)
        assert set(stage.told) == {"job:bad:faulted"}
        edited = {"prompt": "Say hello.", "every": "1m"}
        await JobActs(stage.scheduler, "UTC", "ann").edit("bad", edited, "ann")
        await stage.at(120)
        assert [state for _, state, _, _ in await stage.story("bad")] == ["completed"]
