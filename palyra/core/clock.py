"""Time's one door: the system's clock for the engine, a clock turned by hand for tests and simulations."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol

STEP_BACK_HELD_MS = 60_000
"""A wall clock that steps back by no more than this is held still instead."""


class Timer(Protocol):
    """A scheduled call that can be taken back."""

    def cancel(self) -> None:
        """It does not ring any more."""
        ...


class Clock(Protocol):
    """What the house may ask of time. Wall time is UTC unix milliseconds, monotonic time is seconds."""

    def now_ms(self) -> int:
        """Wall time, UTC unix ms; it may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds from some beginning; they only grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits so many seconds."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls back after so many seconds."""
        ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Raises TimeoutError inside the block once `seconds` have passed; None never does."""
        ...


class SystemClock:
    """The machine's clocks. Wall time never runs backwards by steps of up to a minute; larger steps pass through."""

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns
        self._latest_ms = 0

    def now_ms(self) -> int:
        """Wall time, UTC unix ms."""
        now = self._wall_ns() // 1_000_000
        if self._latest_ms - STEP_BACK_HELD_MS <= now < self._latest_ms:
            return self._latest_ms
        self._latest_ms = now
        return now

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits so many seconds."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls back after so many seconds, on the running loop."""
        return asyncio.get_running_loop().call_later(seconds, callback)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Cancels what it surrounds after so many seconds. Raises TimeoutError."""
        return asyncio.timeout(seconds)


class _ManualTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualClock:
    """A clock that moves only when told to. Wall and monotonic time advance together."""

    def __init__(self, now_ms: int = 1_795_348_800_000) -> None:
        self._now_ms = now_ms
        self._elapsed_ms = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _ManualTimer]] = []

    def now_ms(self) -> int:
        """Wall time as it was set, UTC unix ms."""
        return self._now_ms + int(self._elapsed_ms)

    def monotonic(self) -> float:
        """Seconds as they were advanced."""
        return self._elapsed_ms / 1000

    def set_wall(self, now_ms: int) -> None:
        """Steps the wall clock without moving monotonic time."""
        self._now_ms = now_ms - int(self._elapsed_ms)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls back once time was advanced so far."""
        timer = _ManualTimer(callback)
        heapq.heappush(self._timers, (self._elapsed_ms + max(0.0, seconds) * 1000, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Waits until time was advanced so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Cancels what it surrounds once time was advanced so far. Raises TimeoutError."""
        return _ManualTimeout(self, seconds)

    @property
    def waiting(self) -> int:
        """How many timers are armed; tests use it to wait until the code under test is asleep."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def tick(self, seconds: float) -> None:
        """Moves time and fires what is due, in order, without yielding to the loop."""
        target = self._elapsed_ms + seconds * 1000
        while self._timers and self._timers[0][0] <= target:
            due, _, timer = heapq.heappop(self._timers)
            self._elapsed_ms = max(self._elapsed_ms, due)
            if not timer.cancelled:
                timer.callback()
        self._elapsed_ms = target

    async def advance(self, seconds: float) -> None:
        """Moves time step by step, letting the loop run after each timer, so that woken code can arm new ones."""
        target = self._elapsed_ms + seconds * 1000
        await settle_loop()
        while self._timers and self._timers[0][0] <= target:
            due, _, timer = heapq.heappop(self._timers)
            self._elapsed_ms = max(self._elapsed_ms, due)
            if not timer.cancelled:
                timer.callback()
                await settle_loop()
        self._elapsed_ms = target
        await settle_loop()


class _ManualTimeout:
    """`asyncio.timeout` whose deadline is on a ManualClock."""

    def __init__(self, clock: ManualClock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._inner = asyncio.timeout(None)
        self._timer: Timer | None = None

    async def __aenter__(self) -> asyncio.Timeout:
        inner = await self._inner.__aenter__()
        if self._seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = self._clock.call_later(self._seconds, lambda: inner.reschedule(loop.time()))
        return inner

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._inner.__aexit__(kind, error, trace)


async def settle_loop(rounds: int = 20) -> None:
    """Lets callbacks that are ready run; each round is one turn of the loop."""
    for _ in range(rounds):
        await asyncio.sleep(0)
