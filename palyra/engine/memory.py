"""The notes of an engine, built of its own parts."""

from dataclasses import replace
from typing import TYPE_CHECKING

from palyra.journal.changes import Change
from palyra.journal.task_rows import TaskRow
from palyra.memory.memory import Memory
from palyra.memory.reading import VacuumTimes
from palyra.memory.standing import MemoryLimits
from palyra.runs.embeddings import EmbeddingRuns
from palyra.scheduler.schedule import Schedule, ScheduleKind, times_of
from palyra.tasks.queue import Remember

if TYPE_CHECKING:
    from palyra.config.operations import MemoryConfig
    from palyra.engine.engine import Engine


def memory_limits(config: "MemoryConfig") -> MemoryLimits:
    """The memory's limits as configured."""
    return MemoryLimits(
        enabled=config.enabled,
        embeddings_model=config.embeddings_model or "",
        max_entries=config.max_entries,
        max_bytes=config.max_bytes,
        ttl_days=config.ttl_days,
        vacuum_cron=config.vacuum_cron,
    )


def vacuum_times(expression: str) -> VacuumTimes:
    """When space is given back, in UTC."""
    times = times_of(Schedule(ScheduleKind.CRON, expression))
    return lambda now: (times.latest(0, now), times.after(now))


async def memory_room(engine: "Engine") -> Memory:
    """With what an earlier engine did; runs can be made already."""
    limits = memory_limits(engine.config.memory)
    model = limits.embeddings_model
    memory = Memory(
        limits,
        engine.journal,
        engine.clock,
        engine.ids,
        vacuum_times(limits.vacuum_cron),
        EmbeddingRuns(engine.runner, model).embed if model else None,
    )
    await memory.restore()
    return memory


def remember_result(memory: Memory) -> Remember:
    """Keeps the results of tasks that ask for it. Nobody else is ever in the session that a task has for itself."""

    def remember(row: TaskRow, text: str) -> list[Change]:
        alone = row.session == f"task:{row.task_id}"
        return memory.answer(replace(row.scope, session="") if alone else row.scope, text, row.target_run_id)

    return remember
