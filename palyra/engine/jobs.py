"""The scheduler of an engine: jobs as they were, those of the file as it says, carried out by the engine's parts."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from palyra.config.operations import JobConfig
from palyra.core.errors import JournalUnavailableError, NotFoundError
from palyra.engine.tasks import unknown_model
from palyra.engine.upkeep import upkeep
from palyra.journal.journal import Journal
from palyra.journal.task_rows import TaskFilter, TaskRow, TaskState, TaskUsage
from palyra.runs.durable import Durable
from palyra.runs.states import RunState
from palyra.scheduler.acts import JobActs
from palyra.scheduler.carrying import Carrying
from palyra.scheduler.execution import Order
from palyra.scheduler.restoring import restore
from palyra.scheduler.retrying import AttemptEnd
from palyra.scheduler.scheduler import Scheduler, SchedulerSettings
from palyra.scheduler.standing_jobs import Synchronised, add_system_jobs, synchronise
from palyra.tasks.asking import TaskAsk
from palyra.tasks.desk import TaskDesk
from palyra.vault.access import FIRST_PRINCIPAL

if TYPE_CHECKING:
    from palyra.engine.engine import Engine


class Jobs:
    """The scheduler, and what operators do with its jobs."""

    def __init__(self, scheduler: Scheduler, acts: JobActs) -> None:
        self.scheduler = scheduler
        self.acts = acts
        self.roster = scheduler.roster

    async def run(self) -> None:
        """Plans and fires until it is cancelled."""
        await self.scheduler.run()

    def apply(self, jobs: Sequence[JobConfig]) -> Synchronised:
        """Makes the file's jobs what `[[jobs]]` says now: new ones are added, changed ones planned anew, those that are
        gone removed with their open fires. What operators paused stays paused. It holds at once and is durable soon."""
        return synchronise(self.scheduler, jobs)

    def drain(self) -> None:
        """Starts nothing more."""
        self.scheduler.drain()

    async def close(self) -> None:
        """Ends what is under way; each fire knows at the next start how it ended."""
        await self.scheduler.close()


async def jobs_room(engine: "Engine", durable: Durable) -> Jobs:
    """Nothing is started so far. Runs and tasks are recovered before."""
    config, healing = engine.config, engine.healing
    tell, clear, pulse = healing.tell, healing.clear, healing.heartbeats
    carrying = Carrying(
        engine.background,
        durable,
        engine.clock,
        upkeep(engine, tell, clear),
        TaskDoor(engine.tasks.desk, engine.journal),
        engine.memory.answer,
    )
    settings = SchedulerSettings(
        enabled=config.scheduler.enabled,
        max_concurrent=config.scheduler.max_concurrent,
        pause_after=config.scheduler.pause_after_failures,
    )
    scheduler = Scheduler(
        engine.journal,
        engine.clock,
        engine.ids,
        engine.boot_id,
        carrying,
        settings,
        engine.events,
        tell=tell,
        clear=clear,
        pulse=pulse,
    )
    await restore(scheduler, engine.journal.readers)
    synchronise(scheduler, config.jobs)
    add_system_jobs(scheduler)

    def not_there(model: str) -> str:
        return unknown_model(engine.registry, model)

    return Jobs(scheduler, JobActs(scheduler, config.scheduler.timezone, FIRST_PRINCIPAL, not_there))


class TaskDoor:
    """The background queue as jobs see it: an attempt's task is known by a key of its own."""

    def __init__(self, desk: TaskDesk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal

    async def submit(self, order: Order) -> str:
        """Raises TaskInputError, QueueFullError, JournalUnavailableError."""
        job, work, scope = order.job, order.job.work, order.job.scope
        key = f"fire:{order.fire.fire_id}:{order.number}"
        if order.adopted:
            known = await self._of_key(job.name, key)
            if known is not None:
                return known.task_id
        ask = TaskAsk(
            kind=str(work.get("task", "background_prompt")),
            text=str(work.get("input", "")),
            owner=scope.principal,
            session=scope.session,
            channel=scope.channel,
            agent=scope.agent,
            tags=tuple(f"{name}={text}" for name, text in scope.tags.items()),
            job=job.name,
            source="job",
            fire_id=order.fire.fire_id,
            dedupe_key=key,
            remember=job.remember,
        )
        row, _ = await self._desk.submit(ask, "palyra")
        return row.task_id

    async def _of_key(self, job: str, key: str) -> TaskRow | None:
        page = await self._journal.readers.tasks(TaskFilter(job=job), limit=500)
        return next((row for row in page.tasks if row.dedupe_key == key), None)

    async def ended(self, task_id: str) -> AttemptEnd:
        """Waits for the end of a task, and tells what it came to and used."""
        try:
            row = await self._desk.ended(task_id)
        except NotFoundError as error:
            return AttemptEnd("failed", "interrupted", str(error))
        state = row.state.value if row.state in (TaskState.COMPLETED, TaskState.CANCELLED) else "failed"
        used = TaskUsage(0, row.tokens, None)
        with suppress(JournalUnavailableError):
            await self._journal.submit(())
            used = await self._journal.readers.task_usage(task_id)
            run = await self._journal.readers.run(row.target_run_id)
            if state == "failed" and run is not None and run.state == RunState.REFUSED and run.reason == row.reason:
                state = "refused"
        return AttemptEnd(
            state,
            row.reason or ("" if state == "completed" else row.state.value),
            row.error,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cost=used.cost,
            detail={"task_id": task_id},
        )

    async def cancel(self, task_id: str, reason: str, by: str) -> None:
        """Asks for a task's end. Raises NotFoundError."""
        await self._desk.cancel(task_id, by, reason)
