"""How an engine's parts carry out the remedies of their own incidents."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from palyra.core.errors import NotFoundError, PalyraError
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.healing import Healing
from palyra.healing.record import AUTO, Attempt, IncidentRecord
from palyra.healing.remedies import Checked, RemedyAct, Status, helped
from palyra.journal.job_rows import JobState
from palyra.journal.task_rows import TaskState
from palyra.providers.breaker import BreakerState

if TYPE_CHECKING:
    from palyra.engine.engine import Engine
    from palyra.engine.jobs import Jobs

SELF_HEALING = "self_healing"
Act = Callable[[IncidentRecord, Attempt], Awaitable[str]]


def _by(attempt: Attempt) -> str:
    return "palyra" if attempt.asked_by == AUTO else attempt.asked_by


def cancel_run(engine: "Engine", healing: Healing) -> RemedyAct:
    """Stops a run that gets nowhere; verified once it is gone."""

    async def act(incident: IncidentRecord, attempt: Attempt) -> str:
        if not engine.runner.stop(incident.subject, SELF_HEALING, _by(attempt)):
            return "the run had ended already"
        return "the run was asked to stop"

    def check(incident: IncidentRecord, attempt: Attempt) -> Checked:
        run = incident.subject
        gone = healing.heartbeats.get(WorkHeartbeatKind.RUN, run) is None
        return helped(gone and engine.runner.live.get(run) is None, attempt)

    def preview(incident: IncidentRecord) -> Sequence[str]:
        run = engine.runner.live.get(incident.subject)
        if run is None:
            return (f"The run {incident.subject} has ended already.",)
        return (
            f"The run {run.run_id} of {run.row.scope.principal} on {run.row.model or run.row.model_asked} is cancelled;"
            " what it used so far is charged.",
        )

    return RemedyAct(act, check, preview)


def probe_provider(engine: "Engine") -> RemedyAct:
    """Asks a provider for a sign of life; verified where it answers."""

    async def act(incident: IncidentRecord, attempt: Attempt) -> str:
        provider = engine.registry.providers.get(incident.subject)
        if provider is None:
            raise NotFoundError(f"No provider {incident.subject} is configured any more.")
        error = await engine.care.upkeep.ask(provider)
        if error is not None:
            raise PalyraError(str(error))
        return "it answers"

    def check(incident: IncidentRecord, attempt: Attempt) -> Checked:
        closed = engine.breakers.of(incident.subject).state is BreakerState.CLOSED
        return Checked(Status.VERIFIED if closed else Status.WAITING, "", attempt.started_at)

    def preview(incident: IncidentRecord) -> Sequence[str]:
        return (f"The provider {incident.subject} is asked for its models, which costs nothing.",)

    return RemedyAct(act, check, preview, lambda incident: incident.subject in engine.registry.providers)


def redispatch_task(engine: "Engine", healing: Healing) -> RemedyAct:
    """The old attempt ends, and the next one beats."""

    def check(incident: IncidentRecord, attempt: Attempt) -> Checked:
        row = engine.tasks.desk.book.get(incident.subject)
        if row is None:
            return Checked(Status.VERIFIED, "the task has ended")
        if row.state is not TaskState.RUNNING:
            return Checked(Status.WAITING, "it is queued", None)
        beats = healing.heartbeats.get(WorkHeartbeatKind.BACKGROUND_TASK, row.task_id)
        began = row.started_at if row.attempt == 1 else row.updated_at
        age = None if beats is None else healing.heartbeats.now() - beats.first_seen
        since = attempt.started_at or attempt.planned_at
        fresh = age is not None and age <= engine.clock.now_ms() - since
        return Checked(Status.VERIFIED if fresh else Status.WAITING, "", max(began or 0, since))

    def preview(incident: IncidentRecord) -> Sequence[str]:
        return (f"The run of task {incident.subject} is cancelled, and the task waits for its next attempt.",)

    return RemedyAct(_stop_task(engine), check, preview, lambda incident: _attempts_left(engine, incident.subject) > 0)


def fail_task(engine: "Engine") -> RemedyAct:
    """Stops a task that has no attempt left."""

    def check(incident: IncidentRecord, attempt: Attempt) -> Checked:
        return helped(engine.tasks.desk.book.get(incident.subject) is None, attempt)

    def preview(incident: IncidentRecord) -> Sequence[str]:
        return (f"The run of task {incident.subject} is cancelled, and the task fails: no attempt is left.",)

    return RemedyAct(_stop_task(engine), check, preview, lambda incident: _attempts_left(engine, incident.subject) <= 0)


def _stop_task(engine: "Engine") -> Act:
    async def act(incident: IncidentRecord, attempt: Attempt) -> str:
        if not engine.tasks.redispatch(incident.subject):
            raise NotFoundError(f"Nobody works on task {incident.subject} any more.")
        return "its run was asked to stop"

    return act


def _attempts_left(engine: "Engine", task_id: str) -> int:
    row = engine.tasks.desk.book.get(task_id)
    return 0 if row is None else row.max_attempts - row.attempt


def retry_task(engine: "Engine") -> RemedyAct:
    """Queues a failed task once more; verified by how that ends."""

    async def act(incident: IncidentRecord, attempt: Attempt) -> str:
        await engine.tasks.desk.retry(incident.subject, _by(attempt), "remedy")
        return "it is queued again"

    def check(incident: IncidentRecord, attempt: Attempt) -> Checked:
        row = engine.tasks.desk.newest(incident.subject)
        if row is None:
            return Checked(Status.FAILED, "nobody knows how it ended")
        if not row.state.terminal:
            return Checked(Status.WAITING)
        done = row.state is TaskState.COMPLETED
        return Checked(Status.VERIFIED if done else Status.FAILED, f"the task is {row.state} {row.reason}".rstrip())

    def preview(incident: IncidentRecord) -> Sequence[str]:
        return (f"The task {incident.subject} is queued with fresh attempts.",)

    return RemedyAct(act, check, preview)


def task_remedies(engine: "Engine", healing: Healing) -> dict[str, RemedyAct]:
    """The remedies of tasks, by name."""
    return {
        "redispatch_task": redispatch_task(engine, healing),
        "fail_task": fail_task(engine),
        "retry_task": retry_task(engine),
    }


def job_remedies(jobs: "Jobs") -> dict[str, RemedyAct]:
    """Of the scheduler's incidents; their subjects are jobs."""
    scheduler = jobs.scheduler

    def named(incident: IncidentRecord) -> str:
        lane = jobs.roster.get(incident.subject)
        return incident.subject if lane is None else lane.job.name

    def state(incident: IncidentRecord) -> JobState | None:
        lane = jobs.roster.get(incident.subject)
        return None if lane is None else lane.job.state

    async def stop_fire(incident: IncidentRecord, attempt: Attempt) -> str:
        if not scheduler.stop_fire(incident.subject, SELF_HEALING, _by(attempt)):
            raise NotFoundError(f"No fire of the job {named(incident)} is under way any more.")
        return "its attempt was asked to stop"

    def stopped(incident: IncidentRecord, attempt: Attempt) -> Checked:
        lane = jobs.roster.get(incident.subject)
        head = None if lane is None else lane.head
        return helped(head is None or scheduler.running(head.fire_id) is None, attempt)

    async def rearm(incident: IncidentRecord, attempt: Attempt) -> str:
        jobs.roster.rearm()
        scheduler.wake()
        return "it is planned anew"

    def planned(incident: IncidentRecord, attempt: Attempt) -> Checked:
        late = {job_id for job_id, _ in scheduler.overdue(scheduler.clock.now_ms())}
        return helped(incident.subject not in late, attempt)

    async def reset(incident: IncidentRecord, attempt: Attempt) -> str:
        await jobs.acts.reset(incident.subject, _by(attempt))
        return "it is planned from now on"

    async def pause(incident: IncidentRecord, attempt: Attempt) -> str:
        await jobs.acts.pause(incident.subject, "it fails again and again", _by(attempt))
        return "it is paused"

    return {
        "stop_fire": RemedyAct(
            stop_fire,
            stopped,
            lambda incident: (f"The attempt of {named(incident)} is cancelled; its own rule decides about another.",),
        ),
        "rearm_job": RemedyAct(rearm, planned, lambda incident: (f"The slots of {named(incident)} are planned anew.",)),
        "reset_job": RemedyAct(
            reset,
            lambda incident, attempt: helped(state(incident) is not JobState.FAULTED, attempt),
            lambda incident: (f"The job {named(incident)} is planned from now on.",),
        ),
        "pause_job": RemedyAct(
            pause,
            lambda incident, attempt: helped(state(incident) is JobState.PAUSED, attempt),
            lambda incident: (f"The job {named(incident)} is paused until somebody resumes it.",),
        ),
    }
