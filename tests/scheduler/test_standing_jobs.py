"""Jobs of the configuration file are what it says, at each start; those of the system are there."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from palyra.config.operations import Concurrency, JobAction, JobConfig, Maintenance
from palyra.core.clock import ManualClock, settle_loop
from palyra.journal.job_rows import FireState, JobRow, JobSource, JobState
from palyra.scheduler.acts import JobActs
from palyra.scheduler.job_input import fields_of, from_config, parse_job
from palyra.scheduler.retrying import AttemptEnd
from palyra.scheduler.standing_jobs import SYSTEM_SCHEDULES, Synchronised, add_system_jobs, schedule_of, synchronise
from tests.scheduler.bench import Bench, bench
from tests.scheduler.rows import T0
from tests.scheduler.test_restarts import crash


def a_row(name: str = "Report", **changes: Any) -> JobConfig:
    fields: dict[str, Any] = {
        "name": name,
        "action": JobAction.PROMPT,
        "prompt": "Report.",
        "cron": "0 14 * * *",
        "tags": ("team=blue",),
        "max_attempts": 2,
    }
    return JobConfig.model_construct(**{**fields, **changes})


def found(stage: Bench, name: str) -> JobRow:
    lane = stage.scheduler.roster.find(name)
    assert lane is not None
    return lane.job


async def test_the_files_jobs_are_added_changed_and_removed(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with bench(tmp_path, clock=clock) as stage:
        assert synchronise(stage.scheduler, [a_row(), a_row("other")]) == Synchronised(added=2)
        await stage.turn()
        job = found(stage, "report")
        assert (job.source, job.next_slot, job.max_attempts) == (JobSource.CONFIG, T0 + 2 * 3_600_000, 2)
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        assert synchronise(stage.scheduler, [a_row(), a_row("other")]) == Synchronised()
        again = synchronise(stage.scheduler, [a_row(cron="0 15 * * *"), a_row("third", cron=None, every=60_000)])
        assert again == Synchronised(added=1, changed=1, removed=1)
        await stage.turn()
        moved = found(stage, "report")
        assert (moved.job_id, moved.version, moved.next_slot) == (job.job_id, 2, T0 + 3 * 3_600_000)
        assert sorted(row.name for row in await stage.journal.readers.jobs()) == ["Report", "third"]


async def test_a_pause_by_an_operator_outlives_a_start_and_a_switch_in_the_file_holds(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    async with bench(tmp_path, clock=clock) as stage:
        synchronise(stage.scheduler, [a_row(), a_row("off", enabled=False)])
        await JobActs(stage.scheduler, "UTC", "local").pause("report", "why", "ann")
        assert found(stage, "off").state is JobState.PAUSED
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        synchronise(stage.scheduler, [a_row(), a_row("off")])
        assert (found(stage, "report").state, found(stage, "report").why) == (JobState.PAUSED, "why")
        assert found(stage, "off").state is JobState.ACTIVE


async def test_a_name_that_the_file_takes_is_the_files(tmp_path: Path) -> None:
    async with bench(tmp_path) as stage:
        await JobActs(stage.scheduler, "UTC", "local").add({"name": "REPORT", "every": "5m", "prompt": "p"}, "ann")
        synchronise(stage.scheduler, [a_row()])
        await stage.turn()
        assert [(row.name, row.source) for row in await stage.journal.readers.jobs()] == [("Report", JobSource.CONFIG)]


async def test_a_job_that_the_file_drops_ends_its_attempt_and_what_that_used_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as stage:
        synchronise(stage.scheduler, [a_row(cron=None, every=60_000, concurrency=Concurrency.QUEUE)])
        job_id = found(stage, "report").job_id
        stage.hands.hold = stage.hands.deaf = True
        await stage.at(60)
        await stage.at(120)
        assert synchronise(stage.scheduler, []) == Synchronised(removed=1)
        await stage.turn()
        running, waiting = await stage.fires(job_id)
        assert stage.hands.stops == [(running.fire_id, "by_operator")]
        stage.hands.finish(AttemptEnd("cancelled", "by_operator", input_tokens=3, output_tokens=1, cost=7))
        await stage.turn()
        running, waiting = await stage.fires(job_id)
        assert (running.state, running.reason, running.cost) == (FireState.CANCELLED, "job_removed", 7)
        assert (waiting.state, waiting.reason, waiting.attempts) == (FireState.CANCELLED, "job_removed", 0)
        (attempt,) = await stage.journal.readers.attempts(running.fire_id)
        assert (attempt.state, attempt.reason) == ("cancelled", "by_operator")
        assert await stage.journal.readers.jobs() == ()
        assert stage.scheduler.busy == 0


async def test_a_job_that_the_file_drops_before_its_attempt_began_runs_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as stage:
        synchronise(stage.scheduler, [a_row(cron=None, every=60_000)])
        job_id = found(stage, "report").job_id
        await stage.turn()
        stage.clock.tick(60)
        await stage.scheduler.turn()
        await stage.journal.submit(())
        await settle_loop()
        stage.scheduler._start_ready()
        assert stage.scheduler.busy
        synchronise(stage.scheduler, [])
        await stage.turn()
        assert stage.hands.orders == []
        (fire,) = await stage.fires(job_id)
        assert (fire.state, fire.reason) == (FireState.CANCELLED, "job_removed")
        assert await stage.journal.readers.open_attempts() == ()


async def test_a_job_that_the_file_drops_at_a_start_ends_the_task_that_was_taken_up(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    await crash(tmp_path, clock, action="task", source=JobSource.CONFIG)
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        stage.hands.hold = True
        assert synchronise(stage.scheduler, []) == Synchronised(removed=1)
        await stage.turn()
        (order,) = stage.hands.orders
        assert order.adopted
        assert set(stage.hands.stops) == {(order.fire.fire_id, "by_operator")}
        (fire,) = await stage.fires()
        assert (fire.state, fire.reason, stage.scheduler.busy) == (FireState.CANCELLED, "job_removed", 0)
        (attempt,) = await stage.journal.readers.attempts(fire.fire_id)
        assert (attempt.state, attempt.reason) == ("cancelled", "by_operator")


async def test_a_faulted_job_that_the_file_mends_is_well_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as stage:
        synchronise(stage.scheduler, [a_row()])
        await stage.turn()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database, database:
        database.execute("UPDATE jobs SET timezone = 'Mars/Base', zone_rules = '' WHERE name_key = 'report'")
    async with bench(tmp_path) as stage:
        job_id = found(stage, "report").job_id
        assert (found(stage, "report").state, set(stage.told)) == (JobState.FAULTED, {f"job:{job_id}:faulted"})
        assert synchronise(stage.scheduler, [a_row()]) == Synchronised(changed=1)
        assert (found(stage, "report").state, found(stage, "report").next_slot) == (JobState.ACTIVE, T0 + 2 * 3_600_000)
        assert stage.told == {}


async def test_memory_is_looked_after_at_a_start(tmp_path: Path) -> None:
    async with bench(tmp_path) as stage:
        add_system_jobs(stage.scheduler)
        await stage.turn()
        assert [order.job.name for order in stage.hands.orders] == ["system.memory_maintenance"]
        assert {Maintenance(lane.job.work["maintenance"]) for lane in stage.scheduler.roster} == set(SYSTEM_SCHEDULES)


async def test_fields_can_be_typed_again(tmp_path: Path) -> None:
    rich = a_row(
        channel="slack:ops",
        agent="bot",
        max_lateness=90_000,
        max_duration=60_000,
        max_runs=7,
        jitter_ms=500,
        json_mode=True,
        remember=True,
        max_tokens=200,
    )
    async with bench(tmp_path) as stage:
        synchronise(stage.scheduler, [rich])
        job = found(stage, "report")
    draft = parse_job(fields_of(job), timezone="Mars/Base", owner="nobody", now=T0)
    assert (draft.fields, draft.schedule) == (from_config(rich).fields, schedule_of(job))
