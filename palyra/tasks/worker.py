"""A worker: one claimed task, from the moment the claim is durable to the end of its attempt."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from palyra.config.operations import TaskKind
from palyra.core.clock import Clock, Timer
from palyra.core.errors import JournalUnavailableError
from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.rows import RunRow
from palyra.journal.task_rows import TASK_RESULTS, TaskInput, TaskResult, TaskRow, TaskState
from palyra.journal.writer import UnitRefusedError
from palyra.runs.background import PromptAsk, PromptResult
from palyra.runs.states import Phase, RunState
from palyra.tasks.ends import End, Interrupted
from palyra.tasks.kinds import KINDS
from palyra.tasks.moves import RENEW_S

if TYPE_CHECKING:
    from palyra.tasks.queue import TaskQueue

log = logging.getLogger(__name__)

TASK = "task"
"""The source of a task's runs."""
PARKED = Phase.PARK.value


@value
class Carried:
    """What an attempt came to."""

    end: End

    def result_of(self, row: TaskRow) -> list[Change]:
        """What is kept of the answer."""
        if isinstance(self.end, Interrupted):
            return []
        return [TASK_RESULTS.saved(TaskResult(row.task_id, self.end.run_id, self.end.text, self.end.cut))]


class Worker:
    """Holds one lease. `deadline` is its end in monotonic seconds; `run_id` the run that is made for it."""

    def __init__(self, row: TaskRow, queue: "TaskQueue", deadline: float, clock: Clock) -> None:
        self.task_id = row.task_id
        self.fence = row.fence
        self.deadline = deadline
        self.run_id = ""
        self.summary = f"{row.kind} of {row.owner}, attempt {row.attempt} of {row.max_attempts}"
        self.parked = False
        self._row = row
        self._queue = queue
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._timer: Timer | None = None

    @property
    def done(self) -> bool:
        """Whether its coroutine has ended."""
        return self._task is not None and self._task.done()

    def start(self, written: "asyncio.Future[None]") -> None:
        """`written`: the claim is durable."""
        self._task = asyncio.create_task(self._work(written), name=f"palyra:task:{self.task_id}")
        self._task.add_done_callback(self._over)
        self._timer = self._clock.call_later(RENEW_S, self._renew)

    def abandon(self) -> None:
        """Its lease is somebody else's matter now."""
        if self._task is not None:
            self._task.cancel()

    async def over(self) -> None:
        """Waits until its coroutine has ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _renew(self) -> None:
        if not self.done:
            self._queue.renewed(self)
            self._timer = self._clock.call_later(RENEW_S, self._renew)

    def _over(self, task: "asyncio.Task[None]") -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not task.cancelled() and task.exception() is not None:
            log.error("the worker of task %s broke", self.task_id, exc_info=task.exception())
        self._queue.left(self)

    async def _work(self, written: "asyncio.Future[None]") -> None:
        queue, row = self._queue, self._row
        try:
            await written
            given = await queue.desk.given(self.task_id)
        except (JournalUnavailableError, UnitRefusedError) as error:
            log.warning("task %s could not be begun: %s", self.task_id, error)
            queue.unclaim(self)
            return
        newest = queue.owned(self)
        if newest is None or queue.closing:
            return
        self.run_id = queue.new_run_id()
        if newest.state is TaskState.CANCEL_REQUESTED:
            self._unmade(RunState.CANCELLED, newest.reason)
            return
        await queue.runs.run(self._ask(row, given))

    def _unmade(self, state: RunState, reason: str) -> None:
        """The attempt ends without a run."""
        changes = self._ended(PromptResult("", state.value, reason))
        if changes:
            self._queue.desk.write(changes)

    def _ask(self, row: TaskRow, given: TaskInput) -> PromptAsk:
        kind = TaskKind(row.kind)
        rule = KINDS[kind]
        payload = dict(given.payload)
        images = tuple(payload.pop("images", ())) if kind is TaskKind.VISION else ()
        text = given.text
        if payload:
            text = f"{text}\n\n{json.dumps(payload, ensure_ascii=False, indent=2)}"
        return PromptAsk(
            prompt=text,
            scope=row.scope,
            source=TASK,
            model=row.model,
            token_budget=row.token_budget,
            instructions=rule.instructions,
            images=images,
            task_class=rule.task_class.value,
            run_id=self.run_id,
            fire_id=row.fire_id,
            task_id=row.task_id,
            parent_run_id=row.parent_run_id,
            attempt=row.attempt,
            max_duration_ms=row.timeout_ms,
            recall=rule.recall,
            beat=self._beat,
            begun=self._begun,
            ended=self._ended,
        )

    def _beat(self, phase: str, progress: int) -> None:
        if (phase == PARKED) is not self.parked:
            self.parked = not self.parked
            self._queue.woken()
        self._queue.beat(self, phase, progress)

    def _begun(self, run: RunRow) -> Sequence[Change]:
        return self._queue.began(self, run.run_id)

    def _ended(self, result: PromptResult) -> Sequence[Change]:
        return self._queue.came_to(self, Carried(result))
