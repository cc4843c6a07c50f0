"""Tasks, their texts, and the runs that were made for them and for fires."""

from palyra.core.errors import BadInputError
from palyra.journal.readers.query import Query, readable, whole
from palyra.journal.task_rows import (
    RUN_OWNERS,
    TASK_INPUTS,
    TASK_RESULTS,
    TASKS,
    RunOwner,
    TaskCount,
    TaskFilter,
    TaskInput,
    TaskPage,
    TaskResult,
    TaskRow,
    TaskUsage,
)

MAX_PAGE = 500
EVERY_TASK = TaskFilter()
NOTHING_USED = TaskUsage(0, 0, 0)


class TaskReaders(Query):
    """Reads tasks."""

    async def task(self, task_id: str) -> TaskRow | None:
        """The task of that id."""
        found = await self._readable(TASKS, "tasks WHERE task_id = ? LIMIT 1", (task_id,))
        return found[0] if found else None

    async def task_input(self, task_id: str) -> TaskInput | None:
        """What a task was given."""
        found = await self._saved(TASK_INPUTS, "WHERE task_id = ? LIMIT 1", (task_id,))
        return found[0] if found else None

    async def task_result(self, task_id: str) -> TaskResult | None:
        """What came of a task."""
        found = await self._saved(TASK_RESULTS, "WHERE task_id = ? LIMIT 1", (task_id,))
        return found[0] if found else None

    async def open_tasks(self) -> tuple[TaskRow, ...]:
        """All that have not ended, oldest first."""
        return await self._readable(TASKS, "tasks WHERE finished_at IS NULL ORDER BY created_at, seq LIMIT -1")

    async def unreadable_tasks(self) -> tuple[str, ...]:
        """The ids of tasks that have not ended with a payload that cannot be read."""
        return await self._unreadable(TASKS, "finished_at IS NULL")

    async def tasks(self, wanted: TaskFilter = EVERY_TASK, *, cursor: str = "", limit: int = 50) -> TaskPage:
        """At most `limit` (500) tasks; `cursor` comes from the page before. Raises BadInputError for any other."""
        limit = max(1, min(limit, MAX_PAGE))
        conditions, parameters = _conditions(wanted)
        if cursor:
            conditions.append("((finished_at IS NULL), created_at, seq) < (?, ?, ?)")
            parameters += _place(cursor)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = "ORDER BY (finished_at IS NULL) DESC, created_at DESC, seq DESC"
        sql = (
            f"SELECT json_group_array(json_array(finished_at IS NULL, created_at, seq, {TASKS.table.array()})) FROM"
            f" (SELECT seq, {readable(TASKS)} FROM tasks {where} {order} LIMIT ?)"
        )
        found = await self._listed(sql, lambda values: (*values[:3], TASKS.read(values[3])), (*parameters, limit + 1))
        page = found[:limit]
        following = ".".join(map(str, page[-1][:3])) if len(found) > limit else ""
        return TaskPage(tuple(one[3] for one in page), following)

    async def task_counts(self) -> tuple[TaskCount, ...]:
        """How many tasks there are of each kind and state."""
        sql = (
            "SELECT json_group_array(json_array(kind, state, count)) FROM"
            " (SELECT kind, state, count(*) AS count FROM tasks GROUP BY kind, state ORDER BY kind, state LIMIT -1)"
        )
        return await self._listed(sql, lambda values: TaskCount(*values))

    async def tasks_ended_since(self, at: int) -> int:
        """How many reached their end at `at` (unix ms) or later."""
        sql = "SELECT json_array(json_array((SELECT count(*) FROM tasks WHERE finished_at >= ?)))"
        (count,) = await self._listed(sql, lambda values: values[0], (at,))
        return int(count)

    async def tasks_to_forget(self, before: int, limit: int = MAX_PAGE) -> tuple[str, ...]:
        """Ids of tasks that ended before that instant (unix ms), the first to end first."""
        sql = (
            "SELECT json_group_array(json_array(task_id)) FROM"
            " (SELECT task_id FROM tasks WHERE finished_at < ? ORDER BY finished_at LIMIT ?)"
        )
        return await self._listed(sql, lambda values: values[0], (before, limit))

    async def failed_tasks(self, reason: str, limit: int = 100) -> tuple[TaskRow, ...]:
        """The newest of those that failed for that reason, newest first."""
        return await self._readable(
            TASKS,
            "tasks WHERE finished_at IS NOT NULL AND state = 'failed' AND reason = ? ORDER BY finished_at DESC LIMIT ?",
            (reason, max(1, min(limit, MAX_PAGE))),
        )

    async def run_owner(self, run_id: str) -> RunOwner | None:
        """Whom a run belongs to."""
        found = await self._saved(RUN_OWNERS, "WHERE run_id = ? LIMIT 1", (run_id,))
        return found[0] if found else None

    async def runs_of_task(self, task_id: str) -> tuple[RunOwner, ...]:
        """The newest ones, oldest of them first."""
        newest = "(SELECT seq FROM run_owners WHERE task_id = ? AND task_id <> '' ORDER BY seq DESC LIMIT ?)"
        return await self._saved(RUN_OWNERS, f"WHERE seq IN {newest} ORDER BY seq LIMIT -1", (task_id, MAX_PAGE))

    async def task_usage(self, task_id: str) -> TaskUsage:
        """What the runs of a task used, in tokens and nano-dollars."""
        sums = "sum(input_tokens), sum(output_tokens), CASE WHEN count(cost) = count(*) THEN sum(cost) END, count(*)"
        sql = (
            f"SELECT json_array(json_array({sums})) FROM run_owners JOIN runs USING (run_id)"
            " WHERE task_id = ? AND task_id <> ''"
        )
        found = await self._listed(
            sql, lambda values: TaskUsage(*values[:3]) if values[3] else NOTHING_USED, (task_id,)
        )
        return found[0]


def _conditions(wanted: TaskFilter) -> tuple[list[str], list[str | int]]:
    conditions: list[str] = []
    parameters: list[str | int] = []

    def ask(condition: str, *values: str | int) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if wanted.states:
        ask(f"state IN ({', '.join('?' * len(wanted.states))})", *wanted.states)
    if wanted.kind:
        ask("kind = ?", wanted.kind)
    if wanted.owner:
        ask("owner = ?", wanted.owner)
    if wanted.parent:
        ask(
            "((parent_run_id = ? AND parent_run_id <> '') OR (parent_task_id = ? AND parent_task_id <> ''))",
            wanted.parent,
            wanted.parent,
        )
    if wanted.job:
        ask("job = ?", wanted.job)
    if wanted.ready_at is not None:
        ask("state = 'queued' AND finished_at IS NULL AND not_before <= ?", wanted.ready_at)
    return conditions, parameters


def _place(cursor: str) -> list[int]:
    try:
        live, created_at, seq = map(whole, cursor.split("."))
    except ValueError:
        raise BadInputError(f"{cursor!r} is no cursor of a page of tasks.", fix="Start again without one.") from None
    return [live, created_at, seq]
