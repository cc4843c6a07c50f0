"""Failures, services outside, and how the journal grew."""

from palyra.journal.observation_rows import FAILURES, PROBES, SIZES, FailureRow, ProbeRow, SizeRow
from palyra.journal.readers.query import Query


class ObservationReaders(Query):
    async def failures(self) -> tuple[FailureRow, ...]:
        """All that are kept, in the order in which they began."""
        return await self._saved(FAILURES, "ORDER BY failure_id LIMIT -1")

    async def probes(self) -> tuple[ProbeRow, ...]:
        """By id."""
        return await self._saved(PROBES, "ORDER BY probe_id LIMIT -1")

    async def journal_sizes(self) -> tuple[SizeRow, ...]:
        """Oldest first."""
        return await self._saved(SIZES, "ORDER BY hour LIMIT -1")
