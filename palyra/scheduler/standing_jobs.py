"""Jobs that nobody adds by hand: the system's own, and those of the configuration file. Looked at at each start, the
file's also when it is read again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from palyra.config.operations import JobConfig, Maintenance
from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.job_rows import JOB_FIRES, JobRow, JobSource, JobState
from palyra.scheduler import troubles
from palyra.scheduler.job_input import RESERVED, JobDraft, from_config
from palyra.scheduler.lane import Lane
from palyra.scheduler.schedule import Schedule, ScheduleKind
from palyra.scheduler.scheduler import Scheduler

SYSTEM = "system"
CONFIG = "palyra.toml"
SYSTEM_SCHEDULES = {
    Maintenance.MEMORY_MAINTENANCE: Schedule(ScheduleKind.EVERY, "5m"),
    Maintenance.JOURNAL_CHECKPOINT: Schedule(ScheduleKind.EVERY, "5m"),
    Maintenance.JOURNAL_VACUUM: Schedule(ScheduleKind.CRON, "30 3 * * *"),
    Maintenance.HEALTH_CHECK: Schedule(ScheduleKind.EVERY, "1m"),
    Maintenance.MODEL_DISCOVERY: Schedule(ScheduleKind.EVERY, "5m"),
    Maintenance.APPROVALS_SWEEP: Schedule(ScheduleKind.EVERY, "30s"),
    Maintenance.ROLLUP_CHECK: Schedule(ScheduleKind.CRON, "15 3 * * *"),
}
JOB_REMOVED = "job_removed"
OFF_IN_FILE = "enabled = false in the configuration file"
AT_START = frozenset({Maintenance.MEMORY_MAINTENANCE})


@value
class Synchronised:
    """How many jobs of the configuration were added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0


def add_system_jobs(scheduler: Scheduler) -> None:
    """Those that are missing are made; whatever an operator has changed of the others stays."""
    for action, schedule in SYSTEM_SCHEDULES.items():
        name = f"{RESERVED}{action}"
        lane = scheduler.roster.find(name)
        if lane is None:
            fields = {"action": "maintenance", "work": {"maintenance": action.value}, "owner": SYSTEM}
            draft = JobDraft(name, schedule, {**fields, "session": f"job:{name}", "labels": {}, "rules": {}})
            lane = add_job(scheduler, draft, JobSource.SYSTEM, SYSTEM)
        if scheduler.settings.enabled and action in AT_START and lane.job.state is JobState.ACTIVE and not lane.fires:
            row, _ = scheduler.roster.manual(lane, SYSTEM, None, scheduler.clock.now_ms())
            scheduler.admitted(lane, row, [JOB_FIRES.saved(row)], replaces=False)


def synchronise(scheduler: Scheduler, rows: Sequence[JobConfig]) -> Synchronised:
    """Makes the file's jobs what the file says. What it no longer has goes; pauses by operators stay."""
    wanted = {row.name.casefold(): row for row in rows}
    done = {"added": 0, "changed": 0, "removed": 0}
    for lane in [lane for lane in scheduler.roster if lane.job.source is JobSource.CONFIG]:
        if lane.job.name_key not in wanted:
            remove(scheduler, lane)
            done["removed"] += 1
    for key, row in wanted.items():
        draft, known = from_config(row), scheduler.roster.find(key)
        if known is not None and known.job.source is not JobSource.CONFIG:
            # The file has taken an operator's name.
            remove(scheduler, known)
            known = None
        if known is None:
            known = add_job(scheduler, draft, JobSource.CONFIG, CONFIG)
            done["added"] += 1
        elif _differs(known.job, draft):
            change_job(scheduler, known, draft)
            done["changed"] += 1
        _switch(scheduler, known, row.enabled)
    return Synchronised(**done)


def _switch(scheduler: Scheduler, lane: Lane, enabled: bool) -> None:
    now, roster = scheduler.clock.now_ms(), scheduler.roster
    if not enabled and lane.job.state is JobState.ACTIVE:
        scheduler.write(lane.job.job_id, roster.pause(lane, OFF_IN_FILE, CONFIG, now))
    elif enabled and lane.job.state is JobState.PAUSED and lane.job.why == OFF_IN_FILE:
        scheduler.write(lane.job.job_id, [roster.plan_from(lane, now)])


def _differs(job: JobRow, draft: JobDraft) -> bool:
    return schedule_of(job) != draft.schedule or any(getattr(job, name) != told for name, told in draft.fields.items())


def schedule_of(job: JobRow) -> Schedule:
    """The schedule that a job's row holds."""
    return Schedule(ScheduleKind(job.schedule), job.expression, job.timezone)


def add_job(scheduler: Scheduler, draft: JobDraft, source: JobSource, by: str) -> Lane:
    """A new job, planned from now on."""
    now, roster = scheduler.clock.now_ms(), scheduler.roster
    schedule = draft.schedule
    row = JobRow(
        job_id=scheduler.ids.new(),
        revision=0,
        version=1,
        name=draft.name,
        name_key=draft.name.casefold(),
        source=source,
        schedule=schedule.kind.value,
        expression=schedule.expression,
        timezone=schedule.timezone,
        created_at=now,
        updated_at=now,
        created_by=by,
        anchor=now if draft.anchor is None else draft.anchor,
        **draft.fields,
    )
    lane = roster.take_in(row)
    scheduler.write(row.job_id, [roster.plan_from(lane, now)])
    scheduler.wake()
    return lane


def change_job(scheduler: Scheduler, lane: Lane, draft: JobDraft) -> None:
    """Planned anew from now on; a changed schedule counts from now, or from the anchor that is given."""
    now, job, schedule = scheduler.clock.now_ms(), lane.job, draft.schedule
    changes: dict[str, Any] = {
        **draft.fields,
        "name": draft.name,
        "name_key": draft.name.casefold(),
        "schedule": schedule.kind.value,
        "expression": schedule.expression,
        "timezone": schedule.timezone,
        "version": job.version + 1,
        "updated_at": now,
    }
    if schedule_of(job) != schedule or draft.anchor is not None:
        changes["anchor"] = now if draft.anchor is None else draft.anchor
    unit: list[Change]
    if job.state is JobState.PAUSED:
        unit = [scheduler.roster.save(lane, **changes)]
    else:
        counted_anew = replace(job, rules=draft.fields["rules"]).max_runs != job.max_runs
        unit = [scheduler.roster.plan_from(lane, now, **changes, **({"fired": 0} if counted_anew else {}))]
    scheduler.write(job.job_id, unit)
    scheduler.clear(troubles.key(job.job_id, troubles.FAULTED))
    scheduler.wake()


def remove(scheduler: Scheduler, lane: Lane) -> None:
    """The job goes; fires of it that have not ended are cancelled. What it did stays."""
    job_id = lane.job.job_id
    unit = scheduler.dismiss(lane, JOB_REMOVED, CONFIG)
    scheduler.write(job_id, [*unit, *scheduler.roster.forget(job_id)])
    troubles.clear_all(scheduler.clear, job_id)
