"""Time that skips to the next thing that happens, a disk that fails, and the loop's lateness while there is work."""

import random
import sqlite3
from collections.abc import Callable
from typing import Any

from palyra.core.lag import LoopLag
from palyra.journal import writer
from tests.simulation.loop import SimClock


class YearsClock(SimClock):
    """Whatever is due at the same time fires in the same turn of the loop, as after a real stall. `leapt` hears of each
    leap before anybody else does anything: (monotonic seconds, unix ms) of the instant before it."""

    def __init__(self, now_ms: int) -> None:
        super().__init__(now_ms)
        self.leapt: Callable[[tuple[float, int]], None] | None = None
        self._before: tuple[float, int] | None = None

    def leap(self, seconds: float) -> None:
        self._mark()
        super().leap(seconds)

    def set_wall(self, now_ms: int) -> None:
        self._mark()
        super().set_wall(now_ms)

    def step(self) -> None:
        self.tell()
        super().step()
        while self._timers and self._timers[0][0] <= self._elapsed_ms:
            super().step()

    def tell(self) -> None:
        """Of a leap that nobody heard of so far."""
        before, self._before = self._before, None
        if before is not None and self.leapt is not None:
            self.leapt(before)

    def _mark(self) -> None:
        if self._before is None:
            self._before = self.monotonic(), self.now_ms()


class LeapLag(LoopLag):
    """Nothing but a leap makes this loop late, and the clock tells of it: looking ten times a second would show the
    same at many times the cost."""

    def __init__(self, clock: YearsClock) -> None:
        super().__init__(clock)
        self._years = clock
        clock.leapt = self._leapt

    def notice(self) -> None:
        self._years.tell()

    def _leapt(self, before: tuple[float, int]) -> None:
        self._seen = before
        super().notice()


class FaultyDisk:
    """Stands between the writer and SQLite. `die_in` counts commits down to the one before or after which all ends;
    the next `failing` commits fail, and if they are `lying` they reach the disk all the same."""

    def __init__(self, dice: random.Random, die: Callable[[], None]) -> None:
        self._dice = dice
        self._die = die
        self._commit = writer._commit
        self.die_in: int | None = None
        self.failing = 0
        self.lying = False
        self.commits = 0

    def commit(self, database: sqlite3.Connection, *rest: Any) -> Any:
        """In place of the writer's own commit."""
        self.commits += 1
        if self.die_in is not None:
            self.die_in -= 1
            if self.die_in <= 0:
                self.die_in = None
                if self._dice.random() < 0.5:
                    self._commit(database, *rest)
                self._die()
                raise sqlite3.OperationalError("nobody hears of this")
        if self.failing:
            self.failing -= 1
            if self.lying:
                self._commit(database, *rest)
            raise sqlite3.OperationalError("disk I/O error")
        return self._commit(database, *rest)
