"""What people do with jobs and their fires."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from palyra.core.errors import BadInputError, ConflictError, NotFoundError, UnwrittenError
from palyra.journal.job_rows import FireState, JobSource, JobState, Trigger
from palyra.scheduler.acts import MAX_JOBS, JobActs
from palyra.scheduler.job_input import JobInputError
from palyra.scheduler.retrying import AttemptEnd
from palyra.scheduler.standing_jobs import add_system_jobs
from tests.journal.test_kept import FAILS, disk
from tests.scheduler.bench import Bench, bench
from tests.scheduler.rows import T0, a_job

DAY = 86_400


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, a_job()) as stage:
        yield stage


def acts_of(stage: Bench) -> JobActs:
    return JobActs(stage.scheduler, "Europe/Prague", "local")


async def test_a_job_is_added_planned_and_fired(stage: Bench) -> None:
    fields = {"name": "Report", "cron": "0 14 * * *", "prompt": "Report.", "tags": "team=blue", "max_attempts": "3"}
    row = await acts_of(stage).add(fields, "ann")
    assert (row.timezone, row.owner, row.session, row.created_by) == ("Europe/Prague", "local", "job:Report", "ann")
    assert (row.max_attempts, row.scope.tags, row.next_slot) == (3, {"team": "blue"}, T0 + 3_600_000)
    await stage.turn()
    assert await stage.job(row.job_id) == row
    await stage.at(3_600)
    assert [(fire.slot, fire.state) for fire in await stage.fires(row.job_id)] == [
        (T0 + 3_600_000, FireState.COMPLETED)
    ]


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({}, ["schedule", "name", "prompt"]),
        (
            {"name": "x", "cron": "61 * * * *", "timezone": "Europe/Pragu", "prompt": "p"},
            ["schedule.cron.minute", "schedule.timezone"],
        ),
        ({"name": "x", "cron": "* * * * *", "every": "5m", "prompt": "p"}, ["schedule"]),
        ({"name": "System.mine", "every": "5m", "prompt": "p"}, ["name"]),
        ({"name": "J1", "every": "5m", "prompt": "p"}, ["name"]),
        (
            {"name": "x", "every": "5m", "prompt": "p", "jitter_ms": "70000", "concurrency": "maybe"},
            ["jitter_ms", "concurrency"],
        ),
        ({"name": "x", "every": "5m", "task": "summary", "input": "i", "maintenance": "rollup_check"}, ["maintenance"]),
        ({"name": "x", "every": "5m", "action": "task", "prompt": "p"}, ["task", "prompt", "input"]),
        ({"name": "x", "every": "5m", "task": "summary"}, ["input"]),
        ({"name": "x", "every": "5m", "task": "delegation_prompt", "input": "i"}, ["task"]),
        ({"name": "x", "every": "1ms", "prompt": "p", "model": "nope/none"}, ["model", "schedule.every"]),
        ({"name": "x", "every": "5m", "prompt": "p", "promt": "q"}, ["promt"]),
        ({"name": "x", "cron": "* * * * *", "prompt": "p", "anchor": "2026-11-22"}, ["anchor"]),
        ({"name": "x" * 129, "every": "5m", "prompt": "p" * 17_000}, ["name", "prompt"]),
    ],
)
async def test_everything_wrong_with_a_new_job_is_told_at_once(
    stage: Bench, fields: dict[str, str], faults: list[str]
) -> None:
    acts = JobActs(stage.scheduler, "UTC", "local", lambda name: f"There is no model {name}.")
    with pytest.raises(JobInputError) as refused:
        await acts.add(fields, "ann")
    assert sorted(fault.field for fault in refused.value.faults) == sorted(faults)
    assert len(stage.scheduler.roster) == 1


async def test_an_edit_plans_from_now_on_and_a_new_schedule_counts_from_now(stage: Bench) -> None:
    await stage.at(30)
    row = await acts_of(stage).edit("J1", {"prompt": "Say more."}, "ann", version=1)
    assert (row.version, row.anchor, row.next_slot, row.work["prompt"]) == (2, T0, T0 + 60_000, "Say more.")
    row = await acts_of(stage).edit("j1", {"every": "45s"}, "ann")
    assert (row.version, row.anchor, row.next_slot) == (3, T0 + 30_000, T0 + 75_000)
    row = await acts_of(stage).edit("j1", {"cron": "*/5 * * * *", "timezone": "UTC"}, "ann")
    assert (row.schedule, row.expression, row.next_slot) == ("cron", "*/5 * * * *", T0 + 300_000)
    with pytest.raises(ConflictError) as stale:
        await acts_of(stage).edit("j1", {"every": "5m"}, "ann", version=2)
    assert stale.value.code == "stale_version"
    with pytest.raises(NotFoundError):
        await acts_of(stage).edit("j2", {}, "ann")


async def test_a_paused_job_skips_what_waits_and_goes_on_from_now(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(concurrency="queue")) as stage:
        stage.hands.hold = True
        await stage.at(60)
        await stage.at(120)
        row = await acts_of(stage).pause("j1", "weekend", "ann")
        assert (row.state, row.why, row.state_by, row.next_slot) == (JobState.PAUSED, "weekend", "ann", None)
        assert await stage.story() == [(60, "running", "", 0), (120, "skipped", "paused", 0)]
        stage.hands.finish()
        await stage.at(300)
        assert await stage.story() == [(60, "completed", "", 0), (120, "skipped", "paused", 0)]
        row = await acts_of(stage).resume("j1", "ann")
        assert (row.state, row.next_slot) == (JobState.ACTIVE, T0 + 360_000)
        with pytest.raises(ConflictError):
            await acts_of(stage).resume("j1", "ann")


async def test_pausing_may_stop_what_is_under_way(stage: Bench) -> None:
    stage.hands.hold = True
    await stage.at(60)
    await acts_of(stage).pause("j1", "", "ann", cancel_active=True)
    await stage.turn()
    assert await stage.story() == [(60, "cancelled", "by_operator", 0)]


async def test_pausing_may_stop_what_waits_to_try_again(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_attempts=5, backoff_ms=10_000)) as stage:
        stage.hands.ends = [AttemptEnd("failed", "rate_limited")]
        await stage.at(60)
        await acts_of(stage).pause("j1", "", "ann", cancel_active=True)
        await stage.at(120)
        assert await stage.story() == [(60, "cancelled", "by_operator", 0)]
        assert len(stage.hands.orders) == 1


async def test_an_instant_that_passed_during_a_pause_is_exhausted(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(schedule="at", expression="2026-11-22T12:01:00Z")) as stage:
        await acts_of(stage).pause("j1", "", "ann")
        await stage.at(120)
        row = await acts_of(stage).resume("j1", "ann")
        assert (row.state, row.next_slot) == (JobState.EXHAUSTED, None)
        assert stage.hands.orders == []


async def test_a_trigger_fires_beside_the_schedule(stage: Bench) -> None:
    fire = await acts_of(stage).trigger("j1", "ann", key="k")
    await stage.turn()
    (kept,) = await stage.fires()
    assert (kept.fire_id, kept.trigger, kept.slot, kept.state, kept.by) == (
        fire.fire_id,
        Trigger.MANUAL,
        None,
        FireState.COMPLETED,
        "ann",
    )
    assert (await stage.job()).next_slot == T0 + 60_000
    again = await acts_of(stage).trigger("j1", "ann", key="k")
    assert again.fire_id == fire.fire_id
    await acts_of(stage).trigger("j1", "ann")
    await stage.turn()
    assert len(await stage.fires()) == 2


async def test_a_trigger_that_is_not_written_is_never_told_as_done_and_happens_once(
    stage: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, [FAILS, FAILS, FAILS])
    with pytest.raises(UnwrittenError, match="keeps trying"):
        await acts_of(stage).trigger("j1", "ann", key="k")
    with pytest.raises(UnwrittenError, match="keeps trying"):
        await acts_of(stage).trigger("j1", "ann", key="k")
    await stage.at(30)
    (fire,) = await stage.fires()
    assert (fire.state, fire.by, fire.key) == (FireState.COMPLETED, "ann", "k")
    assert (await acts_of(stage).trigger("j1", "ann", key="k")).fire_id == fire.fire_id
    noted = await stage.journal.readers.audit_rows(kind="job")
    assert [row.payload["verb"] for row in noted] == ["job_triggered"]


async def test_a_trigger_while_a_fire_is_active_follows_the_policy(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job("forbid"), a_job("queue", concurrency="queue")) as stage:
        stage.hands.hold = True
        await stage.at(60)
        refused = await acts_of(stage).trigger("forbid", "ann")
        assert (refused.state, refused.reason) == (FireState.SKIPPED, "concurrency_forbid")
        # Two slots, then somebody's wish: one waits, the next goes into it, the last finds the queue full.
        await stage.at(120)
        await stage.at(180)
        full = await acts_of(stage).trigger("queue", "ann")
        assert (full.state, full.reason) == (FireState.SKIPPED, "concurrency_queue_full")
        lane = stage.scheduler.roster.get("queue")
        assert lane is not None
        stage.hands.finish(fire_id=lane.fires[0].fire_id)
        await stage.turn()
        assert await stage.story("queue") == [
            (60, "completed", "", 0),
            (120, "running", "", 1),
            (None, "skipped", "concurrency_queue_full", 0),
        ]


async def test_a_paused_job_can_be_triggered_and_a_faulted_one_not(tmp_path: Path) -> None:
    bad = a_job("bad", expression="nonsense", next_slot=T0 + 60_000, release_at=T0 + 60_000)
    async with bench(tmp_path, a_job(), bad) as stage:
        await acts_of(stage).pause("j1", "", "ann")
        await acts_of(stage).trigger("j1", "ann")
        await stage.at(60)
        assert await stage.story() == [(None, "completed", "", 0)]
        with pytest.raises(ConflictError, match="faulted"):
            await acts_of(stage).trigger("bad", "ann")
        with pytest.raises(ConflictError, match="cannot be planned"):
            await acts_of(stage).reset("bad", "ann")
        await acts_of(stage).edit("bad", {"every": "1m"}, "ann")
        assert "job:bad:faulted" not in stage.told
        await stage.at(120)
        assert [state for _, state, _, _ in await stage.story("bad")] == ["completed"]


async def test_a_job_is_deleted_unless_it_is_active_and_its_history_stays(stage: Bench) -> None:
    stage.hands.hold = True
    await stage.at(60)
    with pytest.raises(ConflictError):
        await acts_of(stage).delete("j1", "ann")
    stage.hands.finish()
    await stage.turn()
    await acts_of(stage).delete("j1", "ann")
    assert await stage.journal.readers.job("j1") is None
    assert await stage.story() == [(60, "completed", "", 0)]
    await stage.at(300)
    assert len(stage.hands.orders) == 1
    await acts_of(stage).add({"name": "j1", "every": "1m", "prompt": "p"}, "ann")


async def reviewing(stage: Bench, days: int) -> str:
    await stage.at(days * DAY)
    (fire,) = await stage.fires()
    assert fire.state is FireState.REVIEW
    return fire.fire_id


@pytest.mark.parametrize("decision", ["run", "replay", "skip"])
async def test_missed_slots_are_decided_on(tmp_path: Path, decision: str) -> None:
    async with bench(tmp_path, a_job(misfire="catch_up", expression="1d")) as stage:
        fire_id = await reviewing(stage, 5)
        fires = await acts_of(stage).review(fire_id, decision, "ann")
        await stage.turn()
        story = await stage.story()
        if decision == "skip":
            assert story == [(DAY, "skipped", "review_skipped", 4)]
        elif decision == "run":
            assert story == [(DAY, "completed", "", 4)]
            assert [fire.fire_id for fire in fires] == [fire_id]
        else:
            assert stage.hands.slots == [DAY * day for day in range(1, 6)]
            assert [slot for slot, _, _, _ in story] == stage.hands.slots
            assert {(state, count) for _, state, _, count in story} == {("completed", 0)}
        assert "job:j1:review" not in stage.told
        with pytest.raises(ConflictError):
            await acts_of(stage).review(fire_id, decision, "ann")


async def test_too_many_slots_are_not_replayed(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(misfire="catch_up", expression="1d")) as stage:
        fire_id = await reviewing(stage, 101)
        with pytest.raises(ConflictError, match="101 slots"):
            await acts_of(stage).review(fire_id, "replay", "ann")
        with pytest.raises(BadInputError):
            await acts_of(stage).review(fire_id, "perhaps", "ann")
        with pytest.raises(NotFoundError):
            await acts_of(stage).review("none", "run", "ann")
        await acts_of(stage).review(fire_id, "run", "ann")
        await stage.turn()
        assert await stage.story() == [(DAY, "completed", "", 100)]


async def test_replayed_slots_wait_for_each_other(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(misfire="catch_up", expression="1d")) as stage:
        stage.hands.hold = True
        fire_id = await reviewing(stage, 6)
        await acts_of(stage).review(fire_id, "replay", "ann")
        for number in range(1, 7):
            await stage.turn()
            assert len(stage.hands.orders) == number
            stage.hands.finish()
        await stage.turn()
        assert {state for _, state, _, _ in await stage.story()} == {"completed"}


async def test_a_slot_that_joins_a_replay_is_told_apart_from_those_in_between(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(misfire="catch_up", expression="1d")) as stage:
        stage.hands.hold = True
        fire_id = await reviewing(stage, 6)
        await stage.at(7 * DAY)
        await acts_of(stage).review(fire_id, "replay", "ann")
        await stage.at(8 * DAY)
        (joined,) = [fire for fire in await stage.fires() if fire.spans]
        day = DAY * 1000
        assert joined.slot is not None
        assert joined.spans == ((joined.slot, joined.slot, 1), (T0 + 8 * day, T0 + 8 * day, 1))
        assert joined.slot < T0 + 7 * day


async def test_system_jobs_can_be_paused_and_moved_but_not_changed_or_deleted(stage: Bench) -> None:
    add_system_jobs(stage.scheduler)
    add_system_jobs(stage.scheduler)
    acts = acts_of(stage)
    assert sorted(lane.job.name for lane in stage.scheduler.roster.system) == [
        "system.approvals_sweep",
        "system.health_check",
        "system.journal_checkpoint",
        "system.journal_vacuum",
        "system.memory_maintenance",
        "system.model_discovery",
        "system.rollup_check",
    ]
    name = "system.journal_vacuum"
    with pytest.raises(ConflictError):
        await acts.delete(name, "ann")
    with pytest.raises(ConflictError):
        await acts.edit(name, {"prompt": "p"}, "ann")
    row = await acts.edit(name, {"cron": "0 5 * * *"}, "ann")
    assert (row.name, row.expression, row.work, row.source) == (
        name,
        "0 5 * * *",
        {"maintenance": "journal_vacuum"},
        JobSource.SYSTEM,
    )
    await acts.pause(name, "", "ann")
    add_system_jobs(stage.scheduler)
    lane = stage.scheduler.roster.find(name)
    assert lane is not None
    assert (lane.job.state, lane.job.expression) == (JobState.PAUSED, "0 5 * * *")


async def test_every_act_is_audited(stage: Bench) -> None:
    acts = acts_of(stage)
    await acts.pause("j1", "why", "ann")
    await acts.resume("j1", "bob")
    await acts.trigger("j1", "ann")
    rows = await stage.journal.readers.audit()
    assert [(row.actor, row.payload["verb"]) for row in reversed(rows)] == [
        ("ann", "job_paused"),
        ("bob", "job_resumed"),
        ("ann", "job_triggered"),
    ]


async def test_there_is_an_end_to_how_many_jobs_there_may_be(stage: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_JOBS == 10_000
    monkeypatch.setattr("palyra.scheduler.acts.MAX_JOBS", 1)
    with pytest.raises(ConflictError, match="no more may be"):
        await acts_of(stage).add({"name": "x", "every": "5m", "prompt": "p"}, "ann")


async def test_a_hung_fire_is_stopped_and_tried_again_by_rule(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_attempts=2)) as stage:
        stage.hands.hold = True
        await stage.at(60)
        assert stage.scheduler.stop_fire("j1", "self_healing", "palyra")
        await stage.turn()
        assert await stage.story() == [(60, "backoff", "self_healing", 0)]
        await stage.at(61)
        stage.hands.finish(AttemptEnd("completed"))
        await stage.turn()
        assert await stage.story() == [(60, "completed", "", 0)]
        assert not stage.scheduler.stop_fire("j1", "self_healing", "palyra")
