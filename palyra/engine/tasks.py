"""The background queue of an engine: built on its runs, with what an earlier engine left of its tasks."""

from typing import TYPE_CHECKING

from palyra.core.conditions import Clear, Tell, nobody_cleared, nobody_told
from palyra.core.pulse import Pulse
from palyra.providers.registry import ModelNotFoundError, Registry
from palyra.providers.wires import Wire, role_of
from palyra.runs.background import BackgroundRuns, Recall, nothing_recalled
from palyra.runs.durable import Durable
from palyra.tasks.desk import TaskDesk
from palyra.tasks.ends import POISON
from palyra.tasks.queue import QueueSettings, Remember, TaskQueue, nothing_remembered
from palyra.tasks.restoring import restore

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

DAY_MS = 86_400_000


def background_runs(engine: "Engine", durable: Durable, recall: Recall = nothing_recalled) -> BackgroundRuns:
    """What carries out the prompts of jobs and tasks as governed runs."""
    return BackgroundRuns(engine.runner, durable, engine.clock, engine.ids, engine.events, recall)


async def task_queue(
    engine: "Engine",
    durable: Durable,
    runs: BackgroundRuns,
    *,
    pulse: Pulse | None = None,
    tell: Tell = nobody_told,
    cleared: Clear = nobody_cleared,
    remember: Remember = nothing_remembered,
) -> TaskQueue:
    """Tasks as they were, those of dead workers given back; nothing is claimed so far. Runs are recovered before."""
    live = engine.runner.live
    desk = TaskDesk(
        engine.journal,
        durable,
        engine.clock,
        engine.ids,
        engine.events,
        live,
        lambda name: unknown_model(engine.registry, name),
    )
    config = engine.config.tasks
    queue = TaskQueue(
        desk,
        runs,
        engine.journal,
        engine.clock,
        engine.ids,
        engine.boot_id,
        QueueSettings(config.concurrency, config.retention_days * DAY_MS),
        pulse=pulse,
        tell=tell,
        cleared=cleared,
        remember=remember,
    )
    await restore(desk, engine.journal, engine.boot_id)
    for row in await engine.journal.readers.failed_tasks(POISON):
        queue.tell_poisoned(row)
    live.children = desk.stop_below
    return queue


def unknown_model(registry: Registry, name: str) -> str:
    """Why a model cannot be asked for; empty where it can."""
    try:
        registry.resolve(name, Wire.CHAT, role_of(Wire.CHAT))
    except ModelNotFoundError as error:
        return str(error)
    return ""
