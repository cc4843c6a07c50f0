"""Background tasks as consoles see them, with an engine or from the journal alone."""

import contextlib

from palyra.control.task_queries import (
    TaskAsked,
    TaskDetail,
    TaskQuery,
    TaskRunView,
    TasksPage,
    TasksQuery,
    TaskStats,
    TaskStatsQuery,
    TaskTold,
    TaskView,
)
from palyra.core.clock import Clock
from palyra.core.errors import BadInputError, NotFoundError
from palyra.core.pulse import WorkHeartbeatKind
from palyra.engine import Engine
from palyra.journal.readers import Readers
from palyra.journal.task_rows import TaskFilter, TaskRow, TaskState
from palyra.tasks.moves import due
from palyra.tasks.queue import TaskQueue
from palyra.tasks.waiting import why_it_waits

HOUR_MS = 3_600_000
LONGEST_WAIT_MS = 20_000


class TaskViews:
    """Answers questions about tasks. `engine` None: nobody works on them."""

    def __init__(self, readers: Readers, clock: Clock, engine: Engine | None = None) -> None:
        self._readers = readers
        self._clock = clock
        self._engine = engine

    async def answer(self, query: TaskAsked) -> TaskTold:
        """Raises NotFoundError, BadInputError."""
        match query:
            case TasksQuery():
                return await self._page(query)
            case TaskQuery():
                return await self._detail(query)
            case TaskStatsQuery():
                return await self._stats()

    @property
    def _queue(self) -> TaskQueue | None:
        return None if self._engine is None else self._engine.tasks

    async def _page(self, query: TasksQuery) -> TasksPage:
        states = [state.value for state in TaskState]
        if query.state not in ("", *states):
            raise BadInputError(f"No task is {query.state!r}.", fix=f"Tasks are {', '.join(states)}.")
        wanted = TaskFilter(
            states=(query.state,) if query.state else (),
            kind=query.task_kind,
            owner=query.owner,
            parent=query.parent,
            job=query.job,
            ready_at=self._clock.now_ms() if query.ready else None,
        )
        page = await self._readers.tasks(wanted, cursor=query.cursor, limit=query.limit)
        return TasksPage(tuple(self.view(row) for row in page.tasks), page.cursor)

    def view(self, row: TaskRow) -> TaskView:
        """A task as consoles see it, with why it waits."""
        now, queue = self._clock.now_ms(), self._queue
        waits = why_it_waits(
            row,
            now,
            workers_free=queue is None or queue.free() > 0,
            parent_full=queue is not None and queue.desk.book.parent_full(row),
            parked=queue is not None and queue.parked(row.task_id),
        )
        return task_view(row, "" if waits is None else waits.value, ready=due(row, now))

    async def _detail(self, query: TaskQuery) -> TaskDetail:
        if self._queue is not None and query.wait_ms > 0:
            wait = min(query.wait_ms, LONGEST_WAIT_MS) / 1000
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(wait):
                    await self._queue.desk.ended(query.task_id)
            await self._written()
        row = await self._find(query.task_id)
        given = await self._readers.task_input(row.task_id)
        result = await self._readers.task_result(row.task_id)
        runs = [await self._run(owner.run_id, owner.attempt) for owner in await self._readers.runs_of_task(row.task_id)]
        return TaskDetail(
            task=self.view(row),
            text="" if given is None else given.text,
            payload={} if given is None else given.payload,
            runs=tuple(runs),
            result=None if result is None else result.text,
            result_cut=result is not None and result.cut,
            heartbeat_age_ms=self._age(row),
        )

    async def _written(self) -> None:
        if self._engine is not None:
            await self._engine.catch_up()

    async def _find(self, task_id: str) -> TaskRow:
        if self._queue is not None:
            return await self._queue.desk.find(task_id)
        row = await self._readers.task(task_id)
        if row is None:
            raise NotFoundError(f"No task {task_id!r} is known.", fix="See `palyra tasks list`.")
        return row

    async def _run(self, run_id: str, attempt: int) -> TaskRunView:
        row = await self._readers.run(run_id)
        if row is None:
            return TaskRunView(run_id, attempt, "", "", "", None, None, None)
        return TaskRunView(
            run_id, attempt, row.state, row.reason, row.model, row.cost, row.accepted_at, row.finished_at
        )

    def _age(self, row: TaskRow) -> int | None:
        if self._engine is None:
            return None
        beats = self._engine.healing.heartbeats
        beat = beats.get(WorkHeartbeatKind.BACKGROUND_TASK, row.task_id)
        return None if beat is None else beats.now() - beat.last_beat

    async def _stats(self) -> TaskStats:
        now, queue = self._clock.now_ms(), self._queue
        depth: dict[str, dict[str, int]] = {}
        ended: dict[str, int] = {}
        for one in await self._readers.task_counts():
            if TaskState(one.state).terminal:
                ended[one.state] = ended.get(one.state, 0) + one.count
            else:
                depth.setdefault(one.kind, {})[one.state] = one.count
        rows = list(queue.desk.book) if queue is not None else await self._readers.open_tasks()
        ready = [row for row in rows if due(row, now)]
        oldest = min(ready, key=_since, default=None)
        last_hour = await self._readers.tasks_ended_since(now - HOUR_MS)
        return TaskStats(
            live=queue is not None,
            depth=depth,
            ended=ended,
            ready=len(ready),
            oldest_ready_id="" if oldest is None else oldest.task_id,
            oldest_ready_ms=None if oldest is None else now - _since(oldest),
            ended_last_hour=last_hour,
            stale_writes=0 if queue is None else queue.stale_writes,
            workers=0 if queue is None else queue.busy + queue.free(),
            working=0 if queue is None else queue.busy,
        )


def _since(row: TaskRow) -> int:
    return max(row.not_before, row.created_at)


def task_view(row: TaskRow, waits: str = "", *, ready: bool = False) -> TaskView:
    """A task as consoles see it."""
    scope = row.scope
    return TaskView(
        task_id=row.task_id,
        version=row.version,
        task_kind=row.kind,
        source=row.source,
        state=row.state.value,
        owner=row.owner,
        session=row.session,
        created_at=row.created_at,
        updated_at=row.updated_at,
        dedupe_key=row.dedupe_key,
        channel=scope.channel,
        agent=scope.agent,
        job=row.job,
        tags=dict(scope.tags),
        fire_id=row.fire_id,
        parent_run_id=row.parent_run_id,
        parent_task_id=row.parent_task_id,
        keep=row.keep,
        model=row.model,
        token_budget=row.token_budget,
        remember=row.remember,
        priority=row.priority,
        not_before=row.not_before,
        expires_at=row.expires_at,
        timeout_ms=row.timeout_ms,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        backoff_ms=row.backoff_ms,
        interruptions=row.interruptions,
        boot_id=row.boot_id,
        worker_id=row.worker_id,
        fence=row.fence,
        lease_until=row.lease_until,
        target_run_id=row.target_run_id,
        tokens=row.tokens,
        reason=row.reason,
        error=row.error,
        decision_id=row.decision_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        waits=waits,
        ready=ready,
    )
