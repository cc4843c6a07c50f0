"""Jobs and tasks of the fake engine, what asking for them tells, and what acting on them does."""

from dataclasses import replace
from typing import Any

from palyra.control.jobs_commands import (
    AddJob,
    CancelFire,
    DeleteJob,
    EditJob,
    JobCommand,
    PauseJob,
    ResetJob,
    ResumeJob,
    ReviewFire,
    TriggerJob,
)
from palyra.control.jobs_queries import (
    FireView,
    InstantView,
    JobDetail,
    JobQuery,
    JobView,
    ScheduleAnswer,
    ScheduleQuery,
)
from palyra.control.snapshots import CommandResult
from palyra.control.task_commands import ActOnTasks
from palyra.control.task_queries import TaskDetail, TaskQuery, TaskRunView, TaskView
from palyra.core.errors import NotFoundError
from tests.tui.fake_views import CENT, HOUR, MINUTE, NOW, SECOND, ident

Jobs = tuple[JobView, ...]
Tasks = tuple[TaskView, ...]


def job(number: int, name: str, **changes: Any) -> JobView:
    fields: dict[str, Any] = {
        "job_id": ident(9000 + number),
        "version": 2,
        "name": name,
        "source": "operator",
        "schedule": "cron",
        "expression": "0 9 * * mon-fri",
        "timezone": "Europe/Prague",
        "action": "prompt",
        "what": "asks auto: Write the digest of yesterday",
        "owner": "jobs",
        "state": "active",
        "why": "",
        "state_by": "",
        "state_at": NOW - HOUR,
        "next_slot": NOW + 22 * HOUR + number * MINUTE,
        "release_at": NOW + 22 * HOUR + number * MINUTE,
        "fired": 41,
        "failures": 0,
        "concurrency": "forbid",
        "misfire": "skip",
        "last_state": "completed",
        "last_at": NOW - 2 * HOUR,
        "lateness_ms": 12,
    }
    return JobView(**{**fields, **changes})


def task(number: int, state: str, **changes: Any) -> TaskView:
    ended = state in ("completed", "failed", "cancelled", "expired")
    fields: dict[str, Any] = {
        "task_id": ident(9500 + number),
        "version": 4,
        "task_kind": "background_prompt",
        "source": "cli",
        "state": state,
        "owner": "maria",
        "session": "digest",
        "created_at": NOW - 3 * MINUTE,
        "updated_at": NOW - MINUTE,
        "dedupe_key": "",
        "channel": "",
        "agent": "",
        "job": "",
        "tags": {},
        "fire_id": "",
        "parent_run_id": "",
        "parent_task_id": "",
        "keep": False,
        "model": "openai/gpt-5.4-mini",
        "token_budget": 8_192,
        "remember": False,
        "priority": 0,
        "not_before": NOW - 3 * MINUTE,
        "expires_at": None,
        "timeout_ms": 10 * MINUTE,
        "attempt": 0 if state == "queued" else 1,
        "max_attempts": 3,
        "backoff_ms": 1_000,
        "interruptions": 0,
        "boot_id": ident(1),
        "worker_id": "w1",
        "fence": 1,
        "lease_until": None,
        "target_run_id": ident(2003),
        "tokens": 812,
        "reason": "attempts_exhausted" if state == "failed" else "",
        "error": "the provider timed out" if state == "failed" else "",
        "decision_id": "",
        "started_at": None if state == "queued" else NOW - 2 * MINUTE,
        "finished_at": NOW - MINUTE if ended else None,
        "waits": "worker_limit" if state == "queued" else "",
    }
    return TaskView(**{**fields, **changes})


def morning_jobs() -> Jobs:
    """One well, one that runs, one paused, one faulted, one with missed slots, one of the file, one of the system."""
    return (
        job(1, "digest"),
        job(2, "hourly-check", schedule="every", expression="1h", active="running", active_fire=ident(9201), waiting=1),
        job(3, "idle", state="paused", next_slot=None, why="quiet week", state_by="pavel"),
        job(4, "broken", state="faulted", next_slot=None, why="its zone is unknown", last_state="failed", failures=5),
        job(5, "missed", review_id=ident(9205), review_slots=120, misfire="catch_up"),
        job(6, "from-file", source="config", last_state="denied", last_reason="budget_exceeded"),
        job(7, "journal-checkpoint", source="system", action="system", what="checkpoints the journal", owner="system"),
    )


def morning_tasks() -> Tasks:
    return (task(1, "running"), task(2, "queued"), task(3, "failed"))


def many_jobs(count: int = 500) -> Jobs:
    states = ("active", "active", "paused", "faulted")
    return tuple(job(number, f"job-{number:03d}", state=states[number % 4]) for number in range(count))


def evil_jobs(text: str) -> Jobs:
    named: dict[str, Any] = dict.fromkeys(("expression", "timezone", "what", "owner", "why", "state_by"), text)
    return tuple(replace(one, name=f"{text}{number}", **named) for number, one in enumerate(morning_jobs()))


def evil_tasks(text: str) -> Tasks:
    named: dict[str, Any] = dict.fromkeys(("owner", "session", "model", "reason", "error", "waits"), text)
    return tuple(replace(one, **named) for one in morning_tasks())


def instants(zone: str = "Europe/Prague", count: int = 10) -> tuple[InstantView, ...]:
    days = [NOW + 22 * HOUR + number * 24 * HOUR for number in range(count)]
    marks = ("", "", "back")
    return tuple(InstantView(at, f"2026-11-{23 + n % 7} 09:00:00", "+01:00", marks[n % 3]) for n, at in enumerate(days))


def fire(number: int, state: str, **changes: Any) -> FireView:
    fields: dict[str, Any] = {
        "fire_id": ident(9200 + number),
        "job_id": ident(9001),
        "job_name": "digest",
        "trigger": "schedule",
        "slot": NOW - number * 24 * HOUR,
        "release_at": NOW - number * 24 * HOUR,
        "created_at": NOW - number * 24 * HOUR,
        "state": state,
        "reason": "" if state == "completed" else "provider_timeout",
        "by": "",
        "coalesced": 0,
        "covers_through": None,
        "dispatched_at": NOW - number * 24 * HOUR + 12,
        "lateness_ms": 12,
        "retry_at": None,
        "attempts": 1,
        "work_ids": (ident(2003),),
        "input_tokens": 400,
        "output_tokens": 90,
        "cost_nano_usd": 3 * CENT,
        "error": "",
        "detail": {},
        "finished_at": NOW - number * 24 * HOUR + 4 * SECOND,
    }
    return FireView(**{**fields, **changes})


def jobs_told(
    query: JobQuery | TaskQuery | ScheduleQuery, jobs: Jobs, tasks: Tasks, text: str
) -> JobDetail | TaskDetail | ScheduleAnswer:
    """What the engine answers; an expression with `99` in it is wrong."""
    match query:
        case JobQuery():
            found = next((one for one in jobs if one.job_id == query.job), None)
            if found is None:
                raise NotFoundError(f"There is no job {query.job}.")
            fires = (fire(1, "completed"), replace(fire(2, "failed"), error=text or "no answer in 60 s"))
            fields = {"prompt": text or "Write the digest of yesterday", "model": "auto"}
            return JobDetail(found, fields, instants(), fires, NOW - HOUR, text or "pavel", 1, 1_000, 600_000, 0, "s")
        case TaskQuery():
            known = next((one for one in tasks if one.task_id == query.task_id), None)
            if known is None:
                raise NotFoundError(f"There is no task {query.task_id}.")
            run = TaskRunView(ident(2003), 1, "completed", "stop", "openai/gpt-5.4-mini", CENT, NOW - MINUTE, NOW)
            return TaskDetail(known, text or "Write a digest", {}, (run,), text or None, heartbeat_age_ms=3 * SECOND)
        case ScheduleQuery():
            if "99" in query.expression:
                problem = f"{query.expression}: 99 is no minute"
                return ScheduleAnswer(query.expression, query.timezone, NOW, (), (problem,))
            return ScheduleAnswer(query.expression, query.timezone, NOW, instants(query.timezone, query.count))


def job_done(command: JobCommand, jobs: Jobs) -> tuple[Jobs, CommandResult]:
    """The jobs after a command, and what the engine says to it."""
    match command:
        case AddJob(fields=fields):
            made = job(90, fields["name"])
            text = f"Job {fields['name']} is planned."
            return (*jobs, made), CommandResult("accepted", text, data={"job_id": made.job_id})
        case PauseJob():
            return _with(jobs, command.job, state="paused"), CommandResult("accepted", "It is paused.")
        case ResumeJob() | ResetJob():
            return _with(jobs, command.job, state="active"), CommandResult("accepted", "It is planned again.")
        case DeleteJob():
            return tuple(one for one in jobs if one.job_id != command.job), CommandResult("accepted", "It is deleted.")
        case CancelFire():
            return _with(jobs, command.job, active="", active_fire=""), CommandResult(
                "accepted", "Its fire is stopped."
            )
        case ReviewFire():
            after = tuple(replace(one, review_id="", review_slots=0) for one in jobs)
            return after, CommandResult("accepted", f"Decided: {command.decision}.")
        case TriggerJob() | EditJob():
            return jobs, CommandResult("accepted", "Done.")


def _with(jobs: Jobs, job_id: str, **changes: Any) -> Jobs:
    return tuple(replace(one, version=one.version + 1, **changes) if one.job_id == job_id else one for one in jobs)


def task_done(command: ActOnTasks, tasks: Tasks) -> tuple[Tasks, CommandResult]:
    after = {"pause": "paused", "resume": "queued", "cancel": "cancelled", "retry": "queued"}[command.verb]
    changed = tuple(
        replace(one, state=after, version=one.version + 1) if one.task_id in command.task_ids else one for one in tasks
    )
    return changed, CommandResult("accepted", f"The task is {after}.")
