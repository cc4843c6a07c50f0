"""A queue on a journal in memory that writes when it is told to, with runs that end as a test says."""

import asyncio
import json
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.conditions import Condition
from palyra.core.errors import JournalUnavailableError
from palyra.core.events import EventHub
from palyra.core.ids import IdSource
from palyra.core.pulse import WorkHeartbeatKind
from palyra.journal.changes import AuditAdded
from palyra.journal.entity import EntitySaved
from palyra.journal.journal import Journal
from palyra.journal.rows import RunRow
from palyra.journal.task_rows import TASK_INPUTS, TASK_RESULTS, TASKS, RunOwner, TaskInput, TaskResult, TaskRow
from palyra.journal.writer import UnitRefusedError
from palyra.runs.background import BackgroundRuns, PromptAsk, PromptResult
from palyra.runs.durable import Durable
from palyra.tasks.asking import TaskAsk
from palyra.tasks.desk import TaskDesk
from palyra.tasks.queue import QueueSettings, TaskQueue
from palyra.tasks.restoring import Restored, restore
from tests.journal.samples import a_run

T0 = 1_795_348_800_000
ASK = TaskAsk(text="do it", owner="ann")


class Store:
    """What is on disk."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskRow] = {}
        self.inputs: dict[str, TaskInput] = {}
        self.results: dict[str, TaskResult] = {}
        self.runs: dict[str, RunRow] = {}
        self.audit: list[AuditAdded] = []
        self.history: list[TaskRow] = []
        """Every row of a task that was written."""
        self.chance = random.Random(7)
        """Where ids come from: the same ones each time."""

    def write(self, unit: Sequence[object]) -> None:
        """All of a unit or, where a rule of the journal is broken, nothing. Raises UnitRefusedError."""
        tasks = dict(self.tasks)
        for change in unit:
            if isinstance(change, EntitySaved) and change.table == "tasks":
                row = TASKS.read(_loaded(change))
                before = tasks.get(row.task_id)
                if before is not None and row.version <= before.version:
                    continue
                if before is not None and row.fence < before.fence:
                    raise UnitRefusedError("a task is written under its newest fence alone")
                keyed = [one for one in tasks.values() if _key(one) == _key(row) and one.task_id != row.task_id]
                if row.dedupe_key and row.finished_at is None and any(one.finished_at is None for one in keyed):
                    raise UnitRefusedError("UNIQUE")
                tasks[row.task_id] = row
                self.history.append(row)
        self.tasks = tasks
        for change in unit:
            if isinstance(change, RunRow):
                self.runs[change.run_id] = change
            elif isinstance(change, AuditAdded):
                self.audit.append(change)
            elif isinstance(change, EntitySaved) and change.table == "task_inputs":
                given = TASK_INPUTS.read(_loaded(change))
                self.inputs[given.task_id] = given
            elif isinstance(change, EntitySaved) and change.table == "task_results":
                result = TASK_RESULTS.read(_loaded(change))
                self.results[result.task_id] = result


def _key(row: TaskRow) -> tuple[str, str]:
    return row.owner, row.dedupe_key


def _loaded(change: EntitySaved) -> list[Any]:
    table = _TABLES[change.table]
    return [
        json.loads(stored) if name in table.json_columns else stored
        for name, stored in zip(table.columns, change.values, strict=True)
    ]


_TABLES = {table.name: table for table in (TASKS.table, TASK_INPUTS.table, TASK_RESULTS.table)}


class Paper:
    """A journal and what must get there. `instant` writes each unit at once; a broken one writes nothing."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.instant = True
        self.healthy = True
        self.readers = self
        self._waiting: deque[tuple[list[object], asyncio.Future[None], bool]] = deque()

    def submit(self, unit: Sequence[object], **_: object) -> "asyncio.Future[None]":
        return self._queue(unit, kept=False)

    def write(self, unit: Sequence[object]) -> None:
        self._queue(unit, kept=True)

    async def wait(self, unit: Sequence[object]) -> None:
        await asyncio.shield(self._queue(unit, kept=True))

    def _queue(self, unit: Sequence[object], *, kept: bool) -> "asyncio.Future[None]":
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self._waiting.append((list(unit), written, kept))
        if self.instant:
            self.flush()
        return written

    def flush(self, units: int = 1_000_000) -> None:
        """Writes what waits, in its order."""
        if not self.healthy:
            return
        for _ in range(min(units, len(self._waiting))):
            unit, written, _kept = self._waiting.popleft()
            try:
                self.store.write(unit)
            except UnitRefusedError as error:
                if not written.done():
                    written.set_exception(error)
            else:
                if not written.done():
                    written.set_result(None)

    def fail(self) -> None:
        """The disk is away: who waits is told, and what must be written stays."""
        self.healthy = False
        left: deque[tuple[list[object], asyncio.Future[None], bool]] = deque()
        for unit, written, kept in self._waiting:
            if not written.done():
                written.set_exception(JournalUnavailableError("The journal cannot be written."))
            if kept:
                left.append((unit, written, kept))
        self._waiting = left

    # Readers

    async def task(self, task_id: str) -> TaskRow | None:
        return self.store.tasks.get(task_id)

    async def unreadable_tasks(self) -> tuple[str, ...]:
        return ()

    async def task_input(self, task_id: str) -> TaskInput | None:
        return self.store.inputs.get(task_id)

    async def open_tasks(self) -> tuple[TaskRow, ...]:
        return tuple(row for row in self.store.tasks.values() if row.finished_at is None)

    async def run(self, run_id: str) -> RunRow | None:
        return self.store.runs.get(run_id)

    async def run_owner(self, run_id: str) -> RunOwner | None:
        for row in self.store.tasks.values():
            if row.target_run_id == run_id:
                return RunOwner(run_id, "task", "", row.task_id, "", row.attempt)
        return None

    async def tasks_to_forget(self, before: int) -> tuple[str, ...]:
        return ()


class Runs:
    """Background runs that end when a test says so. What a run writes goes in one unit with what its owner adds."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.live: dict[str, tuple[PromptAsk, asyncio.Future[PromptResult]]] = {}
        self.started: list[PromptAsk] = []
        self.cancelled: list[tuple[str, str]] = []
        self.obedient = True
        """Whether one that is asked to stop does so at once."""
        self.children = lambda run_id: ()

    async def run(self, ask: PromptAsk) -> PromptResult:
        self.started.append(ask)
        row = replace(a_run(ask.run_id), source="task", state="running")
        self.paper.write([row, *ask.begun(row)])
        ending: asyncio.Future[PromptResult] = asyncio.get_running_loop().create_future()
        self.live[ask.run_id] = (ask, ending)
        try:
            return await ending
        except asyncio.CancelledError:
            self.end(ask.run_id, "cancelled", "engine_stopping")
            raise

    def end(self, run_id: str, state: str = "completed", reason: str = "stop", **fields: Any) -> None:
        """Ends a run, as the runner would: its row, and what its owner says to it."""
        ask, ending = self.live.pop(run_id)
        text = "done" if state == "completed" else ""
        result = PromptResult(run_id, state, reason, text=text, **fields)
        row = replace(a_run(run_id), source="task", state=state, reason=reason, version=2, finished_at=T0)
        self.paper.write([row, *ask.ended(result)])
        if not ending.done():
            ending.set_result(result)

    def cancel(self, run_id: str, reason: str, by: str) -> bool:
        self.cancelled.append((run_id, reason))
        if run_id not in self.live:
            return False
        if self.obedient:
            asyncio.get_running_loop().call_soon(self._obey, run_id, reason)
        return True

    def _obey(self, run_id: str, reason: str) -> None:
        if run_id in self.live:
            self.end(run_id, "cancelled", reason)

    def of(self, task_id: str) -> str:
        """The live run of a task."""
        (run_id,) = [run_id for run_id, (ask, _) in self.live.items() if ask.task_id == task_id]
        return run_id


class Beats:
    """Who is said to be alive."""

    def __init__(self) -> None:
        self.alive: set[str] = set()

    def record(
        self,
        kind: WorkHeartbeatKind,
        object_id: str,
        summary: str,
        phase: str | None = None,
        progress: int | None = None,
    ) -> None:
        self.alive.add(object_id)

    def clear(self, kind: WorkHeartbeatKind, object_id: str) -> None:
        self.alive.discard(object_id)

    def allow_silence(self, kind: WorkHeartbeatKind, object_id: str, milliseconds: int) -> None:
        pass


class Stage:
    """One engine's queue; `next_boot` is the one after a crash, on the same store."""

    def __init__(self, store: Store | None = None, clock: ManualClock | None = None, **settings: int) -> None:
        self.store = Store() if store is None else store
        self.clock = ManualClock(T0) if clock is None else clock
        self.paper = Paper(self.store)
        self.runs = Runs(self.paper)
        self.beats = Beats()
        self.told: dict[str, Condition] = {}
        self.stopping_runs: dict[str, bool] = {}
        self.ids = IdSource(self.clock, self.store.chance.randbytes)
        self.boot_id = self.ids.new()
        journal, durable = cast("Journal", self.paper), cast("Durable", self.paper)
        live = SimpleNamespace(stopping=self.stopping_runs.get)
        self.desk = TaskDesk(journal, durable, self.clock, self.ids, EventHub(), live, lambda name: "")
        self.queue = TaskQueue(
            self.desk,
            cast("BackgroundRuns", self.runs),
            journal,
            self.clock,
            self.ids,
            self.boot_id,
            QueueSettings(**settings),
            pulse=self.beats,
            tell=lambda condition: self.told.__setitem__(condition.key, condition),
            cleared=self._clear,
        )
        self._settings = settings
        self._loop: asyncio.Task[None] | None = None

    def _clear(self, key: str) -> None:
        self.told.pop(key, None)

    async def open(self) -> Restored:
        """Restores what is on disk and begins to claim."""
        found = await restore(self.desk, cast("Journal", self.paper), self.boot_id)
        self.queue.open_claims()
        self._loop = asyncio.create_task(self.queue.run())
        await self.turns()
        return found

    def next_boot(self) -> "Stage":
        """Everything in memory is lost, and what was not written yet."""
        self.halt()
        return Stage(self.store, self.clock, **self._settings)

    def halt(self) -> None:
        self.paper.instant = self.paper.healthy = False
        for task in [*([self._loop] if self._loop else []), *(one._task for one in self.queue._alive)]:
            if task is not None:
                task.cancel()

    async def turns(self) -> None:
        await settle_loop(12)

    async def add(self, **fields: Any) -> TaskRow:
        row, _ = await self.desk.submit(replace(ASK, **fields), "ada")
        await self.turns()
        return self.now(row.task_id)

    def now(self, task_id: str) -> TaskRow:
        """A task as memory has it, or as it was written last."""
        row = self.desk.newest(task_id)
        return self.store.tasks[task_id] if row is None else row

    async def end(self, task_id: str, state: str = "completed", reason: str = "stop", **fields: Any) -> TaskRow:
        self.runs.end(self.runs.of(task_id), state, reason, **fields)
        await self.turns()
        return self.now(task_id)

    async def later(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await self.turns()
