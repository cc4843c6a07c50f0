"""Gets what memory has moved by into the journal, in order, and says when it is durable there."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from palyra.core.errors import JournalUnavailableError
from palyra.journal.changes import Change

log = logging.getLogger(__name__)


class Records(Protocol):
    """Where units go: those with `refused` are kept in their order until they are written."""

    @property
    def healthy(self) -> bool:
        """Whether it can be written at present."""
        ...

    def submit(
        self, unit: Sequence[Change], *, patient: bool = False, refused: Callable[[Exception], None] | None = None
    ) -> "asyncio.Future[None]":
        """Writes one unit; the future resolves once it is durable. `patient`: it may wait for others of its kind."""
        ...


class Keeping:
    """`conflict(job_id)` is called for a unit that the journal refused: somebody else was there first."""

    def __init__(self, records: Records, conflict: Callable[[str], None]) -> None:
        self._records = records
        self._conflict = conflict
        self._behind: list[Callable[[], None]] = []
        self.failures = 0
        """Tries in a row that failed."""

    @property
    def behind(self) -> bool:
        """Whether units have to be tried again."""
        return bool(self._behind) or self.failures > 0

    def write(self, job_id: str, unit: Sequence[Change], durable: Callable[[], None] | None = None) -> None:
        """Returns at once; `durable` is called when the unit is."""
        refusals: list[Exception] = []

        def refused(error: Exception) -> None:
            refusals.append(error)
            log.warning("conflict on job %s: %s", job_id, error)
            self._conflict(job_id)

        def reached() -> None:
            if durable is not None and not refusals:
                durable()

        def done(written: "asyncio.Future[None]") -> None:
            error = None if written.cancelled() else written.exception()
            if isinstance(error, JournalUnavailableError):
                self._behind.append(reached)
                self.failures += 1
            elif error is None and not written.cancelled():
                self.failures = 0
                reached()

        self._records.submit(unit, refused=refused).add_done_callback(done)

    async def try_again(self) -> bool:
        """Whether everything has been written by now."""
        waiting, self._behind = self._behind, []
        try:
            await self._records.submit(())
        except JournalUnavailableError:
            self._behind = [*waiting, *self._behind]
            self.failures += 1
            return False
        self.failures = 0
        for reached in waiting:
            reached()
        return True
