"""Carries attempts out: prompts as background runs, tasks in the queue, maintenance by the callables it is given."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Protocol

from palyra.config.operations import JobAction, Maintenance
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.pulse import BEAT_EVERY_S
from palyra.core.scope import Scope
from palyra.journal.changes import Change
from palyra.runs.background import BackgroundRuns, PromptAsk, PromptResult
from palyra.runs.durable import Durable
from palyra.scheduler.execution import Order
from palyra.scheduler.retrying import AttemptEnd

log = logging.getLogger(__name__)

RUN_TIMEOUT, TOOK_TOO_LONG = "run_timeout", "it took longer than it may"
MaintenanceWork = Callable[[], Awaitable[Mapping[str, object]]]
"""Does one kind of upkeep; what was done, as numbers. `changed: 0` says that there was nothing to do."""
Remember = Callable[[Scope, str, str], Sequence[Change]]
"""What keeps a text as a note of a scope: (scope, text, run_id)."""


class Tasks(Protocol):
    """The background queue, as far as jobs need it."""

    async def submit(self, order: Order) -> str:
        """Makes a task of an order and returns its id; the same one however often it is asked. Raises PalyraError."""
        ...

    async def ended(self, task_id: str) -> AttemptEnd:
        """Waits for a task's end, with what all its runs used."""
        ...

    async def cancel(self, task_id: str, reason: str, by: str) -> None:
        """Asks it to end. Raises PalyraError where it has ended."""
        ...


def nothing_remembered(_scope: Scope, _text: str, _run_id: str) -> Sequence[Change]:
    """Where no notes are kept."""
    return ()


class Carrying:
    """An Executor."""

    def __init__(
        self,
        runs: BackgroundRuns,
        durable: Durable,
        clock: Clock,
        maintenance: Mapping[Maintenance, MaintenanceWork],
        tasks: Tasks | None = None,
        remember: Remember = nothing_remembered,
    ) -> None:
        self._runs = runs
        self._durable = durable
        self._clock = clock
        self._maintenance = maintenance
        self._tasks = tasks
        self._remember = remember
        self._stopped: dict[str, str] = {}
        """Attempts of maintenance that were asked to end, with the reason."""
        self._works: dict[str, asyncio.Task[AttemptEnd]] = {}
        self._asked: dict[str, asyncio.Future[str]] = {}
        """By attempt of a task under way: why it was asked to end."""

    async def carry_out(self, order: Order) -> None:
        """Runs the prompt, the task or the upkeep of an order to its end."""
        match JobAction(order.job.action):
            case JobAction.PROMPT:
                await self._prompt(order)
            case JobAction.TASK:
                await self._task(order)
            case JobAction.MAINTENANCE:
                await self._maintenance_work(order)

    def stop(self, order: Order, reason: str, by: str) -> None:
        """Asks whatever carries the order out to end, for that reason; returns at once."""
        if self._runs.cancel(order.attempt_id, reason, by):
            return
        asked = self._asked.get(order.attempt_id)
        if asked is not None and not asked.done():
            asked.set_result(reason)
        work = self._works.get(order.attempt_id)
        if work is not None:
            self._stopped.setdefault(order.attempt_id, reason)
            work.cancel()

    async def _prompt(self, order: Order) -> None:
        job, work = order.job, order.job.work
        ask = PromptAsk(
            prompt=str(work.get("prompt", "")),
            scope=job.scope,
            source="job",
            model=str(work.get("model", "auto")),
            max_tokens=work.get("max_tokens"),
            json=bool(work.get("json_mode", False)),
            run_id=order.attempt_id,
            fire_id=order.fire.fire_id,
            max_duration_ms=job.max_duration,
            recall=job.recall,
            beat=order.beat,
            begun=lambda row: order.begun(),
            ended=lambda result: [*order.ended(_end_of(result)), *self._note(order, result)],
        )
        await self._runs.run(ask)

    def _note(self, order: Order, result: PromptResult) -> Sequence[Change]:
        """The answer as a note; work is not undone where that fails."""
        if not (order.job.remember and result.completed and result.text):
            return ()
        try:
            return self._remember(order.job.scope, result.text, result.run_id)
        except Exception:
            log.exception("the answer of job %s could not be kept as a note", order.job.name)
            return ()

    # Work whose rows are not a run's own: its beginning is durable before it begins.

    async def _maintenance_work(self, order: Order) -> None:
        work = self._works[order.attempt_id] = asyncio.ensure_future(self._maintained(order, list(order.begun())))
        try:
            end = await work
        except asyncio.CancelledError:
            reason = self._stopped.get(order.attempt_id)
            if reason is None or not work.cancelled():
                work.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await work
                raise
            end = AttemptEnd("cancelled", reason)
        finally:
            self._works.pop(order.attempt_id, None)
            self._stopped.pop(order.attempt_id, None)
        self._durable.write(order.ended(end))

    async def _maintained(self, order: Order, begun: Sequence[Change]) -> AttemptEnd:
        try:
            await self._durable.wait(begun)
            async with self._beating(order), self._clock.timeout(order.job.max_duration / 1000):
                return await self._maintain(order)
        except TimeoutError:
            return AttemptEnd("failed", RUN_TIMEOUT, TOOK_TOO_LONG)
        except PalyraError as error:
            return AttemptEnd("failed", error.code, str(error))

    @asynccontextmanager
    async def _beating(self, order: Order) -> AsyncIterator[None]:
        beating = asyncio.create_task(self._beat(order))
        try:
            yield
        finally:
            beating.cancel()

    async def _beat(self, order: Order) -> None:
        while True:
            await self._clock.sleep(BEAT_EVERY_S)
            order.beat("work", None)

    async def _task(self, order: Order) -> None:
        """Cancelled, it leaves the task in its queue, for the next engine to go on with."""
        self._asked[order.attempt_id] = asyncio.get_running_loop().create_future()
        begun = () if order.adopted else list(order.begun())
        try:
            if begun:
                await self._durable.wait(begun)
            async with self._beating(order):
                end = await self._queued(order)
        except PalyraError as error:
            end = AttemptEnd("failed", error.code, str(error))
        finally:
            self._asked.pop(order.attempt_id).cancel()
        self._durable.write(order.ended(end))

    async def _queued(self, order: Order) -> AttemptEnd:
        """The end of its task, which is waited for also when it was asked to end: only then another may begin."""
        if self._tasks is None:
            return AttemptEnd("failed", "no_task_queue", "there is no queue for tasks")
        asked = self._asked[order.attempt_id]
        task_id = await self._tasks.submit(order)
        ended = asyncio.ensure_future(self._tasks.ended(task_id))
        try:
            try:
                async with self._clock.timeout(order.job.max_duration / 1000):
                    await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
            except TimeoutError:
                asked.set_result(RUN_TIMEOUT)
            if not ended.done():
                with suppress(PalyraError):
                    await self._tasks.cancel(task_id, asked.result(), "palyra")
            end = await ended
        finally:
            ended.cancel()
        if not asked.done() or end.state != "cancelled":
            return end
        if asked.result() == RUN_TIMEOUT:
            return replace(end, state="failed", reason=RUN_TIMEOUT, message=TOOK_TOO_LONG)
        return replace(end, reason=asked.result())

    async def _maintain(self, order: Order) -> AttemptEnd:
        action = Maintenance(order.job.work["maintenance"])
        work = self._maintenance.get(action)
        if work is None:
            return AttemptEnd("completed", detail={"nothing_to_do": 1}, changed=False)
        done = dict(await work())
        changed = bool(done.pop("changed", True))
        return AttemptEnd("completed", detail=done, changed=changed)


def _end_of(result: PromptResult) -> AttemptEnd:
    return AttemptEnd(
        state=result.state,
        reason=result.reason,
        message=result.message,
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        cost=result.cost_usd,
        detail={"decision_id": result.decision_id} if result.decision_id else {},
    )
