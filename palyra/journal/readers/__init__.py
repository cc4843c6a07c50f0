"""Typed questions to the journal, answered on reader threads: one SQL statement and one hop each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from palyra.journal.connection import ReaderPool
from palyra.journal.readers.alerts import AlertReaders
from palyra.journal.readers.audit import AuditReaders
from palyra.journal.readers.credentials import CredentialReaders
from palyra.journal.readers.deliveries import DeliveryReaders
from palyra.journal.readers.governance import GovernanceReaders
from palyra.journal.readers.holds import HoldReaders
from palyra.journal.readers.incidents import IncidentReaders
from palyra.journal.readers.jobs import JobReaders
from palyra.journal.readers.memory import MemoryReaders
from palyra.journal.readers.observations import ObservationReaders
from palyra.journal.readers.pairs_check import PairsReaders
from palyra.journal.readers.runs import RunReaders
from palyra.journal.readers.sums_check import SumsReaders
from palyra.journal.readers.tasks import TaskReaders
from palyra.journal.readers.texts import TextReaders


class Readers(
    RunReaders,
    HoldReaders,
    PairsReaders,
    SumsReaders,
    GovernanceReaders,
    AlertReaders,
    AuditReaders,
    CredentialReaders,
    DeliveryReaders,
    IncidentReaders,
    TaskReaders,
    MemoryReaders,
    JobReaders,
    ObservationReaders,
    TextReaders,
):
    """Everything that can be asked. Cancelling a question stops its query.

    Every method raises JournalUnavailableError when the journal cannot be read.
    """

    def __init__(self, pool: ReaderPool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator["Readers"]:
        """Readers whose answers all saw the same commits. For answers made of several questions; be brief."""
        async with self._pool.at_one_moment() as pool:
            yield Readers(pool)


__all__ = ["Readers"]
