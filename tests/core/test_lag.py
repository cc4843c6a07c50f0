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
    clock.tick(0.25)
    clock.tick(0.7)
    await settle_loop()
    assert round(lag.latest_ms) == 700
    await clock.advance(0.25)
    assert lag.latest_ms == 0
    assert round(lag.take_worst()) == 700
    assert lag.take_worst() == 0
    task.cancel()
