import asyncio

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.lag import LoopLag


async def test_a_timer_served_late_is_measured_and_the_worst_is_kept() -> None:
    clock = ManualClock()
    lag = LoopLag(clock)
    task = asyncio.create_task(lag.run())
    await clock.advance(1)
    assert lag.latest_ms == 0
    # Time moves on without the loop turning: the timer is served 700 ms after it was due.
    clock.tick(0.1)
    clock.tick(0.7)
    await settle_loop()
    assert round(lag.latest_ms) == 700
    await clock.advance(0.25)
    assert lag.latest_ms == 0
    assert round(lag.take_worst()) == 700
    assert lag.take_worst() == 0
    task.cancel()


async def test_stalls_of_a_second_and_leaps_of_wall_time_are_noticed() -> None:
    clock = ManualClock()
    lag = LoopLag(clock)
    task = asyncio.create_task(lag.run())
    await clock.advance(10)
    assert lag.lost_s == 0
    clock.tick(0.1)
    clock.tick(0.7)
    await settle_loop()
    assert list(lag.stalls) == []
    clock.tick(0.1)
    clock.tick(1.1)
    await settle_loop()
    assert lag.disturbed_at == clock.monotonic()
    assert list(lag.stalls) == [clock.monotonic()]
    clock.set_wall(clock.now_ms() - 90_000)
    await clock.advance(0.1)
    assert lag.disturbed_at == clock.monotonic()
    assert lag.set_back is not None
    assert (lag.set_back[0], round(lag.set_back[1])) == (clock.monotonic(), 90)
    assert len(lag.stalls) == 1
    stall = lag.longest_stall()
    assert stall is not None
    assert (stall.ms, lag.stalls_total, lag.suspended_ms) == (1_200, 1, 0)
    await clock.advance(3_601)
    assert lag.longest_stall() is None
    task.cancel()


async def test_time_the_machine_slept_is_no_lateness() -> None:
    clock = ManualClock()
    lag = LoopLag(clock)
    task = asyncio.create_task(lag.run())
    await clock.advance(1)
    clock.set_wall(clock.now_ms() + 600_000)
    await clock.advance(1)
    assert lag.suspended_ms == 600_000
    assert (lag.stalls_total, round(lag.within(60)[-1])) == (0, 0)
    assert len(lag.within(60)) in (19, 20)
    task.cancel()


async def test_who_judges_before_the_measurement_had_its_turn_notices_a_stall_too() -> None:
    clock = ManualClock()
    lag = LoopLag(clock)
    task = asyncio.create_task(lag.run())
    await clock.advance(1)
    clock.tick(60)
    lag.notice()
    assert lag.disturbed_at == clock.monotonic()
    assert lag.lost_s >= 60
    task.cancel()
