"""What tasks were given: read from the journal when it is needed, and kept in memory while that is little."""

from palyra.journal.journal import Journal
from palyra.journal.task_rows import TaskInput

MOST_BYTES = 16 * 1024 * 1024
USUAL_PAYLOAD = 256
"""Bytes that are reckoned for an empty payload and what lies around it."""


class Inputs:
    """Those of new tasks, the newest dropped first when they are too many: what was kept first is needed first."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kept: dict[str, TaskInput] = {}
        self._size = 0

    def keep(self, given: TaskInput) -> None:
        """Remembers what a task was given, while there is room."""
        size = _size(given)
        if self._size + size <= MOST_BYTES:
            self._kept[given.task_id] = given
            self._size += size

    def drop(self, task_id: str) -> None:
        """Forgets what a task was given; one that was not kept is no error."""
        given = self._kept.pop(task_id, None)
        if given is not None:
            self._size -= _size(given)

    async def of(self, task_id: str) -> TaskInput | None:
        """Raises JournalUnavailableError."""
        kept = self._kept.get(task_id)
        return kept if kept is not None else await self._journal.readers.task_input(task_id)


def _size(given: TaskInput) -> int:
    return len(given.text) * 4 + USUAL_PAYLOAD + (len(str(given.payload)) * 4 if given.payload else 0)
