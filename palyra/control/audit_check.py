"""A check of the audit chain under way: on a thread of its own, told of step by step, given up when nobody waits."""

import asyncio
from pathlib import Path

from palyra.journal.audit import AuditReport, verify


class _GivenUpError(Exception):
    """Nobody waits for the check any more."""


class AuditCheck:
    """`done` of `total` entries are followed; 0 of 0 before it begins and after it ends."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self._given_up = False

    async def follow(self, journal: Path, head: Path, *, live: bool) -> AuditReport:
        """Follows the whole chain. Raises StateError when the journal cannot be read."""
        try:
            return await asyncio.to_thread(verify, journal, head, live=live, watch=self._come)
        except asyncio.CancelledError:
            self._given_up = True
            raise
        finally:
            self.done = self.total = 0

    def _come(self, done: int, total: int) -> None:
        """Called on the thread that follows it."""
        if self._given_up:
            raise _GivenUpError
        self.done, self.total = done, total
