"""The queue: who works on what. Passes over the tasks in memory, workers that carry them out, leases that say so.

It wakes on every change, on the next due time and at least once a second; each pass stops what is cancelled, expires
what is too old, ends leases that lapsed, and gives free workers the next tasks in line.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from palyra.core.clock import Clock
from palyra.core.conditions import Clear, Condition, Domain, Severity, Tell, nobody_cleared, nobody_told
from palyra.core.errors import JournalUnavailableError
from palyra.core.ids import IdSource
from palyra.core.pulse import NoPulse, Pulse, WorkHeartbeatKind
from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from palyra.journal.task_rows import TASKS, TaskRow, TaskState
from palyra.runs.background import BackgroundRuns, PromptResult
from palyra.runs.states import ENGINE_STOPPING, PARENT_CANCELLED, REPLACED, SELF_HEALING
from palyra.tasks import moves
from palyra.tasks.desk import TaskDesk
from palyra.tasks.ends import POISON, Interrupted, after
from palyra.tasks.worker import Carried, Worker

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 1.0
OVERRULE_S = 1.5
"""A task that was asked to stop and is still leased after this many seconds is ended over its worker's head."""
CLOSING_S = 2.0
"""How long workers have for what follows the end of their runs."""
STALL_S = 1.0
"""From this much lateness of the loop on, leases gain the time that was lost."""
STUCK_S = 300.0
TROUBLE_S = 5.0
"""How long a task rests that could not be handled."""
TIDY_EVERY_S = 3_600.0
LOOK_EVERY_S = 15.0
"""How often the queue looks for tasks that wait although workers are idle."""
STUCK = "queue:stuck"

Remember = Callable[[TaskRow, str], Sequence[Change]]
"""What keeps the answer of a task as a note; `target_run_id` is the run that gave it."""


def nothing_remembered(_row: TaskRow, _text: str) -> Sequence[Change]:
    """What is kept of an answer where no memory is."""
    return ()


@value
class QueueSettings:
    """`concurrency`: tasks that run at once; `retention_ms`: how long those are kept that have ended."""

    concurrency: int = 4
    retention_ms: int = 30 * 86_400_000


class TaskQueue:
    """Runs the tasks of one engine. Nothing is claimed before `open_claims`."""

    def __init__(
        self,
        desk: TaskDesk,
        runs: BackgroundRuns,
        journal: Journal,
        clock: Clock,
        ids: IdSource,
        boot_id: str,
        settings: QueueSettings,
        *,
        pulse: Pulse | None = None,
        tell: Tell = nobody_told,
        cleared: Clear = nobody_cleared,
        remember: Remember = nothing_remembered,
    ) -> None:
        self.desk = desk
        self._runs = runs
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._boot_id = boot_id
        self._settings = settings
        self._pulse = NoPulse() if pulse is None else pulse
        self._tell = tell
        self._cleared = cleared
        self._remember = remember
        self._workers: dict[str, Worker] = {}
        """By task: who holds its lease."""
        self._alive: set[Worker] = set()
        """Those whose coroutines have not ended; most hold a lease."""
        self._stopping: set[str] = set()
        """Tasks that were asked to stop and are still leased."""
        self._troubled: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._claiming = self._closing = self._sweeping = self._stuck = False
        self._looked_at: float | None = None
        self.stale_writes = 0
        """Writes of workers that did not own their task any more."""
        self.claims = 0
        self.lapses = 0
        """Leases that ended before their work did."""
        desk.changed = self._moved

    # What others see

    @property
    def busy(self) -> int:
        """Workers that are at work; one whose run waits for a person is not."""
        return sum(not worker.parked for worker in self._workers.values())

    def parked(self, task_id: str) -> bool:
        """Whether the run of a task waits for an approval."""
        worker = self._workers.get(task_id)
        return worker is not None and worker.parked

    def free(self) -> int:
        """How many workers have nothing to do."""
        return max(0, self._settings.concurrency - self.busy)

    # The loop

    def open_claims(self) -> None:
        """From now on tasks are begun."""
        self._claiming = True
        self._wake.set()

    def stop_claims(self) -> None:
        """Nothing more is begun; what runs may finish, and is given back where it is stopped."""
        self._claiming, self._closing = False, True

    async def run(self) -> None:
        """Passes until it is cancelled."""
        while True:
            self._wake.clear()
            self._sweeping = True
            try:
                self.sweep()
            finally:
                self._sweeping = False
            asleep = self._clock.monotonic()
            pause = self._pause()
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(pause):
                    await self._wake.wait()
            late = self._clock.monotonic() - asleep - pause
            if late >= STALL_S:
                log.warning("the loop was late by %.1f s: leases gain that time", late)
                for worker in self._workers.values():
                    worker.deadline += late

    def _pause(self) -> float:
        due = self.desk.book.next_due()
        wait = LONGEST_SLEEP_S if due is None else (due - self._clock.now_ms()) / 1000
        return min(LONGEST_SLEEP_S, max(wait, 0.001))

    def sweep(self) -> None:
        """One pass."""
        now = self._clock.now_ms()
        book = self.desk.book
        self._give_another_chance(now)
        for task_id in tuple(self._stopping):
            row = book.get(task_id)
            if row is not None and row.state is TaskState.CANCEL_REQUESTED:
                self._guarded(row, self._stop_work)
        book.ripen(now)
        for row in book.expired(now):
            self._guarded(row, self._expire)
        for worker in list(self._workers.values()):
            if worker.done or self._clock.monotonic() >= worker.deadline:
                row = book.get(worker.task_id)
                if row is not None:
                    self._guarded(row, partial(self._lapsed, worker=worker))
                else:
                    self._workers.pop(worker.task_id, None)
        if self._claiming and self._journal.healthy:
            self._claim_free(now)
        self._watch_for_stuck(now)

    def _give_another_chance(self, now: int) -> None:
        """Tasks that could not be handled a while ago are looked at again."""
        for task_id, until in tuple(self._troubled.items()):
            if until <= self._clock.monotonic():
                del self._troubled[task_id]
                row = self.desk.book.get(task_id)
                if row is not None:
                    self.desk.book.put(row, now)

    def _guarded(self, row: TaskRow, step: Callable[[TaskRow], None]) -> bool:
        """What goes wrong with one task delays that task alone."""
        if row.task_id in self._troubled:
            return False
        try:
            step(row)
        except Exception:
            log.exception("task %s could not be handled and rests", row.task_id)
            self._troubled[row.task_id] = self._clock.monotonic() + TROUBLE_S
            return False
        return True

    def _expire(self, row: TaskRow) -> None:
        self.desk.write([self.desk.move(row, moves.expire(row, self._clock.now_ms()))])

    # Claims

    def _claim_free(self, now: int) -> None:
        free = self.free()
        if free <= 0:
            return
        passed: list[TaskRow] = []
        for row in self.desk.book.take(now):
            if self.desk.book.parent_full(row):
                passed.append(row)
                continue
            if not self._guarded(row, self._claim):
                passed.append(row)
                continue
            free -= 1
            if free <= 0:
                break
        self.desk.book.back(passed)

    def _claim(self, row: TaskRow) -> None:
        now = self._clock.now_ms()
        claimed = moves.claim(row, now, self._boot_id, self._ids.new())
        change = self.desk.move(row, claimed)
        self.claims += 1
        written = self._journal.submit([change])
        worker = Worker(claimed, self, self._clock.monotonic() + moves.LEASE_MS / 1000, self._clock)
        self._workers[row.task_id] = worker
        self._alive.add(worker)
        worker.start(written)
        self._pulse.record(WorkHeartbeatKind.BACKGROUND_TASK, row.task_id, worker.summary, "claim", 0)

    # What a worker asks for

    @property
    def runs(self) -> BackgroundRuns:
        """What makes the runs of tasks."""
        return self._runs

    @property
    def closing(self) -> bool:
        """Whether nothing is begun any more."""
        return self._closing

    def new_run_id(self) -> str:
        """A ULID for the run of an attempt."""
        return self._ids.new()

    def owned(self, worker: Worker) -> TaskRow | None:
        """The task of a worker, while it is its own; None counts as a write that came too late."""
        row = self.desk.book.get(worker.task_id)
        if row is None or not row.state.leased or row.fence != worker.fence:
            self.stale_writes += 1
            log.warning("task %s: stale_fence %d", worker.task_id, worker.fence)
            return None
        return row

    def began(self, worker: Worker, run_id: str) -> Sequence[Change]:
        """The worker's run is being written: the task names it from then on."""
        row = self.owned(worker)
        return () if row is None else [self.desk.move(row, moves.begin(row, self._clock.now_ms(), run_id))]

    def came_to(self, worker: Worker, carried: Carried) -> Sequence[Change]:
        """The worker's attempt has ended; what is returned goes with the end of its run."""
        row = self.owned(worker)
        if row is None:
            return ()
        now = self._clock.now_ms()
        end = carried.end
        if not self._closing and isinstance(end, PromptResult) and end.reason == ENGINE_STOPPING:
            # The engine is not stopping: somebody ended the worker.
            end = Interrupted()
        ended = after(row, end, now)
        changes: list[Change] = [self.desk.move(row, ended)]
        if ended.state is TaskState.COMPLETED:
            changes += carried.result_of(ended)
            if row.remember and isinstance(end, PromptResult):
                changes += self._note(replace(row, target_run_id=end.run_id), end.text)
        if ended.state is TaskState.CANCELLED:
            changes += self.desk.stop_below(ended.task_id)
        return changes

    def unclaim(self, worker: Worker) -> None:
        """The claim could not be written, or what the task was given not be read: the attempt counts for nothing."""
        row = self.owned(worker)
        if row is None:
            return
        if row.state is TaskState.CANCEL_REQUESTED:
            self._end_cancelled(row)
        else:
            self.desk.write([self.desk.move(row, moves.unclaim(row, self._clock.now_ms(), delay_ms=1_000))])

    def renewed(self, worker: Worker) -> None:
        """A worker goes on: its lease begins anew, unless somebody else holds it by now."""
        row = self.desk.book.get(worker.task_id)
        if row is not None and row.state.leased and row.fence == worker.fence:
            worker.deadline = self._clock.monotonic() + moves.LEASE_MS / 1000
            self.desk.write([self.desk.move(row, moves.renew(row, self._clock.now_ms()))])

    def beat(self, worker: Worker, phase: str, progress: int) -> None:
        """A worker tells that it lives: `phase` of its run, `progress` only grows."""
        row = self.desk.book.get(worker.task_id)
        if row is not None and row.state.leased and row.fence == worker.fence:
            self._pulse.record(WorkHeartbeatKind.BACKGROUND_TASK, row.task_id, worker.summary, phase, progress)

    def woken(self) -> None:
        """Something changed that may let a task be claimed: the queue looks at its next turn."""
        self._wake.set()

    def _note(self, row: TaskRow, text: str) -> Sequence[Change]:
        """The answer of a completed task as a note; work is not undone where that fails."""
        try:
            return self._remember(row, text)
        except Exception:
            log.exception("the answer of task %s could not be remembered", row.task_id)
            return ()

    def left(self, worker: Worker) -> None:
        """A worker's coroutine has ended, in peace or not."""
        self._alive.discard(worker)
        row = self.desk.book.get(worker.task_id)
        if row is not None and row.state.leased and row.fence == worker.fence:
            if self._closing and row.state is TaskState.RUNNING:
                self.desk.write([self.desk.move(row, moves.unclaim(row, self._clock.now_ms()))])
            else:
                self._guarded(row, partial(self._lapsed, worker=worker))
        elif self._workers.get(worker.task_id) is worker:
            del self._workers[worker.task_id]
        self._wake.set()

    # Stopping

    def _moved(self, before: TaskRow, row: TaskRow) -> None:
        """Called at each move, whoever made it."""
        if before.state.leased and not row.state.leased:
            self._pulse.clear(WorkHeartbeatKind.BACKGROUND_TASK, row.task_id)
            worker = self._workers.get(row.task_id)
            if worker is not None and worker.fence == before.fence:
                del self._workers[row.task_id]
            self._stopping.discard(row.task_id)
        if row.state is TaskState.CANCEL_REQUESTED and before.state is not TaskState.CANCEL_REQUESTED:
            self._stopping.add(row.task_id)
            self._stop_work(row)
            self._clock.call_later(OVERRULE_S, partial(self._overrule, row.task_id, row.fence))
        if row.state is TaskState.FAILED and row.reason == POISON:
            self.tell_poisoned(row)
        elif before.reason == POISON and row.reason != POISON:
            self._cleared(_poison(row))
        if not self._sweeping:
            self._wake.set()

    def tell_poisoned(self, row: TaskRow) -> None:
        """A task that crashes what works on it waits for somebody."""
        told = f"Task {row.task_id} was interrupted {row.interruptions} times in a row."
        if not row.interruptions:
            told = f"Task {row.task_id} cannot be read."
        since = row.updated_at
        self._tell(Condition(Domain.QUEUE, _poison(row), Severity.HIGH, told, row.error, row.task_id, since))

    def _stop_work(self, row: TaskRow) -> None:
        """Whatever carries it out is asked to stop; asked again, that changes nothing."""
        worker = self._workers.get(row.task_id)
        if worker is None:
            self._overrule(row.task_id, row.fence)
        elif worker.run_id:
            reason = PARENT_CANCELLED if row.reason == moves.PARENT_CANCELLED else "by_operator"
            self._runs.cancel(worker.run_id, reason, "palyra")

    def _overrule(self, task_id: str, fence: int) -> None:
        row = self.desk.book.get(task_id)
        if row is None or row.state is not TaskState.CANCEL_REQUESTED or row.fence != fence:
            return
        self._end_cancelled(row, over_its_head=True)

    def _end_cancelled(self, row: TaskRow, *, over_its_head: bool = False) -> None:
        """Nobody works any more on a task that was asked to stop: it ends, and what hangs below it."""
        ended = moves.confirm_cancel(row, self._clock.now_ms(), over_its_head=over_its_head)
        self.desk.write([self.desk.move(row, ended), *self.desk.stop_below(row.task_id)])

    def redispatch(self, task_id: str) -> bool:
        """Stops an attempt that gets nowhere: it is tried again while attempts are left, and fails else. False where
        nobody works on it."""
        worker = self._workers.get(task_id)
        if worker is None:
            return False
        if worker.run_id and self._runs.cancel(worker.run_id, SELF_HEALING, "palyra"):
            return True
        row = self.desk.book.get(task_id)
        if row is not None and row.state.leased:
            self._lapsed(row, worker)
        return True

    def _lapsed(self, row: TaskRow, worker: Worker) -> None:
        """Nobody works on it any more: its run is stopped first, then the rule for attempts decides."""
        if not row.state.leased or row.fence != worker.fence:
            self._workers.pop(worker.task_id, None)
            return
        if worker.run_id:
            self._runs.cancel(worker.run_id, REPLACED, "palyra")
        newest = self.desk.book.get(row.task_id)
        if newest is None or not newest.state.leased or newest.fence != worker.fence:
            return
        self.lapses += 1
        log.warning("task %s: its worker is gone", row.task_id)
        self.desk.write([self.desk.move(newest, after(newest, Interrupted(), self._clock.now_ms()))])
        if not worker.run_id:
            worker.abandon()

    async def close(self) -> None:
        """Waits for the workers, whose runs have ended; those that do not end give back what they hold."""
        self.stop_claims()
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(CLOSING_S):
                for worker in tuple(self._alive):
                    await worker.over()
        for worker in tuple(self._alive):
            worker.abandon()
            await worker.over()

    # Watching over itself

    def _watch_for_stuck(self, now: int) -> None:
        at = self._clock.monotonic()
        if self._looked_at is not None and at - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = at
        oldest = self.desk.book.oldest_ready(now) if self._claiming and self.free() else None
        waits = None if oldest is None else (now - max(oldest.not_before, oldest.created_at)) / 1000
        stuck = waits is not None and waits >= STUCK_S
        if stuck and oldest is not None and not self._stuck:
            told = f"Task {oldest.task_id} is ready and waits while workers are idle."
            since = max(oldest.not_before, oldest.created_at)
            self._tell(Condition(Domain.QUEUE, STUCK, Severity.MEDIUM, told, subject=oldest.task_id, since=since))
        elif self._stuck and not stuck:
            self._cleared(STUCK)
        self._stuck = stuck

    async def tidy(self) -> None:
        """Forgets tasks that ended long ago, every hour until it is cancelled."""
        while True:
            before = self._clock.now_ms() - self._settings.retention_ms
            with contextlib.suppress(JournalUnavailableError):
                while ids := await self._journal.readers.tasks_to_forget(before):
                    await self._journal.submit([TASKS.forgotten(task_id) for task_id in ids])
            await self._clock.sleep(TIDY_EVERY_S)


def _poison(row: TaskRow) -> str:
    return f"task:{row.task_id}:{POISON}"
