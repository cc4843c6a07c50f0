"""The tasks that have not ended, in memory: whose turn is next, what falls due when, and what hangs below what.

Heaps hold entries that may be out of date; an entry counts only while the task is what it says.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from palyra.config.operations import TaskKind
from palyra.journal.task_rows import TaskRow, TaskState
from palyra.tasks.moves import claimable, must_expire

NO_BONDS: frozenset[str] = frozenset()
SPARE_ENTRIES = 1_000
PER_PARENT = 2
"""Delegations of one parent that run at once."""


class TaskBook:
    """Open tasks by id. The one place where a task's newest row is."""

    def __init__(self) -> None:
        self._rows: dict[str, TaskRow] = {}
        self._bonds: dict[str, frozenset[str]] = {}
        self._bound: defaultdict[str, set[str]] = defaultdict(set)
        self._keys: dict[tuple[str, str], str] = {}
        self._of_run: dict[str, str] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._in_line: dict[str, tuple[int, int, str]] = {}
        """The entry of a task among the ready ones that counts."""
        self._later: list[tuple[int, str]] = []
        self._expiring: list[tuple[int, str]] = []
        self._running: Counter[str] = Counter()
        """Delegations that are leased, by their parent."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[TaskRow]:
        return iter(tuple(self._rows.values()))

    def get(self, task_id: str) -> TaskRow | None:
        """The newest row of an open task; None where it has ended or was never known."""
        return self._rows.get(task_id)

    def of_key(self, owner: str, key: str) -> TaskRow | None:
        """The open task of that owner and dedupe key."""
        task_id = self._keys.get((owner, key)) if key else None
        return None if task_id is None else self._rows.get(task_id)

    def of_run(self, run_id: str) -> TaskRow | None:
        """The task whose newest attempt that run is."""
        task_id = self._of_run.get(run_id)
        return None if task_id is None else self._rows.get(task_id)

    def bonds(self, task_id: str) -> frozenset[str]:
        """The runs and tasks that it is stopped with."""
        return self._bonds.get(task_id, NO_BONDS)

    def add(self, row: TaskRow, bonds: Iterable[str], now: int) -> None:
        """A task that was not known. `bonds` are the runs and tasks that it is stopped with, near and far."""
        self._bonds[row.task_id] = kept = frozenset(bonds)
        for above in kept:
            self._bound[above].add(row.task_id)
        self.put(row, now)

    def put(self, row: TaskRow, now: int) -> None:
        """The newest row of a task; one that has ended is forgotten."""
        before = self._rows.get(row.task_id)
        if before is not None:
            self._leave(before)
        if row.state.terminal:
            self._forget(row.task_id)
            return
        self._rows[row.task_id] = row
        if row.dedupe_key:
            self._keys[row.owner, row.dedupe_key] = row.task_id
        if row.target_run_id:
            self._of_run[row.target_run_id] = row.task_id
        if row.state.leased and row.kind == _DELEGATION:
            self._running[parent_of(row)] += 1
        if row.state is TaskState.QUEUED:
            self._line_up(row, now)

    def _line_up(self, row: TaskRow, now: int) -> None:
        if row.not_before <= now:
            self._stand_in_line(row)
        else:
            heapq.heappush(self._later, (row.not_before, row.task_id))
            if len(self._later) > self._most_entries:
                self._later = self._counting(self._later, lambda one: one.not_before)
        if row.expires_at is not None and row.started_at is None:
            heapq.heappush(self._expiring, (row.expires_at, row.task_id))
            if len(self._expiring) > self._most_entries:
                self._expiring = self._counting(self._expiring, lambda one: one.expires_at)

    @property
    def _most_entries(self) -> int:
        """A heap with more entries is cleared of those that are out of date: some would fall due in years."""
        return 2 * len(self._rows) + SPARE_ENTRIES

    def _counting(self, heap: list[tuple[int, str]], due_at: Callable[[TaskRow], int | None]) -> list[tuple[int, str]]:
        return sorted({entry for entry in heap if (row := self._rows.get(entry[1])) and due_at(row) == entry[0]})

    def _stand_in_line(self, row: TaskRow) -> None:
        rank = _rank(row)
        if self._in_line.get(row.task_id) != rank:
            self._in_line[row.task_id] = rank
            heapq.heappush(self._ready, rank)

    def _leave(self, before: TaskRow) -> None:
        if before.target_run_id:
            self._of_run.pop(before.target_run_id, None)
        if before.state.leased and before.kind == _DELEGATION:
            lower(self._running, parent_of(before))

    def _forget(self, task_id: str) -> None:
        row = self._rows.pop(task_id, None)
        for above in self._bonds.pop(task_id, NO_BONDS):
            below = self._bound[above]
            below.discard(task_id)
            if not below:
                del self._bound[above]
        if row is not None and row.dedupe_key:
            self._keys.pop((row.owner, row.dedupe_key), None)

    # What is to be done

    def below(self, above: str) -> list[TaskRow]:
        """The open tasks that are stopped with that run or task, oldest first."""
        found = [self._rows[task_id] for task_id in self._bound.get(above, ())]
        return sorted(found, key=lambda row: (row.created_at, row.task_id))

    def delegations(self, parent: str) -> int:
        """The open delegations of a parent."""
        return sum(parent_of(row) == parent for row in self._rows.values() if row.kind == _DELEGATION)

    def running_below(self, row: TaskRow) -> int:
        """How many delegations of the same parent are leased."""
        return self._running[parent_of(row)] if row.kind == _DELEGATION else 0

    def parent_full(self, row: TaskRow) -> bool:
        """Whether as many delegations of its parent run as may at once."""
        return self.running_below(row) >= PER_PARENT

    def expired(self, now: int) -> list[TaskRow]:
        """Those that must expire; each is told once, or again after its row has moved."""
        found: dict[str, TaskRow] = {}
        while self._expiring and self._expiring[0][0] <= now:
            _, task_id = heapq.heappop(self._expiring)
            row = self._rows.get(task_id)
            if row is not None and must_expire(row, now):
                found[task_id] = row
        return list(found.values())

    def ripen(self, now: int) -> None:
        """Those whose time has come stand in line from now on."""
        while self._later and self._later[0][0] <= now:
            _, task_id = heapq.heappop(self._later)
            row = self._rows.get(task_id)
            if row is not None and row.state is TaskState.QUEUED:
                self._line_up(row, now)

    def take(self, now: int) -> Iterator[TaskRow]:
        """The tasks that may be claimed, in their order; each leaves the line with it."""
        while self._ready:
            rank = heapq.heappop(self._ready)
            task_id = rank[2]
            if self._in_line.get(task_id) != rank:
                continue
            del self._in_line[task_id]
            row = self._rows.get(task_id)
            if row is None or row.state is not TaskState.QUEUED:
                continue
            if claimable(row, now):
                yield row
            elif row.not_before > now:
                heapq.heappush(self._later, (row.not_before, row.task_id))

    def back(self, rows: Iterable[TaskRow]) -> None:
        """These were taken and not claimed."""
        for row in rows:
            self._stand_in_line(row)

    def oldest_ready(self, now: int) -> TaskRow | None:
        """The queued task whose time came first, of those that wait for nothing but a worker."""
        ready = [row for row in self._rows.values() if claimable(row, now) and not self.parent_full(row)]
        return min(ready, key=lambda row: max(row.not_before, row.created_at), default=None)

    def next_due(self) -> int | None:
        """The next instant at which something is to be done by the clock; None: nothing is."""
        times = [heap[0][0] for heap in (self._later, self._expiring) if heap]
        return min(times, default=None)


_DELEGATION = TaskKind.DELEGATION_PROMPT.value


def lower(counts: Counter[str], name: str) -> None:
    """Counts one less; what came to nothing is forgotten."""
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def parent_of(row: TaskRow) -> str:
    """The nearest that it hangs below; empty where it hangs below nothing."""
    return row.parent_task_id or row.parent_run_id


def _rank(row: TaskRow) -> tuple[int, int, str]:
    return -row.priority, row.created_at, row.task_id
