"""Failures, services outside, and how the journal grew."""

from palyra.core.values import value
from palyra.journal.observation_rows import FAILURES, PROBES, SIZES, FailureRow, ProbeRow, SizeRow
from palyra.journal.readers.query import Query


@value
class JournalFacts:
    """Of the database file: its schema, how much of it is free, and the end of the audit chain, empty before its first
    link."""

    schema_version: int
    sqlite_version: str
    pages: int
    free_pages: int
    audit_rows: int
    audit_head: str


class ObservationReaders(Query):
    """Reads what was noted of probes and failures."""

    async def failures(self) -> tuple[FailureRow, ...]:
        """All that are kept, in the order in which they began."""
        return await self._saved(FAILURES, "ORDER BY failure_id LIMIT -1")

    async def probes(self) -> tuple[ProbeRow, ...]:
        """By id."""
        return await self._saved(PROBES, "ORDER BY probe_id LIMIT -1")

    async def journal_facts(self) -> JournalFacts:
        """The journal's own versions and sizes."""
        (facts,) = await self._listed(_FACTS, lambda values: JournalFacts(*values))
        return facts

    async def journal_sizes(self) -> tuple[SizeRow, ...]:
        """Oldest first."""
        return await self._saved(SIZES, "ORDER BY hour LIMIT -1")


_FACTS = """
SELECT json_array(json_array(
  (SELECT user_version FROM pragma_user_version), sqlite_version(), (SELECT page_count FROM pragma_page_count),
  (SELECT freelist_count FROM pragma_freelist_count), ifnull((SELECT max(seq) FROM audit), 0),
  ifnull((SELECT digest FROM audit ORDER BY seq DESC LIMIT 1), '')
))
"""
