"""Fires on a real journal: on time, missed, busy, retried, replaced; every due slot is accounted for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.job_rows import FireState, JobState
from palyra.scheduler.acts import JobActs
from palyra.scheduler.retrying import AttemptEnd
from palyra.scheduler.zone_changes import rules_version
from tests.scheduler.bench import bench
from tests.scheduler.rows import T0, a_job

DAY = 86_400


async def test_slots_fire_as_they_come(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job()) as stage:
        await stage.at(59.999)
        assert stage.hands.slots == []
        for minute in (1, 2, 3):
            await stage.at(minute * 60)
        assert stage.hands.slots == [60, 120, 180]
        fires = await stage.fires()
        assert [(fire.state, fire.lateness_ms, fire.attempts) for fire in fires] == [(FireState.COMPLETED, 0, 1)] * 3
        assert [(fire.input_tokens, fire.output_tokens, fire.cost) for fire in fires] == [(3, 5, 7)] * 3
        job = await stage.job()
        assert (job.fired, job.last_slot, job.next_slot) == (3, T0 + 180_000, T0 + 240_000)


async def test_missed_slots_are_one_fire_when_they_are_skipped(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job()) as stage:
        await stage.at(660)
        assert await stage.story() == [(60, "completed", "", 10)]
        assert (await stage.job()).next_slot == T0 + 720_000


async def test_three_missed_slots_are_caught_up_on_one_after_another(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(misfire="catch_up")) as stage:
        stage.hands.hold = True
        await stage.at(299.999)
        for slot in (60, 120, 180, 240):
            assert stage.hands.slots[-1] == slot
            assert len(stage.hands.orders) == slot // 60
            stage.hands.finish()
            await stage.turn()
        assert [fire.trigger for fire in await stage.fires()] == ["schedule", "catch_up", "catch_up", "catch_up"]
        assert {state for _, state, _, _ in await stage.story()} == {"completed"}


async def test_slots_that_come_while_others_are_caught_up_on_join_their_tail(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(misfire="catch_up")) as stage:
        stage.hands.hold = True
        await stage.at(299)
        for minute in range(5, 9):
            await stage.at(minute * 60)
        # Four wait at most; what comes then goes into the last.
        assert await stage.story() == [
            (60, "running", "", 0),
            (120, "pending", "", 0),
            (180, "pending", "", 0),
            (240, "pending", "", 0),
            (300, "pending", "", 3),
        ]
        assert (await stage.fires())[-1].covers_through == T0 + 480_000
        for _ in range(5):
            stage.hands.finish()
            await stage.turn()
        assert stage.hands.slots == [60, 120, 180, 240, 300]


async def test_forbidden_slots_are_skipped_also_while_the_fire_waits_to_try_again(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_attempts=2, backoff_ms=60_000)) as stage:
        stage.hands.ends = [AttemptEnd("failed", "rate_limited")]
        await stage.at(60)
        assert (await stage.fires())[0].state is FireState.BACKOFF
        await stage.at(119.999)
        await stage.at(120)
        await stage.at(180)
        assert (await stage.story())[:2] == [(60, "completed", "", 0), (120, "skipped", "concurrency_forbid", 0)]
        assert (await stage.fires())[0].attempts == 2
        numbers = [attempt.number for attempt in await stage.journal.readers.attempts((await stage.fires())[0].fire_id)]
        assert numbers == [1, 2]


async def test_one_fire_waits_where_fires_queue(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(concurrency="queue")) as stage:
        stage.hands.hold = True
        await stage.at(60)
        await stage.at(120)
        await stage.at(180)
        assert await stage.story() == [(60, "running", "", 0), (120, "pending", "", 1)]
        stage.hands.finish()
        await stage.turn()
        assert stage.hands.slots == [60, 120]
        fire = (await stage.fires())[1]
        # It waited for the one before, which is no lateness.
        assert fire.lateness_ms == 0
        assert fire.held_until == T0 + 180_000


async def test_a_fire_that_is_replaced_ends_and_the_next_one_starts(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(concurrency="replace", max_attempts=5)) as stage:
        stage.hands.hold = True
        await stage.at(60)
        await stage.at(120)
        assert stage.hands.stops == [((await stage.fires())[0].fire_id, "replaced")]
        assert await stage.story() == [(60, "cancelled", "replaced", 0), (120, "running", "", 0)]


async def test_a_fire_that_waits_to_try_again_is_replaced_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(concurrency="replace", max_attempts=5, backoff_ms=60_000)) as stage:
        stage.hands.ends = [AttemptEnd("failed", "rate_limited"), AttemptEnd("failed", "rate_limited")]
        await stage.at(60)
        await stage.at(119)
        await stage.at(150)
        assert (await stage.fires())[0].state in (FireState.CANCELLED, FireState.COMPLETED)
        assert (await stage.story())[-1][:2] in ((120, "completed"), (120, "backoff"))


async def test_a_fire_that_does_not_make_room_fails_the_next_one(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(concurrency="replace")) as stage:
        stage.hands.hold = stage.hands.deaf = True
        await stage.at(60)
        await stage.at(120)
        await stage.at(124.999)
        assert (await stage.story())[1] == (120, "pending", "", 0)
        await stage.at(125)
        assert await stage.story() == [(60, "running", "", 0), (120, "failed", "replace_timeout", 0)]
        assert "job:j1:replace" in stage.told


async def test_each_fire_waits_five_seconds_for_one_that_never_makes_room(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(concurrency="replace")) as stage:
        stage.hands.hold = stage.hands.deaf = True
        for seconds in (60, 120, 125, 180, 184.999):
            await stage.at(seconds)
        assert (await stage.story())[2] == (180, "pending", "", 0)
        await stage.at(185)
        assert (await stage.story())[2] == (180, "failed", "replace_timeout", 0)


async def test_slots_that_are_too_late_are_dropped(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_lateness=30_000)) as stage:
        await stage.at(200)
        assert await stage.story() == [(60, "skipped", "too_late", 1), (180, "completed", "", 0)]


async def test_days_of_missed_slots_wait_for_a_person(tmp_path: Path) -> None:
    job = a_job(misfire="catch_up", expression="1d")
    async with bench(tmp_path, job) as stage:
        await stage.at(5 * DAY)
        assert await stage.story() == [(DAY, "review", "", 4)]
        assert stage.hands.orders == []
        assert "job:j1:review" in stage.told
        # The next slots fire as ever, and a second review becomes part of the first.
        await stage.at(6 * DAY)
        assert stage.hands.slots == [6 * DAY]
        await stage.at(11 * DAY)
        story = await stage.story()
        assert story[0] == (DAY, "review", "", 9)
        assert (await stage.fires())[0].spans == (
            (T0 + DAY * 1000, T0 + 5 * DAY * 1000, 5),
            (T0 + 7 * DAY * 1000, T0 + 11 * DAY * 1000, 5),
        )


async def test_an_instant_fires_once_however_late(tmp_path: Path) -> None:
    job = a_job(schedule="at", expression="2026-11-22T12:01:00Z")
    async with bench(tmp_path, job) as stage:
        await stage.at(30 * DAY)
        assert await stage.story() == [(60, "completed", "", 0)]
        assert (await stage.job()).state is JobState.EXHAUSTED


async def test_a_job_ends_with_its_last_run(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_runs=2, concurrency="queue")) as stage:
        stage.hands.hold = True
        for minute in range(1, 5):
            await stage.at(minute * 60)
        stage.hands.finish()
        await stage.turn()
        stage.hands.finish()
        await stage.turn()
        await stage.at(600)
        job = await stage.job()
        assert (job.state, job.fired, job.why) == (JobState.EXHAUSTED, 2, "max_runs")
        assert stage.hands.slots == [60, 120]


async def test_an_edit_gives_no_further_run_unless_it_says_how_many(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_runs=2)) as stage:
        for minute in range(1, 4):
            await stage.at(minute * 60)
        row = await JobActs(stage.scheduler, "UTC", "ann").edit("j1", {"prompt": "Say bye."}, "ann")
        assert (row.state, row.why, row.next_slot) == (JobState.EXHAUSTED, "max_runs", None)
        await stage.at(600)
        assert stage.hands.slots == [60, 120]
        row = await JobActs(stage.scheduler, "UTC", "ann").edit("j1", {"max_runs": "1"}, "ann")
        assert (row.state, row.fired) == (JobState.ACTIVE, 0)
        await stage.at(900)
        assert stage.hands.slots == [60, 120, 660]


async def test_runs_by_hand_during_a_pause_count_too(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_runs=1)) as stage:
        acts = JobActs(stage.scheduler, "UTC", "ann")
        await acts.pause("j1", "", "ann")
        await acts.trigger("j1", "ann")
        await stage.turn()
        assert (await acts.resume("j1", "ann")).state is JobState.EXHAUSTED
        await stage.at(600)
        assert stage.hands.slots == [None]


async def test_five_failures_in_a_row_are_told_and_may_pause_the_job(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(), pause_after=6) as stage:
        stage.hands.ends = [AttemptEnd("failed", "permanent_upstream", "no such thing")] * 6
        for minute in range(1, 6):
            assert "job:j1:failing" not in stage.told
            await stage.at(minute * 60)
        assert "job:j1:failing" in stage.told
        assert (await stage.fires())[0].error == "no such thing"
        await stage.at(360)
        job = await stage.job()
        assert (job.state, job.failures, job.next_slot) == (JobState.PAUSED, 6, None)


async def test_a_success_forgets_the_failures(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job()) as stage:
        stage.hands.ends = [AttemptEnd("failed", "permanent_upstream")] * 5
        for minute in range(1, 7):
            await stage.at(minute * 60)
        assert (await stage.job()).failures == 0
        assert stage.told == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"expression": "nonsense"},
        {"schedule": "cron", "expression": "0 0 30 2 *"},
        {"schedule": "cron", "expression": "* * * * *", "timezone": "Mars/Base"},
        {"schedule": "weekly"},
    ],
)
async def test_a_job_that_cannot_be_planned_hinders_no_other(tmp_path: Path, wrong: dict[str, Any]) -> None:
    bad = replace(a_job("bad"), zone_rules=rules_version(), **wrong)
    async with bench(tmp_path, bad, a_job()) as stage:
        await stage.at(60)
        assert stage.hands.slots == [60]
        job = await stage.job("bad")
        assert (job.state, job.next_slot) == (JobState.FAULTED, None)
        assert job.why
        assert set(stage.told) == {"job:bad:faulted"}
        await stage.at(120)
        assert stage.hands.slots == [60, 120]


async def test_no_more_run_at_once_than_may_and_maintenance_goes_first(tmp_path: Path) -> None:
    jobs = [a_job(f"j{number}") for number in range(4)]
    upkeep = a_job("system.x", action="maintenance", expression="1m")
    async with bench(tmp_path, *jobs, upkeep, max_concurrent=2) as stage:
        stage.hands.hold = True
        await stage.at(60)
        assert len(stage.hands.orders) == 2
        assert stage.hands.orders[0].job.job_id == "system.x"
        await stage.at(62)
        stage.hands.finish()
        await stage.turn()
        assert len(stage.hands.orders) == 3
        late = await stage.fires(stage.hands.orders[2].job.job_id)
        # It waited for a place until one was free.
        assert (late[0].held_until, late[0].lateness_ms) == (T0 + 62_000, 0)


async def test_jitter_keeps_the_grid_also_over_a_restart(tmp_path: Path) -> None:
    job = a_job(expression="5m", jitter_ms=60_000)
    clock = ManualClock(T0)
    for part in range(2):
        async with bench(tmp_path, *([job] if part == 0 else []), clock=clock, boot=f"boot{part}") as stage:
            for number in range(50):
                at = (part * 50 + number + 1) * 300
                await stage.at(at + 60)
    async with bench(tmp_path, clock=clock) as stage:
        fires = await stage.fires()
    assert [fire.slot for fire in fires] == [T0 + number * 300_000 for number in range(1, 101)]
    assert all(fire.slot is not None and 0 <= fire.release_at - fire.slot <= 60_000 for fire in fires)
    assert len({fire.release_at - (fire.slot or 0) for fire in fires}) > 90
