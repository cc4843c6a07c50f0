"""Where tasks are kept: their newest rows in memory, and every move of one on its way into the journal.

What operators, parents and creators ask for happens here at once, in memory, and returns once it is durable.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from palyra.config.operations import TaskKind
from palyra.core.clock import Clock
from palyra.core.errors import ConflictError, NotFoundError
from palyra.core.events import Event, EventHub
from palyra.core.ids import IdSource
from palyra.governance.policy_input import FieldFault
from palyra.journal.changes import AuditAdded, Change
from palyra.journal.journal import Journal
from palyra.journal.task_rows import TASK_INPUTS, TASKS, TaskInput, TaskRow, TaskState
from palyra.runs.durable import Durable
from palyra.runs.states import SPARES_CHILDREN, RunState
from palyra.tasks import moves
from palyra.tasks.asking import (
    ALONE,
    MAX_DEPTH,
    MAX_OPEN,
    Family,
    QueueFullError,
    TaskAsk,
    TaskInputError,
    check,
    expiry_faults,
    instant_faults,
    new_task,
)
from palyra.tasks.book import NO_BONDS, TaskBook, lower
from palyra.tasks.inputs import Inputs

REMEMBERED = 4_096
"""How many tasks that have ended are kept in memory."""
MOVED = "task.moved"
"""The kind of event that tells of each new row of a task, with its state."""


class LiveRunsSeen(Protocol):
    """What is asked of runs that are alive."""

    def stopping(self, run_id: str) -> bool | None:
        """Whether somebody has asked it to stop; None where it is not alive."""
        ...


class TaskDesk:
    """Moves tasks. `changed` is called with the row before and after each move."""

    def __init__(
        self,
        journal: Journal,
        durable: Durable,
        clock: Clock,
        ids: IdSource,
        events: EventHub,
        live: LiveRunsSeen,
        unknown_model: Callable[[str], str],
    ) -> None:
        self.book = TaskBook()
        self.inputs = Inputs(journal)
        self.ended_by_state: Counter[str] = Counter()
        """Tasks that ended in this engine."""
        self.changed: Callable[[TaskRow, TaskRow], None] = lambda before, after: None
        self._journal = journal
        self._durable = durable
        self._clock = clock
        self._ids = ids
        self._events = events
        self._live = live
        self._unknown_model = unknown_model
        self._ended: dict[str, TaskRow] = {}
        """The newest that have ended: the journal may not have heard of it yet."""
        self._arriving: dict[tuple[str, str], asyncio.Future[TaskRow]] = {}
        self._coming = 0
        self._coming_below: Counter[str] = Counter()
        """Delegations that are being kept, by their parent."""
        self._waiting: dict[str, list[asyncio.Future[TaskRow]]] = {}

    @property
    def now(self) -> int:
        """Wall time, UTC unix ms."""
        return self._clock.now_ms()

    # Moving

    def move(self, before: TaskRow, after: TaskRow) -> Change:
        """`after` is true from now on; what is returned makes it durable."""
        self.book.put(after, self.now)
        self._ended.pop(after.task_id, None)
        if after.state.terminal:
            self._ended[after.task_id] = after
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
            self.ended_by_state[after.state.value] += 1
            self._tell_ended(after)
        self._events.publish(Event(MOVED, self.now, after.task_id, {"row": after}))
        self.changed(before, after)
        return TASKS.saved(after)

    def write(self, changes: Sequence[Change]) -> None:
        """Makes durable what is true already."""
        self._durable.write(changes)

    def _tell_ended(self, row: TaskRow) -> None:
        self.inputs.drop(row.task_id)
        for waiter in self._waiting.pop(row.task_id, ()):
            if not waiter.done():
                waiter.set_result(row)

    # Looking

    async def find(self, task_id: str) -> TaskRow:
        """A task of any age. Raises NotFoundError."""
        row = self.newest(task_id) or await self._journal.readers.task(task_id)
        if row is None:
            raise NotFoundError(f"No task {task_id!r} is known.", fix="See `palyra tasks list`.")
        return self.newest(task_id) or row

    def newest(self, task_id: str) -> TaskRow | None:
        """What memory knows of a task."""
        return self.book.get(task_id) or self._ended.get(task_id)

    async def ended(self, task_id: str) -> TaskRow:
        """Waits until a task has ended. Raises NotFoundError."""
        row = await self.find(task_id)
        if row.state.terminal:
            return row
        waiter: asyncio.Future[TaskRow] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task_id, []).append(waiter)
        return await waiter

    # Creating

    async def submit(self, ask: TaskAsk, by: str) -> tuple[TaskRow, bool]:
        """Keeps a task, and returns it once that is durable, with whether it is a new one.

        Raises TaskInputError with every fault, QueueFullError, JournalUnavailableError (nothing was kept then).
        """
        key = (ask.owner, ask.dedupe_key)
        if ask.dedupe_key:
            known = self.book.of_key(*key)
            if known is not None:
                return known, False
            if key in self._arriving:
                return await asyncio.shield(self._arriving[key]), False
        arriving: asyncio.Future[TaskRow] = asyncio.get_running_loop().create_future()
        if ask.dedupe_key:
            self._arriving[key] = arriving
        self._coming += 1
        try:
            row = await self._create(ask, by)
            arriving.set_result(row)
            return row, True
        except BaseException as error:
            arriving.set_exception(error if isinstance(error, Exception) else ConflictError("It was given up."))
            arriving.exception()
            raise
        finally:
            self._coming -= 1
            self._arriving.pop(key, None)

    async def _create(self, ask: TaskAsk, by: str) -> TaskRow:
        family, bonds = await self._family(ask)
        check(ask, self.now, family, self._unknown_model)
        if len(self.book) + self._coming > MAX_OPEN:
            raise QueueFullError(len(self.book))
        row, given = new_task(ask, self._ids.new(), self.now, family)
        above = family.task_id or family.run_id
        delegated = row.kind == TaskKind.DELEGATION_PROMPT.value
        if delegated:
            self._coming_below[above] += 1
        try:
            await self._keep(row, given, by)
        finally:
            if delegated:
                lower(self._coming_below, above)
        fault = self._parent_gone(family)
        self.book.add(row, () if row.keep else bonds, self.now)
        self.changed(row, row)
        self._events.publish(Event(MOVED, self.now, row.task_id, {"row": row}))
        if fault is not None and not row.keep:
            # Its parent was cancelled while this was being written.
            self._durable.write([self.move(row, moves.cancel(row, self.now, moves.PARENT_CANCELLED))])
            raise TaskInputError([fault])
        return row

    async def _keep(self, row: TaskRow, given: TaskInput, by: str) -> None:
        told = {"verb": "added", "kind": row.kind, "owner": row.owner, "source": row.source}
        unit: list[Change] = [
            TASKS.saved(row),
            TASK_INPUTS.saved(given),
            AuditAdded(self.now, "task", row.task_id, by, told),
        ]
        try:
            await self._journal.submit(unit)
        except BaseException:
            # Nobody knows whether it was written: should it have been, it must not run.
            self._durable.write([TASKS.saved(moves.cancel(row, self.now, "not_kept"))])
            raise
        self.inputs.keep(given)

    async def _family(self, ask: TaskAsk) -> tuple[Family, frozenset[str]]:
        """What it hangs below, and the runs and tasks that it is stopped with."""
        if not ask.parent:
            return ALONE, NO_BONDS
        parent = self.newest(ask.parent) or await self._journal.readers.task(ask.parent)
        run_id = "" if parent is not None else ask.parent
        if parent is None:
            run = await self._journal.readers.run(run_id)
            if run is None and self._live.stopping(run_id) is None:
                unknown = FieldFault("parent", f"no run and no task {ask.parent!r} is known", "Name one that is.")
                return Family(fault=unknown), NO_BONDS
            if run is not None and run.state == RunState.CANCELLED.value:
                return Family(fault=_cancelled("run", run_id)), NO_BONDS
            owner = await self._journal.readers.run_owner(run_id)
            if owner is not None and owner.task_id:
                parent = self.newest(owner.task_id) or await self._journal.readers.task(owner.task_id)
        bonds = {run_id} if run_id else set()
        depth = 1
        if parent is not None:
            bonds |= {parent.task_id} | await self.bonds_above(parent)
            depth += await self._depth(parent)
        family = Family(run_id, "" if parent is None else parent.task_id, depth)
        if ask.kind == TaskKind.DELEGATION_PROMPT.value:
            above = family.task_id or family.run_id
            count = self.book.delegations(above) + self._coming_below[above]
            family = Family(family.run_id, family.task_id, depth, count)
        fault = self._parent_gone(family)
        if fault is None and parent is not None and parent.state is TaskState.CANCELLED:
            fault = _cancelled("task", parent.task_id)
        return (family if fault is None else Family(fault=fault)), frozenset(bonds)

    def _parent_gone(self, family: Family) -> FieldFault | None:
        """Why nothing may hang below it any more, as far as memory tells."""
        if family.run_id and self._live.stopping(family.run_id):
            return _cancelled("run", family.run_id)
        parent = self.newest(family.task_id) if family.task_id else None
        if parent is not None and parent.state in (TaskState.CANCEL_REQUESTED, TaskState.CANCELLED):
            return _cancelled("task", parent.task_id)
        return None

    async def was_cancelled(self, above: str) -> bool:
        """Whether a run or a task was cancelled such that what hangs below it is stopped."""
        task = self.newest(above) or await self._journal.readers.task(above)
        if task is not None:
            return task.state in (TaskState.CANCEL_REQUESTED, TaskState.CANCELLED)
        if self._live.stopping(above):
            return True
        run = await self._journal.readers.run(above)
        return run is not None and run.state == RunState.CANCELLED.value and run.reason not in SPARES_CHILDREN

    async def bonds_above(self, row: TaskRow) -> frozenset[str]:
        """The runs and tasks that a task is stopped with, near and far."""
        if row.keep:
            return NO_BONDS
        if self.book.get(row.task_id) is not None and (known := self.book.bonds(row.task_id)):
            return known
        bonds = {one for one in (row.parent_run_id, row.parent_task_id) if one}
        if row.parent_task_id:
            parent = self.newest(row.parent_task_id) or await self._journal.readers.task(row.parent_task_id)
            if parent is not None:
                bonds |= await self.bonds_above(parent)
        return frozenset(bonds)

    async def _depth(self, row: TaskRow) -> int:
        """How deep it hangs: 0 below nothing."""
        depth = 0
        while row.parent_task_id and depth <= MAX_DEPTH:
            above = self.newest(row.parent_task_id) or await self._journal.readers.task(row.parent_task_id)
            depth += 1
            if above is None:
                return depth
            row = above
        return depth + (1 if row.parent_run_id else 0)

    # Stopping what hangs below

    def stop_below(self, above: str) -> list[Change]:
        """A run or a task was cancelled: what hangs below it is stopped in the same unit."""
        changes: list[Change] = []
        for row in self.book.below(above):
            # Stopping one may have moved another.
            newest = self.book.get(row.task_id)
            if newest is not None:
                changes += self._stop(newest, moves.PARENT_CANCELLED)
        return changes

    def _stop(self, row: TaskRow, reason: str) -> list[Change]:
        after = moves.cancel(row, self.now, reason)
        return [] if after is row else [self.move(row, after)]

    # What operators do

    async def cancel(self, task_id: str, by: str, reason: str = "") -> TaskRow:
        """Raises NotFoundError, WrongStateError."""
        row = await self.find(task_id)
        changes = self._stop(row, moves.BY_OPERATOR)
        if changes:
            changes = [*changes, *self.stop_below(task_id), self._audit(row, by, "cancelled", {"reason": reason})]
            await self._durable.wait(changes)
        return await self.find(task_id)

    async def pause(self, task_id: str, by: str, reason: str = "") -> TaskRow:
        """A queued task is claimed no more until it is resumed. Raises NotFoundError, WrongStateError."""
        told = {"reason": reason}
        return await self._act(task_id, by, "paused", lambda row: moves.pause(row, self.now, reason), told)

    async def resume(self, task_id: str, by: str, reason: str = "") -> TaskRow:
        """A paused task waits for its turn again. Raises NotFoundError, WrongStateError."""
        return await self._act(task_id, by, "resumed", lambda row: moves.resume(row, self.now), {"reason": reason})

    async def prioritise(self, task_id: str, priority: int, by: str) -> TaskRow:
        """Gives a task that waits another priority, -10 to 10. Raises NotFoundError, WrongStateError, BadInputError."""
        told = {"priority": priority}
        return await self._act(task_id, by, "prioritised", lambda row: moves.prioritise(row, self.now, priority), told)

    async def edit(self, task_id: str, by: str, **changes: int | None) -> TaskRow:
        """Changes `not_before` or `expires_at`; an expiry of None is none. Raises TaskInputError besides."""

        def edited(row: TaskRow) -> TaskRow:
            not_before = changes.get("not_before", row.not_before)
            expires_at = changes.get("expires_at", row.expires_at)
            if not_before is None:
                raise TaskInputError([FieldFault("not_before", "an instant was expected")])
            if faults := instant_faults(changes):
                raise TaskInputError(faults)
            # One that waits for its next attempt has started, and does not expire any more.
            if expires_at is not None and row.started_at is None:
                faults = expiry_faults(max(not_before, self.now), expires_at)
                if faults:
                    raise TaskInputError(faults)
            return moves.edit(row, self.now, **changes)

        return await self._act(task_id, by, "edited", edited, changes)

    async def retry(self, task_id: str, by: str, reason: str = "", *, keep_expiry: bool = False) -> TaskRow:
        """Raises NotFoundError, WrongStateError, BadInputError, QueueFullError; ConflictError where another open task
        has its key, or what it is stopped with is cancelled."""
        row = await self.find(task_id)
        moves.retry(row, self.now, keep_expiry=keep_expiry)
        bonds = await self.bonds_above(row)
        for above in sorted(bonds):
            if await self.was_cancelled(above):
                raise ConflictError(
                    f"task {task_id} hangs below {above}, which is cancelled",
                    fix=f"Add another like it: palyra tasks add --copy {task_id}.",
                    code="wrong_state",
                )
        other = self.book.of_key(row.owner, row.dedupe_key)
        if other is not None or (row.owner, row.dedupe_key) in self._arriving:
            name = "one that is being added" if other is None else other.task_id
            raise ConflictError(f"task {name} is open and has the same dedupe key", code="wrong_state")
        if len(self.book) + self._coming >= MAX_OPEN:
            raise QueueFullError(len(self.book))
        # Somebody else may have retried it meanwhile.
        row = self.newest(task_id) or row
        after = moves.retry(row, self.now, keep_expiry=keep_expiry)
        self.book.add(after, bonds, self.now)
        change = self.move(row, after)
        await self._durable.wait([change, self._audit(row, by, "retried", {"reason": reason})])
        return after

    async def _act(
        self, task_id: str, by: str, verb: str, move: Callable[[TaskRow], TaskRow], told: Mapping[str, Any]
    ) -> TaskRow:
        row = await self.find(task_id)
        after = move(row)
        await self._durable.wait([self.move(row, after), self._audit(row, by, verb, told)])
        return after

    def _audit(self, row: TaskRow, by: str, verb: str, told: Mapping[str, Any]) -> Change:
        payload = {"verb": verb, "state": row.state.value, "version": row.version, **told}
        return AuditAdded(self.now, "task", row.task_id, by, payload)

    async def given(self, task_id: str) -> TaskInput:
        """What a task was given. Raises NotFoundError."""
        given = await self.inputs.of(task_id)
        if given is None:
            raise NotFoundError(f"No task {task_id!r} is known.", fix="See `palyra tasks list`.")
        return given

    def known(self, rows: Iterable[tuple[TaskRow, frozenset[str]]]) -> None:
        """Open tasks of an earlier engine."""
        for row, bonds in rows:
            self.book.add(row, bonds, self.now)


def _cancelled(noun: str, name: str) -> FieldFault:
    return FieldFault("parent", f"the {noun} {name} is cancelled", "Leave the parent out.")
