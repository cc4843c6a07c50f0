"""Writes that must not be lost while the journal is away: memory has moved by them, so the journal has to follow."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from palyra.core.errors import JournalUnavailableError
from palyra.journal.changes import Change, HoldEnded, RunNoted, RunSaved, UsageRecorded

log = logging.getLogger(__name__)

Unit = Sequence[Change]


class Submit(Protocol):
    """How units get to the journal; `patient` ones wait to go along with others."""

    def __call__(self, unit: Unit, *, patient: bool = False) -> "asyncio.Future[None]": ...


class Records(Protocol):
    """Where units go. Those with `refused` are kept in their order until they are written."""

    @property
    def behind(self) -> int:
        """Units that are still to be written after a failure."""
        ...

    def submit(
        self, unit: Unit, *, patient: bool = False, refused: Callable[[Exception], None] | None = None
    ) -> "asyncio.Future[None]":
        """Writes one unit; the future resolves once it is durable. `patient`: it may wait for others of its kind."""
        ...


class Durable:
    """Submits units that are true already, whatever becomes of the write."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @property
    def behind(self) -> int:
        """Units the journal has refused so far and that are still to be written."""
        return self._records.behind

    def write(self, unit: Unit) -> None:
        """Returns at once. The unit is written now, or as soon as the journal can be written again."""
        self._records.submit(unit, patient=True, refused=partial(self._refused, unit)).add_done_callback(_heard)

    def begin(self, unit: Unit) -> "asyncio.Future[None]":
        """As `write`; what it returns is done once the unit is durable, or failed as `wait` would."""
        return self._records.submit(unit, refused=partial(self._refused, unit))

    async def wait(self, unit: Unit) -> None:
        """As `write`, and returns once it is durable. Raises JournalUnavailableError when that takes longer, and
        UnitRefusedError; the unit is written all the same."""
        await self.begin(unit)

    async def flush(self) -> None:
        """Waits for what is under way now and tries once to write what waits."""
        with suppress(JournalUnavailableError):
            # What is refused falls apart at most twice.
            for _ in range(3):
                await self._records.submit(())
                await asyncio.sleep(0)

    def _refused(self, unit: Unit, error: Exception) -> None:
        for part in _apart(unit, error):
            self.write(part)


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


def _heard(written: "asyncio.Future[None]") -> None:
    """Nobody waits for it."""
    if not written.cancelled():
        written.exception()
