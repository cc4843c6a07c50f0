"""A caller's connection, as a run sees it; callers leave whenever they like, and some read slowly."""

import asyncio
import random
from collections.abc import Callable, Mapping

from palyra.runs.request import ClientGoneError, GoneCallback, RunReport
from tests.simulation.loop import SimClock


class Visitor:
    """`patience`: seconds until the caller leaves; `pieces`: how many writes it takes before it does."""

    def __init__(self, clock: SimClock, dice: random.Random, seen: Callable[[str], None]) -> None:
        self._clock = clock
        self._seen = seen
        self._callbacks: list[GoneCallback] = []
        self.gone = False
        self.streaming = False
        self.bytes = 0
        self._slow = dice.choice((0.0, 0.0, 0.0, 0.05, 2.0)) if dice.random() < 0.3 else 0.0
        self._pieces = dice.randint(0, 40) if dice.random() < 0.05 else None
        if dice.random() < 0.07:
            self._timer = clock.call_later(dice.choice((0.0, 0.02, 0.3, 1.0, 5.0, 30.0, 90.0)), self.leave)

    def leave(self) -> None:
        """Closes the connection."""
        if self.gone:
            return
        self.gone = True
        self._seen("visitor left")
        for callback in self._callbacks:
            callback()

    def on_gone(self, callback: GoneCallback) -> None:
        self._callbacks.append(callback)
        if self.gone:
            asyncio.get_running_loop().call_soon(callback)

    async def parked(self, report: RunReport) -> None:
        self._seen("parking comment")
        self.streaming = True
        self._check()

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        self.streaming = True
        self._check()

    async def write(self, data: bytes) -> None:
        self._check()
        self.bytes += len(data)
        if self._slow:
            await self._clock.sleep(self._slow)
        if self._pieces is not None:
            self._pieces -= 1
            if self._pieces < 0:
                self.leave()
        self._check()

    def _check(self) -> None:
        if self.gone:
            raise ClientGoneError
