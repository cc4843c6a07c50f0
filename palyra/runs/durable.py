"""Writes that must not be lost while the journal is away: they are kept in order and tried again until they land."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError
from palyra.journal.changes import Change, HoldEnded, RunNoted, RunSaved, UsageRecorded

log = logging.getLogger(__name__)

RETRY_S = 1.0

Unit = Sequence[Change]


class Submit(Protocol):
    """How units get to the journal; `patient` ones wait to go along with others."""

    def __call__(self, unit: Unit, *, patient: bool = False) -> "asyncio.Future[None]": ...


class Durable:
    """Submits units nobody waits for: how runs ended. Memory has moved already, so the journal has to follow."""

    def __init__(self, submit: Submit, clock: Clock) -> None:
        self._submit = submit
        self._clock = clock
        self._waiting: deque[Unit] = deque()
        self._woken = asyncio.Event()
        self._under_way: set[asyncio.Future[None]] = set()
        self._trying: asyncio.Future[None] | None = None
        """The oldest unit that waits, on its way once more."""
        self._one_at_a_time = asyncio.Lock()

    @property
    def behind(self) -> int:
        """Units the journal has refused so far and that are still to be written."""
        return len(self._waiting)

    def write(self, unit: Unit) -> None:
        """Returns at once. The unit is written now, or as soon as the journal can be written again."""
        if self._waiting:
            self._keep(unit)
            return
        future = self._submit(unit, patient=True)
        self._under_way.add(future)
        future.add_done_callback(lambda done: self._landed(done, unit))

    def _landed(self, done: "asyncio.Future[None]", unit: Unit) -> None:
        self._under_way.discard(done)
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, JournalUnavailableError):
            self._keep(unit)
        elif error is not None:
            for part in _apart(unit, error):
                self.write(part)

    def _keep(self, unit: Unit) -> None:
        self._waiting.append(unit)
        self._woken.set()

    async def run(self) -> None:
        """Tries what is waiting again, each second, oldest first."""
        while True:
            await self._woken.wait()
            await self._clock.sleep(RETRY_S)
            await self.flush()

    async def flush(self) -> None:
        """Waits for what is under way now and tries once to write what waits."""
        # What is refused falls apart at most twice.
        for _ in range(3):
            if not self._under_way:
                break
            self._submit(()).add_done_callback(_heard)
            await asyncio.wait(tuple(self._under_way))
            await asyncio.sleep(0)
        async with self._one_at_a_time:
            while self._waiting:
                if not await self._try():
                    return
            self._woken.clear()

    async def _try(self) -> bool:
        """Whether the oldest unit has been dealt with. A unit on its way when its writer was cancelled goes on, and
        is not sent again."""
        unit = self._waiting[0]
        parts: list[Unit] = []
        if self._trying is None:
            self._trying = self._submit(unit)
        try:
            await asyncio.shield(self._trying)
        except asyncio.CancelledError:
            raise
        except JournalUnavailableError:
            self._trying = None
            return False
        except Exception as error:
            parts = _apart(unit, error)
        self._trying = None
        self._waiting.popleft()
        self._waiting.extendleft(reversed(parts))
        return True


def _apart(unit: Unit, error: BaseException) -> list[Unit]:
    """What is written in place of a unit that the journal refused, so that no run stays alive and no hold open there.

    First what ended, without what was noted of it; then each change by itself, so that one at fault takes only itself.
    """
    log.error("the journal refused how a run ended: %s", error)
    if not any(isinstance(change, HoldEnded | RunSaved) for change in unit):
        return []
    core = [_bare(change) for change in unit if not isinstance(change, RunNoted)]
    if core != list(unit):
        return [core, *([change] for change in unit if isinstance(change, RunNoted))]
    return [[change] for change in unit] if len(unit) > 1 else []


def _bare(change: Change) -> Change:
    return UsageRecorded(replace(change.row, raw=None)) if isinstance(change, UsageRecorded) else change


def _heard(hurried: "asyncio.Future[None]") -> None:
    """What an empty unit brings about is told by the units it hurries along."""
    if not hurried.cancelled():
        hurried.exception()
