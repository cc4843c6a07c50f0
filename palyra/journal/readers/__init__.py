"""Typed questions to the journal, answered on reader threads: one SQL statement and one hop each."""

from palyra.journal.connection import ReaderPool
from palyra.journal.readers.governance import GovernanceReaders
from palyra.journal.readers.holds import HoldReaders
from palyra.journal.readers.runs import RunReaders
from palyra.journal.readers.status import StatusReaders


class Readers(RunReaders, HoldReaders, StatusReaders, GovernanceReaders):
    """Everything that can be asked. Cancelling a question stops its query.

    Every method raises JournalUnavailableError when the journal cannot be read.
    """

    def __init__(self, pool: ReaderPool) -> None:
        self._pool = pool


__all__ = ["Readers"]
