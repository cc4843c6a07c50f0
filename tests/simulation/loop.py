"""An event loop whose time is a clock of our own: when nothing is ready, the clock jumps to its next timer.

Nothing here waits for the machine, and nothing runs beside the loop: what the engine gives to threads is done in the
loop's own turn, so that one seed always brings about the same month.
"""

import asyncio
import contextlib
import gc
import heapq
import random
import selectors
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

from palyra.core.clock import ManualClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StuckError(Exception):
    """Nothing is ready and no timer is armed: whoever waits waits for ever."""


class SimClock(ManualClock):
    """A ManualClock that a loop turns by itself, and that can sleep through hours like a machine that was shut."""

    def step(self) -> None:
        """Moves to the next timer and fires it."""
        while self._timers:
            due, _, timer = heapq.heappop(self._timers)
            if timer.cancelled:
                continue
            self._elapsed_ms = max(self._elapsed_ms, due)
            timer.callback()
            return
        raise StuckError

    def leap(self, seconds: float) -> None:
        """Moves on without waking anybody in between: what was due fires late, one by one, in order."""
        self._elapsed_ms += seconds * 1000

    def forget_timers(self) -> None:
        """The process that armed them is dead."""
        self._timers.clear()


class _TurnsOfTime(selectors.SelectSelector):
    """No file is ever ready; a loop that would wait for one lets time pass instead."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._clock.step()
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """One life of a process. `faults` collects what went wrong where nobody was there to hear of it."""

    def __init__(self, clock: SimClock) -> None:
        self._clock_of_all = clock
        super().__init__(_TurnsOfTime(clock))
        self.faults: list[str] = []
        self.dead = False
        self.set_exception_handler(self._noted)

    def _noted(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.dead:
            self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def time(self) -> float:
        return self._clock_of_all.monotonic()

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def bury(self) -> None:
        """Ends everything that ran here as death does: nothing of it reaches the outside any more."""
        self.dead = True
        self._clock_of_all.forget_timers()
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine: Any = task.get_coro()
            for _ in range(20):
                try:
                    coroutine.close()
                except BaseException:
                    continue
                break
        self._ready.clear()  # type: ignore[attr-defined]
        self._clock_of_all.forget_timers()
        self._asyncgens.clear()  # type: ignore[attr-defined]
        self.close()
        gc.collect(0)


class InlineThread:
    """Stands in for the thread of a connection: there is none."""

    def __init__(self, target: object = None, args: object = ()) -> None:
        pass

    def start(self) -> None:
        pass

    def join(self) -> None:
        pass


class InlineQueues:
    """Makes the queues of connections. Jobs are done in order on the loop's own thread, some a little late."""

    def __init__(self, clock: SimClock, dice: random.Random) -> None:
        self.clock = clock
        self.dice = dice
        self.slow = 0.0
        """How probable it is that a job takes its time."""
        self.dead = False
        self.opened: list[sqlite3.Connection] = []

    def __call__(self) -> "InlineQueue":
        return InlineQueue(self)

    def die(self) -> None:
        """No job is begun any more, and what was not committed never is."""
        self.dead = True
        for database in self.opened:
            with contextlib.suppress(sqlite3.Error):
                database.close()
        self.opened.clear()

    def live(self) -> None:
        self.dead = False


Item = tuple[asyncio.Future[Any] | None, Callable[[], Any]]


class InlineQueue:
    """What a connection hands its jobs to."""

    def __init__(self, house: InlineQueues) -> None:
        self._house = house
        self._due = 0.0

    def put_nowait(self, item: Item) -> None:
        house = self._house
        now = house.clock.monotonic()
        late = house.dice.expovariate(1 / 0.004) if house.slow and house.dice.random() < house.slow else 0.0
        self._due = max(self._due, now + late)
        if self._due <= now:
            self._do(item)
        else:
            house.clock.call_later(self._due - now, lambda: self._do(item))

    def _do(self, item: Item) -> None:
        if self._house.dead:
            return
        answer, job = item
        try:
            result = job()
        except BaseException as error:
            if answer is not None and not answer.done():
                answer.set_exception(error)
            return
        if isinstance(result, sqlite3.Connection):
            self._house.opened.append(result)
        if answer is not None and not answer.done():
            answer.set_result(result)
