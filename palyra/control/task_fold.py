"""Tasks for lists: those that live from the queue, and those that ended last, kept up by events."""

from heapq import nsmallest

from palyra.control.task_queries import TaskView
from palyra.control.task_views import TaskViews
from palyra.core.events import Event
from palyra.engine import Engine
from palyra.journal.readers import Readers
from palyra.journal.task_rows import TaskFilter, TaskRow, TaskState
from palyra.tasks.desk import MOVED

LIVE_LISTED, ENDED_LISTED = 200, 100


class TaskFold:
    """`version` grows with each move of a task."""

    def __init__(self, engine: Engine, views: TaskViews) -> None:
        self._book = engine.tasks.desk.book
        self._views = views
        self._ended: dict[str, TaskRow] = {}
        """In the order in which they ended."""
        self.version = 0
        engine.events.subscribe(self._hear, MOVED)

    async def begin(self, readers: Readers) -> None:
        """Takes over those that ended before this start."""
        terminal = tuple(state.value for state in TaskState if state.terminal)
        page = await readers.tasks(TaskFilter(states=terminal), limit=ENDED_LISTED)
        known = {row.task_id: row for row in sorted(page.tasks, key=_end)}
        self._ended = {**known, **self._ended}

    def listed(self) -> tuple[TaskView, ...]:
        """Those that live in the order of work, those at work first; then those that ended, the last first."""
        live = nsmallest(LIVE_LISTED, self._book, key=_turn)
        return tuple(self._views.view(row) for row in (*live, *reversed(self._ended.values())))

    def _hear(self, event: Event) -> None:
        row: TaskRow = event.data["row"]
        self.version += 1
        self._ended.pop(row.task_id, None)
        if row.state.terminal:
            self._ended[row.task_id] = row
            while len(self._ended) > ENDED_LISTED:
                del self._ended[next(iter(self._ended))]


def _end(row: TaskRow) -> int:
    return 0 if row.finished_at is None else row.finished_at


def _turn(row: TaskRow) -> tuple[bool, int, int, str]:
    """Those at work, then as the queue takes them."""
    return row.state in (TaskState.QUEUED, TaskState.PAUSED), -row.priority, row.created_at, row.task_id
