"""Jobs and fires as tests need them."""

from dataclasses import replace
from typing import Any

from palyra.journal.job_rows import FireRow, JobRow, JobSource, Trigger
from palyra.scheduler.schedule import Schedule, ScheduleKind, times_of

T0 = 1_795_348_800_000
"""2026-11-22T12:00:00Z"""
RULES = frozenset(
    {
        "jitter_ms",
        "misfire",
        "max_lateness",
        "concurrency",
        "max_attempts",
        "backoff_ms",
        "max_duration",
        "max_runs",
        "remember",
        "recall",
    }
)


def a_job(job_id: str = "j1", **changes: Any) -> JobRow:
    """Every minute from T0, unless told otherwise; rules are given by their names."""
    rules = {name: changes.pop(name) for name in list(changes) if name in RULES}
    row = JobRow(
        job_id=job_id,
        revision=1,
        version=1,
        name=job_id,
        name_key=job_id,
        source=JobSource.OPERATOR,
        schedule="every",
        expression="1m",
        timezone="UTC",
        action="prompt",
        work={"prompt": "Say hello.", "model": "auto"},
        owner="ann",
        session=f"job:{job_id}",
        created_at=T0,
        updated_at=T0,
        created_by="ann",
        anchor=T0,
        planned_after=T0,
        rules=rules,
    )
    row = replace(row, **changes)
    if "next_slot" not in changes:
        times = times_of(Schedule(ScheduleKind(row.schedule), row.expression, row.timezone), row.anchor)
        slot = times.after(row.planned_after)
        row = replace(row, next_slot=slot, release_at=slot)
    return row


def a_fire(fire_id: str = "f1", **changes: Any) -> FireRow:
    row = FireRow(fire_id, 1, "j1", 1, "boot", Trigger.SCHEDULE, T0 + 60_000, T0 + 60_000, T0 + 60_000)
    return replace(row, **changes)
