"""Keeps the engine's background work running: what fails is logged and started again, and never ends its neighbours."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from palyra.core.clock import Clock

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

Work = Callable[[], Awaitable[None]]


class Supervisor:
    """Owns named tasks. A task that raises starts again after 1, 2, 4 … 30 s; one that returns is done."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failures: dict[str, int] = {}

    def start(self, name: str, work: Work) -> None:
        """Begins a task that is begun again where it breaks."""
        self._tasks[name] = asyncio.create_task(self._keep(name, work), name=f"palyra:{name}")

    async def _keep(self, name: str, work: Work) -> None:
        pause = FIRST_PAUSE_S
        while True:
            started = self._clock.monotonic()
            try:
                await work()
            except Exception:
                self.failures[name] = self.failures.get(name, 0) + 1
                log.exception("%s failed and will start again", name)
            else:
                return
            if self._clock.monotonic() - started > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def stop(self, name: str) -> None:
        """Cancels one task, if it is there, and waits until it has ended."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Cancels every task and waits until all have ended."""
        for task in self._tasks.values():
            task.cancel()
        for task in self._tasks.values():
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
