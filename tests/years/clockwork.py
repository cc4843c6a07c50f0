"""Time that skips to the next thing that happens, a disk that fails, and the loop's lateness while there is work."""

import random
import sqlite3
from collections.abc import Callable
from typing import Any

from palyra.core.clock import Clock
from palyra.core.lag import LoopLag
from palyra.journal import writer
from tests.simulation.loop import SimClock

LOOK_S = 0.9
"""How often the lateness of the loop is looked at; a stall is one second."""


class YearsClock(SimClock):
    """Whatever is due at the same time fires in the same turn of the loop, as after a real stall."""

    def step(self) -> None:
        super().step()
        while self._timers and self._timers[0][0] <= self._elapsed_ms:
            super().step()


class WorkingLag(LoopLag):
    """Looks only while somebody works: in between nobody could be judged wrongly."""

    def __init__(self, clock: Clock, working: Callable[[], bool]) -> None:
        super().__init__(clock)
        self._working = working
        self._looking = False

    def look(self) -> None:
        """There may be work now."""
        if not self._looking and self._working():
            self._looking = True
            self._seen = None
            self._again()

    def _again(self) -> None:
        self.notice()
        self._looking = self._working()
        if self._looking:
            self._clock.call_later(LOOK_S, self._again)


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
