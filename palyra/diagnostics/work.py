"""Jobs, tasks and self-healing: what is told of them, and how they are. Times UTC unix ms, durations ms."""

from palyra.core.values import value
from palyra.diagnostics.declared import Public, Text
from palyra.diagnostics.reasons import OFF, Judged, ReasonCode, judged, those, when

NO_TICK_MS = 5_000
STUCK_MS = 300_000
LOOP_SILENT_MS = 45_000
"""Three cycles."""


@value
class JobCounts:
    """Jobs by state."""

    active: int
    paused: int
    exhausted: int
    faulted: int


@value
class FireCounts:
    """Open fires by state."""

    pending: int
    running: int
    backoff: int
    review: int


@value
class FaultedJob:
    """A job that cannot be planned, and why."""

    job: Public
    error: Text


@value
class RecentFire:
    """A fire of the last hours; instants in UTC unix ms, lateness in ms."""

    fire_id: Public
    job: Public
    state: Public
    reason: Public
    trigger: Public
    release_at: int
    finished_at: int | None
    lateness_ms: int | None


@value
class SchedulerData:
    """`tick_age_ms` is how long ago it last looked or, where it never did, how long it could have; None before that."""

    enabled: bool
    running: bool
    jobs: JobCounts
    fires: FireCounts
    waiting_for_slot: int
    next_release_at: int | None
    lateness_p50_ms: int | None
    lateness_p99_ms: int | None
    last_tick_at: int | None
    clock_jumps_total: int
    zone_data_version: Public
    faulted: tuple[FaultedJob, ...]
    recent: tuple[RecentFire, ...]
    tick_age_ms: int | None = None


def judge_scheduler(data: SchedulerData) -> Judged:
    """Failed where it does not tick, degraded by jobs that need somebody."""
    if not data.enabled:
        return OFF
    silent = data.tick_age_ms is not None and data.tick_age_ms > NO_TICK_MS
    return judged(
        when(ReasonCode.NO_TICK, silent),
        (
            *those(ReasonCode.JOB_FAULTED, [one.job for one in data.faulted]),
            *when(ReasonCode.REVIEW_WAITING, data.fires.review > 0),
        ),
    )


@value
class TasksData:
    """`waiting_reasons` counts queued tasks by what they wait for; `poisoned` those that ended their worker too often
    within a day; `throughput_5m` those that ended in five minutes."""

    by_state: dict[Public, int]
    ready: int
    oldest_ready_ms: int | None
    waiting_reasons: dict[Public, int]
    workers_busy: int
    workers_total: int
    leases_lapsed_total: int
    stale_fence_total: int
    poisoned: int
    throughput_5m: int


def judge_tasks(data: TasksData) -> Judged:
    """Degraded where ready tasks wait beside idle workers, and by tasks that crash their workers."""
    idle = data.workers_busy < data.workers_total
    stuck = data.oldest_ready_ms is not None and data.oldest_ready_ms > STUCK_MS and idle
    return judged((), (*when(ReasonCode.QUEUE_STUCK, stuck), *when(ReasonCode.POISONED, data.poisoned > 0)))


@value
class BeatCounts:
    """Heartbeats by verdict."""

    live: int
    silent: int
    stalled: int


@value
class IncidentCounts:
    """Incidents: open by severity, and what is being done."""

    open: dict[Public, int]
    remediating: int
    resolved_24h: int
    unacknowledged: int
    snoozed: int


@value
class RecentIncident:
    """An incident of the last day; instants in UTC unix ms."""

    incident_id: Public
    key: Public
    severity: Public
    state: Public
    summary: Text
    opened_at: int
    resolved_at: int | None
    occurrences: int


@value
class RecentAttempt:
    """A remedy that was tried; instants in UTC unix ms."""

    attempt_id: Public
    incident_id: Public
    remedy: Public
    status: Public
    detail: Text
    planned_at: int
    ended_at: int | None


@value
class SelfHealingData:
    """`cycle_age_ms` is how long ago the loop last looked or, where it never did, could have. `circuits_open` are
    features whose remedies were begun too often. `grave`: ids of incidents that are high or critical, not snoozed."""

    mode: Public
    features: dict[Public, Public]
    circuits_open: tuple[Public, ...]
    heartbeats: dict[Public, BeatCounts]
    oldest_beat_ms: int | None
    incidents: IncidentCounts
    recent_incidents: tuple[RecentIncident, ...]
    recent_attempts: tuple[RecentAttempt, ...]
    last_cycle_at: int | None
    last_cycle_ms: int | None
    verdicts_suspended_until: int | None
    cycle_age_ms: int | None = None
    grave: tuple[Public, ...] = ()


def judge_self_healing(data: SelfHealingData) -> Judged:
    """Failed where the loop is silent, degraded by grave incidents and open circuits."""
    silent = data.cycle_age_ms is not None and data.cycle_age_ms > LOOP_SILENT_MS
    if data.mode == "disabled" and not silent and not data.grave:
        return OFF
    return judged(
        when(ReasonCode.LOOP_SILENT, silent),
        (
            *those(ReasonCode.INCIDENT_OPEN, list(data.grave)),
            *those(ReasonCode.CIRCUIT_OPEN, list(data.circuits_open)),
        ),
    )
