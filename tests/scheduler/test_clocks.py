"""Clocks that jump, machines that sleep, and the loop's own naps."""

import asyncio
from pathlib import Path

from palyra.core.clock import ManualClock, settle_loop
from palyra.journal.job_rows import FireState, JobState
from palyra.scheduler.retrying import AttemptEnd
from palyra.scheduler.scheduler import SchedulerSettings
from tests.scheduler.bench import bench
from tests.scheduler.rows import T0, a_job

HOUR = 3_600_000


async def test_a_clock_that_goes_forward_is_met_by_the_misfire_rule(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job()) as stage:
        await stage.at(60)
        stage.clock.set_wall(T0 + HOUR)
        await stage.turn()
        assert await stage.story() == [(60, "completed", "", 0), (120, "completed", "", 58)]


async def test_a_clock_that_goes_back_fires_nothing_twice(tmp_path: Path) -> None:
    cron = a_job("cron", schedule="cron", expression="* * * * *")
    async with bench(tmp_path, a_job(), cron) as stage:
        for minute in range(1, 4):
            await stage.at(minute * 60)
        stage.clock.set_wall(T0)
        await stage.turn()
        # Intervals count from now on; cron waits for the slot it knows.
        assert (await stage.job("j1")).next_slot == T0 + 60_000
        assert (await stage.job("cron")).next_slot == T0 + 240_000
        for minute in range(1, 6):
            await stage.at(minute * 60)
        slots = [fire.slot for fire in await stage.fires("cron")]
        assert slots == [T0 + minute * 60_000 for minute in range(1, 6)]
        # The interval's new slots lie where old ones did: those were fired, so nothing ran for them again.
        slots = [fire.slot for fire in await stage.fires("j1")]
        assert sorted(slots, key=lambda slot: slot or 0) == [T0 + minute * 60_000 for minute in range(1, 6)]
        assert len(stage.hands.orders) == 10


async def test_a_slot_that_is_due_still_is_not_lost_when_the_clock_goes_back_a_little(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(), enabled=False) as stage:
        await stage.at(90)
        stage.clock.set_wall(T0 + 70_000)
        await stage.turn()
        assert (await stage.job()).next_slot == T0 + 60_000
        stage.scheduler.settings = SchedulerSettings()
        await stage.turn()
        assert await stage.story() == [(60, "completed", "", 0)]
        assert (await stage.job()).next_slot == T0 + 120_000


async def test_waits_are_as_long_as_they_were_when_the_clock_goes_back(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(max_attempts=2, backoff_ms=30_000)) as stage:
        stage.hands.ends = [AttemptEnd("failed", "rate_limited")]
        await stage.at(60)
        stage.clock.set_wall(T0 - HOUR)
        await stage.turn()
        (fire,) = await stage.fires()
        assert (fire.state, fire.retry_at) == (FireState.BACKOFF, T0 - HOUR + 30_000)
        stage.clock.tick(30)
        await stage.turn()
        assert (await stage.fires())[0].state is FireState.COMPLETED


async def test_making_room_takes_five_seconds_also_when_the_clock_goes_back(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job(concurrency="replace")) as stage:
        stage.hands.hold = stage.hands.deaf = True
        await stage.at(60)
        await stage.at(120)
        stage.clock.set_wall(T0 - HOUR)
        await stage.turn()
        stage.clock.tick(5)
        await stage.turn()
        assert (await stage.story())[1] == (120, "failed", "replace_timeout", 0)


async def test_a_job_that_cannot_be_planned_keeps_no_other_from_being_turned_back(tmp_path: Path) -> None:
    bad = a_job("bad", expression="nonsense", next_slot=T0 + HOUR, release_at=T0 + HOUR)
    async with bench(tmp_path, bad, a_job()) as stage:
        await stage.turn()
        stage.clock.set_wall(T0 - HOUR)
        await stage.turn()
        assert (await stage.job("bad")).state is JobState.FAULTED
        assert set(stage.told) == {"job:bad:faulted"}
        assert (await stage.job()).next_slot == T0 - HOUR + 60_000


async def test_a_jump_is_journaled(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job()) as stage:
        await stage.turn()
        stage.clock.set_wall(T0 + 5_000)
        await stage.turn()
        stage.clock.set_wall(T0 + 5_500)
        await stage.turn()
        rows = await stage.journal.readers.audit()
        assert [row.payload for row in rows if row.payload.get("verb") == "clock_jumped"] == [
            {"verb": "clock_jumped", "by_ms": 5_000}
        ]


async def test_the_loop_sleeps_until_the_next_release_and_at_most_a_second(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job()) as stage:
        loop = asyncio.create_task(stage.scheduler.run())
        try:
            while not stage.clock.waiting:
                await settle_loop()
            for _ in range(59):
                await stage.clock.advance(1)
            await stage.clock.advance(0.9)
            assert stage.hands.orders == []
            await stage.clock.advance(0.1)
            while not stage.hands.begun_at:
                await stage.journal.submit(())
                await settle_loop()
            assert stage.hands.begun_at == [T0 + 60_000]
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


async def test_intervals_whose_next_slot_is_out_of_reach_count_anew_at_a_start(tmp_path: Path) -> None:
    async with bench(tmp_path, a_job()) as stage:
        await stage.at(600)
    clock = ManualClock(T0 - 24 * HOUR)
    async with bench(tmp_path, clock=clock, boot="two") as stage:
        await stage.turn()
        assert (await stage.job()).next_slot == T0 - 24 * HOUR + 60_000


async def test_an_anchor_that_is_yet_to_come_stays_over_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    job = a_job(anchor=T0 + 24 * HOUR, expression="1h")
    for part, boot in enumerate(("one", "two")):
        async with bench(tmp_path, *([] if part else [job]), clock=clock, boot=boot) as stage:
            await stage.turn()
            assert (await stage.job()).next_slot == T0 + 25 * HOUR


async def test_newer_zone_rules_move_slots_at_a_start(tmp_path: Path) -> None:
    job = a_job(
        schedule="cron",
        expression="0 12 * * *",
        timezone="Europe/Prague",
        zone_rules="2019.1",
        next_slot=T0 + 23 * HOUR + 1,
        release_at=T0 + 23 * HOUR + 1,
    )
    async with bench(tmp_path, job) as stage:
        await stage.turn()
        moved = await stage.job()
        assert moved.next_slot == T0 + 23 * HOUR
        assert moved.zone_rules != "2019.1"
        verbs = [row.payload.get("verb") for row in await stage.journal.readers.audit()]
        assert verbs == ["slot_moved"]
