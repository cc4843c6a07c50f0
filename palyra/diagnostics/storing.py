"""Journal, notes and disks: what is told of them, and how they are. Times UTC unix ms, durations ms, sizes bytes."""

from collections.abc import Iterable

from palyra.core.values import value
from palyra.diagnostics.declared import Public, Text
from palyra.diagnostics.reasons import OFF, Judged, ReasonCode, judged, those, when

COMMIT_SLOW_MS = 250
WAL_LARGE = 256 * 1024 * 1024


@value
class WriterData:
    """`commit_*` and `batch_rows_p50` are of the newest commits; None before the first."""

    queue_rows: int
    oldest_wait_ms: int
    commits_total: int
    commit_p50_ms: int | None
    commit_p99_ms: int | None
    batch_rows_p50: int | None
    last_commit_at: int | None
    last_error: Text | None


@value
class CheckpointData:
    """Checkpoints of the journal: the last, UTC unix ms, and how many could not end."""

    last_at: int | None
    busy_total: int


@value
class AuditData:
    """`head_hash` is the newest link's digest. `last_verified_at`: when the whole chain was last compared, None: not
    since the start."""

    rows: int
    head_hash: Public
    last_verified_at: int | None
    ok: bool


@value
class RollupData:
    """All None: not compared since the start."""

    at: int | None
    ok: bool | None
    differences: int | None


@value
class JournalData:
    """`writing`: the newest write succeeded. `slow_ms`: for how long commits have been slow, 0 where they are not."""

    path: Public
    schema_version: int
    sqlite_version: Public
    bytes: int
    wal_bytes: int
    free_pages_ratio: float | None
    writer: WriterData
    checkpoint: CheckpointData
    audit: AuditData
    rollup_check: RollupData
    writing: bool = True
    slow_ms: int = 0


SLOW_FOR_MS = 60_000


def judge_journal(data: JournalData) -> Judged:
    """Failed where it cannot be written or its audit chain is broken, degraded where it is slow or large."""
    return judged(
        (*when(ReasonCode.WRITE_FAILED, not data.writing), *when(ReasonCode.AUDIT_BROKEN, not data.audit.ok)),
        (
            *when(ReasonCode.COMMIT_SLOW, data.slow_ms >= SLOW_FOR_MS),
            *when(ReasonCode.WAL_LARGE, data.wal_bytes > WAL_LARGE),
            *when(ReasonCode.ROLLUP_DIFFERS, data.rollup_check.ok is False),
        ),
    )


@value
class RetentionData:
    """None: no limit."""

    max_entries: int | None
    max_bytes: int | None
    ttl_days: int | None
    expired_waiting: int


@value
class MaintenanceData:
    """The last upkeep of the memory: times in UTC unix ms, sizes in bytes."""

    last_at: int | None
    took_ms: int | None
    deleted_expired: int | None
    deleted_capacity: int | None
    bytes_before: int | None
    bytes_after: int | None
    error: Text | None
    next_due_at: int


@value
class VacuumData:
    """The memory's vacuum; instants in UTC unix ms."""

    cron: Public
    last_at: int | None
    next_due_at: int | None
    overdue: bool


@value
class MemoryData:
    """`codes` are the reasons that memory found itself. `dimensions` None: nobody has made a vector yet."""

    enabled: bool
    notes: int
    bytes: int
    vectors_indexed: int
    vectors_pending: int
    embeddings_model: Public
    dimensions: int | None
    degraded_reason: Text | None
    retention: RetentionData
    maintenance: MaintenanceData
    vacuum: VacuumData
    codes: tuple[Public, ...] = ()


def judge_memory(data: MemoryData) -> Judged:
    """Degraded by each trouble the memory tells."""
    if not data.enabled:
        return OFF
    return judged((), tuple(one for code in data.codes for one in when(ReasonCode(code), True)))


@value
class FilesystemData:
    """`purpose`: state, config, temp. `free_inodes` None where the filesystem counts none. `turned_read_only`: it could
    be written earlier in this engine's life."""

    purpose: Public
    path: Public
    total_bytes: int
    free_bytes: int
    free_inodes: int | None
    read_only: bool
    turned_read_only: bool = False


@value
class DiskData:
    """`journal_growth_bytes_24h` None: it has not been watched for a day. `days_until_full` None: it does not grow, or
    nobody knows. `disk_low` and `disk_stop` are the limits of the configuration."""

    filesystems: tuple[FilesystemData, ...]
    journal_growth_bytes_24h: int | None
    days_until_full: float | None
    disk_low: int
    disk_stop: int


SMALL_LOW, SMALL_OUT = 10, 20
"""A disk that is not the state's may be small by nature: it has little room when neither the limits of the
configuration nor a tenth of it are left, and none below a twentieth."""


def judge_disk(data: DiskData) -> Judged:
    """The state's disk fails the house when it is full or cannot be written. Others only degrade it: nothing of it is
    lost there. One that was mounted for reading alone is as somebody wanted it."""
    state = [one for one in data.filesystems if one.purpose == "state"]
    others = [one for one in data.filesystems if one not in state]
    kept_as_it_is = [one for one in others if one.read_only and not one.turned_read_only]
    writable = [one for one in others if one not in kept_as_it_is]

    def named(found: Iterable[FilesystemData]) -> list[str]:
        return [one.purpose for one in found]

    full = [one for one in state if _full(one, data.disk_stop)]
    full_too = [one for one in writable if _full(one, min(data.disk_stop, one.total_bytes // SMALL_OUT))]
    low = [one for one in state if one not in full and one.free_bytes < data.disk_low]
    low += [
        one
        for one in writable
        if one not in full_too and one.free_bytes < min(data.disk_low, one.total_bytes // SMALL_LOW)
    ]
    return judged(
        (
            *those(ReasonCode.SPACE_OUT, named(full)),
            *those(ReasonCode.READ_ONLY, named(one for one in state if one.read_only)),
        ),
        (
            *those(ReasonCode.SPACE_OUT, named(full_too)),
            *those(ReasonCode.READ_ONLY, named(one for one in others if one.turned_read_only)),
            *those(ReasonCode.SPACE_LOW, named(low)),
        ),
    )


def _full(one: FilesystemData, least: int) -> bool:
    """Without inodes nothing can be made on a disk either, however many bytes it has left."""
    return one.free_bytes < least or one.free_inodes == 0


def days_until_full(free: int, growth_24h: int | None) -> float | None:
    """In how many days a disk is full if the journal goes on growing as in the last one."""
    if growth_24h is None or growth_24h <= 0:
        return None
    return round(free / growth_24h, 1)
