"""Jobs, tasks and self-healing, as diagnostics tell of them: out of memory alone."""

import heapq
from collections import Counter
from typing import TYPE_CHECKING

from palyra.core.conditions import Severity
from palyra.core.pulse import WorkHeartbeatKind
from palyra.core.spread import Spread
from palyra.diagnostics.work import (
    BeatCounts,
    FaultedJob,
    FireCounts,
    IncidentCounts,
    JobCounts,
    RecentAttempt,
    RecentIncident,
    SchedulerData,
    SelfHealingData,
    TasksData,
)
from palyra.healing.features import ENGINE, Feature
from palyra.healing.heartbeats import PARKED
from palyra.healing.record import IncidentState
from palyra.healing.verdicts import Verdict
from palyra.journal.job_rows import FireState, JobState
from palyra.journal.task_rows import TaskState
from palyra.scheduler.zone_changes import rules_version
from palyra.tasks.ends import POISON
from palyra.tasks.waiting import why_it_waits

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

DAY_MS = 86_400_000
RECENT = 32
FAULTED_SHOWN = 20


async def scheduler(engine: "Engine") -> SchedulerData:
    """Jobs, fires and the scheduler's tick."""
    run, now = engine.jobs.scheduler, engine.clock.now_ms()
    jobs: Counter[str] = Counter()
    fires: Counter[str] = Counter()
    ready = 0
    faulted: list[FaultedJob] = []
    for lane in run.roster:
        jobs[lane.job.state] += 1
        for fire in lane.fires:
            fires[fire.state] += 1
        fires[FireState.REVIEW] += lane.review is not None
        ready += lane.may_start(now)
        if lane.job.state is JobState.FAULTED and len(faulted) < FAULTED_SHOWN:
            faulted.append(FaultedJob(lane.job.name, lane.job.why))
    looked = run.jumps.looked_at
    return SchedulerData(
        enabled=engine.config.scheduler.enabled,
        running=engine.config.scheduler.enabled and looked is not None,
        jobs=JobCounts(*(jobs[state] for state in JobState)),
        fires=FireCounts(
            fires[FireState.PENDING], fires[FireState.RUNNING], fires[FireState.BACKOFF], fires[FireState.REVIEW]
        ),
        waiting_for_slot=ready if run.busy >= run.settings.max_concurrent else 0,
        next_release_at=run.roster.next_release(),
        lateness_p50_ms=_quantile(run.lateness, 0.5),
        lateness_p99_ms=_quantile(run.lateness, 0.99),
        last_tick_at=None if looked is None else looked[0],
        clock_jumps_total=run.jumps.total,
        zone_data_version=rules_version(),
        faulted=tuple(faulted),
        recent=engine.diagnosing.hearing.recent_fires(),
        tick_age_ms=engine.diagnosing.age_ms(None if looked is None else looked[1]),
    )


def _quantile(spread: Spread, part: float) -> int | None:
    found = spread.quantile(part)
    return None if found is None else round(1000 * found)


async def tasks(engine: "Engine") -> TasksData:
    """The background queue: states, why tasks wait, its workers."""
    queue, now = engine.tasks, engine.clock.now_ms()
    book = queue.desk.book
    states: Counter[str] = Counter()
    waits: Counter[str] = Counter()
    ready, free = 0, queue.free() > 0
    for row in book:
        states[row.state] += 1
        ready += row.state is TaskState.QUEUED and row.not_before <= now
        full = book.parent_full(row)
        why = why_it_waits(row, now, workers_free=free, parent_full=full, parked=queue.parked(row.task_id))
        if why is not None:
            waits[why.value] += 1
    oldest = book.oldest_ready(now)
    poisoned = sum(one.key.endswith(f":{POISON}") for one in engine.healing.book.live())
    return TasksData(
        by_state={state.value: states[state] for state in TaskState if not state.terminal},
        ready=ready,
        oldest_ready_ms=None if oldest is None else now - max(oldest.not_before, oldest.created_at),
        waiting_reasons=dict(waits),
        workers_busy=queue.busy,
        workers_total=engine.config.tasks.concurrency,
        leases_lapsed_total=queue.lapses,
        stale_fence_total=queue.stale_writes,
        poisoned=poisoned,
        throughput_5m=engine.diagnosing.hearing.tasks_ended.counts().total(),
    )


async def self_healing(engine: "Engine") -> SelfHealingData:
    """Incidents, remedies, heartbeats and the loop's own."""
    healing, now = engine.healing, engine.clock.now_ms()
    live = healing.book.live()
    told = [one for one in live if not one.quiet(now)]
    lately = []
    for record in healing.book.resolved():
        if now - (record.resolved_at or 0) > DAY_MS:
            break
        lately.append(record)
    beats: dict[str, Counter[str]] = {kind.value: Counter() for kind in WorkHeartbeatKind}
    oldest: int | None = None
    at = healing.heartbeats.now()
    for beat in healing.heartbeats:
        state = healing.watch.state(beat)
        silent = state in (Verdict.SILENT, Verdict.FAILING)
        beats[beat.kind][Verdict.SILENT if silent else state] += 1
        if beat.phase != PARKED:
            oldest = max(oldest or 0, at - beat.last_beat)
    newest = heapq.nlargest(RECENT, [*live, *lately], key=lambda one: (one.updated_at, one.incident_id))
    attempts = [attempt for record in newest for attempt in healing.attempts.of(record)]
    looked = healing.looked_s
    grave = [one.incident_id for one in told if one.severity in (Severity.HIGH, Severity.CRITICAL)]
    return SelfHealingData(
        mode=healing.modes.of(ENGINE).value,
        features={feature.value: healing.modes.of(feature).value for feature in Feature},
        circuits_open=tuple(sorted(healing.attempts.circuits(now))),
        heartbeats={
            kind: BeatCounts(counts[Verdict.HEALTHY], counts[Verdict.SILENT], counts[Verdict.STALLED])
            for kind, counts in beats.items()
        },
        oldest_beat_ms=oldest,
        incidents=IncidentCounts(
            open={one.value: sum(record.severity is one for record in live) for one in Severity},
            remediating=sum(record.state is IncidentState.REMEDIATING for record in live),
            resolved_24h=len(lately),
            unacknowledged=sum(record.acknowledged_at is None for record in told),
            snoozed=sum(record.snoozed_until is not None and now < record.snoozed_until for record in live),
        ),
        recent_incidents=tuple(
            RecentIncident(
                one.incident_id,
                one.key,
                one.severity.value,
                one.state.value,
                one.summary,
                one.opened_at,
                one.resolved_at,
                one.occurrence_count,
            )
            for one in newest
        ),
        recent_attempts=tuple(
            RecentAttempt(
                one.attempt_id,
                one.incident_id,
                one.remedy,
                one.status.value,
                one.detail,
                one.planned_at,
                one.ended_at,
            )
            for one in heapq.nlargest(RECENT, attempts, key=lambda one: (one.planned_at, one.attempt_id))
        ),
        last_cycle_at=healing.last_look_at,
        last_cycle_ms=None if looked is None else round(healing.last_look_ms),
        verdicts_suspended_until=healing.watch.suspended_until,
        cycle_age_ms=engine.diagnosing.age_ms(looked),
        grave=tuple(grave),
    )
