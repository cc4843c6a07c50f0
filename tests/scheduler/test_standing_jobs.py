"""Jobs of the configuration file are what it says, at each start; those of the system are there."""

from pathlib import Path
from typing import Any

from palyra.config.operations import JobAction, JobConfig, Maintenance
from palyra.core.clock import ManualClock
from palyra.journal.job_rows import JobRow, JobSource, JobState
from palyra.scheduler.acts import JobActs
from palyra.scheduler.job_input import fields_of, from_config, parse_job
from palyra.scheduler.standing_jobs import SYSTEM_SCHEDULES, Synchronised, add_system_jobs, schedule_of, synchronise
from tests.scheduler.bench import Bench, bench
from tests.scheduler.rows import T0


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
