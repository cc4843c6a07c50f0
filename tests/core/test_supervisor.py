import asyncio
import logging
from functools import partial

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.supervisor import Supervisor


async def test_work_that_fails_starts_again_after_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    supervisor, starts = Supervisor(clock), list[float]()

    async def breaks() -> None:
        starts.append(clock.monotonic())
        raise RuntimeError("again")

    with caplog.at_level(logging.ERROR):
        supervisor.start("sweeper", breaks)
        await clock.advance(7.5)
    assert starts == [0, 1, 3, 7]
    assert supervisor.failures == {"sweeper": 4}
    assert "sweeper failed" in caplog.text
    await supervisor.close()


async def test_one_failure_leaves_the_neighbours_alone_and_close_ends_all() -> None:
    clock = ManualClock()
    supervisor, ended = Supervisor(clock), asyncio.Event()

    async def steady() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def done() -> None:
        return None

    supervisor.start("steady", steady)
    supervisor.start("done", done)
    await clock.advance(5)
    assert supervisor.failures == {}
    await supervisor.close()
    assert ended.is_set()


async def test_one_task_is_stopped_alone() -> None:
    supervisor, ended = Supervisor(ManualClock()), list[str]()

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    for name in ("a", "b"):
        supervisor.start(name, partial(work, name))
    await settle_loop()
    await supervisor.stop("a")
    await supervisor.stop("a")
    assert ended == ["a"]
    await supervisor.close()
    assert ended == ["a", "b"]
