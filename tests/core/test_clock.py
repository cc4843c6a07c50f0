import asyncio

import pytest

from palyra.core.clock import ManualClock, SystemClock


def test_a_wall_clock_that_steps_back_a_little_is_held_still() -> None:
    readings = iter([100_000, 99_000, 40_000, 100_500])
    clock = SystemClock(wall_ns=lambda: next(readings) * 1_000_000)
    assert [clock.now_ms() for _ in range(4)] == [100_000, 100_000, 100_000, 100_500]


def test_a_wall_clock_that_steps_back_far_is_believed() -> None:
    readings = iter([100_000, 39_999])
    clock = SystemClock(wall_ns=lambda: next(readings) * 1_000_000)
    assert [clock.now_ms() for _ in range(2)] == [100_000, 39_999]


async def test_sleepers_wake_in_order_when_time_is_turned() -> None:
    clock, woken = ManualClock(), list[str]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 2))
        group.create_task(sleeper("early", 1))
        await clock.advance(1)
        assert woken == ["early"]
        await clock.advance(1)
    assert woken == ["early", "late"]


async def test_a_timer_armed_by_a_woken_sleeper_fires_in_the_same_advance() -> None:
    clock, ticks = ManualClock(), list[float]()

    async def ticker() -> None:
        for _ in range(3):
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        group.create_task(ticker())
        await clock.advance(3)
    assert ticks == [1.0, 2.0, 3.0]


async def test_a_timeout_fires_by_the_manual_clock_only() -> None:
    clock = ManualClock()

    async def waits() -> None:
        async with clock.timeout(5):
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await clock.advance(4.9)
    assert not task.done()
    await clock.advance(0.2)
    with pytest.raises(TimeoutError):
        await task
    assert clock.waiting == 0


async def test_a_timeout_that_is_not_needed_leaves_no_timer() -> None:
    clock = ManualClock()
    async with clock.timeout(5):
        pass
    assert clock.waiting == 0
