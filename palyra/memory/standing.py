"""How memory stands, in figures, and what of that is not as it should be."""

from palyra.core.values import value
from palyra.core.windows import DAY_MS
from palyra.journal.note_rows import MemoryUpkeepRow, NoteCounts

MINUTE_MS = 60_000
MAINTENANCE_MS = 5 * MINUTE_MS
"""How often maintenance is to be done."""
LATE_MS = 30 * MINUTE_MS
PENDING_MOST = 1_000


@value
class MemoryLimits:
    """`embeddings_model` is empty where vectors are made of the words alone. 0 means no limit."""

    enabled: bool = True
    embeddings_model: str = ""
    max_entries: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    ttl_days: int = 90
    vacuum_cron: str = "0 0 * * 0"


@value
class MemoryFigures:
    """What diagnostics tell. `expired_waiting` notes are in no answer any more and not yet deleted.

    `degraded_reason` says in words why searching is not as good or as quick as it could be. `codes`:
    maintenance_failed, maintenance_late, vacuum_overdue, vectors_pending. `last` is None before the first maintenance.
    """

    enabled: bool
    notes: int
    bytes: int
    by_scope: dict[str, int]
    vectors_indexed: int
    vectors_pending: int
    embeddings_model: str
    dimensions: int
    degraded_reason: str
    max_entries: int
    max_bytes: int
    ttl_days: int
    expired_waiting: int
    last: MemoryUpkeepRow | None
    maintenance_due_at: int
    vacuum_cron: str
    vacuumed_at: int | None
    vacuum_due_at: int | None
    vacuum_overdue: bool
    codes: tuple[str, ...]

    @property
    def degraded(self) -> bool:
        """Whether something is wrong with the memory."""
        return bool(self.codes or self.degraded_reason)


def figures(
    limits: MemoryLimits,
    counts: NoteCounts,
    last: MemoryUpkeepRow | None,
    *,
    now: int,
    model: str,
    dimensions: int,
    times: tuple[int | None, int | None],
    installed: int,
    troubles: tuple[str, ...],
) -> MemoryFigures:
    """`times` are the vacuum's latest instant and its next, `installed` when all of this began."""
    latest, next_vacuum = times
    vacuumed_at = None if last is None else last.vacuumed_at
    since = installed if vacuumed_at is None else vacuumed_at
    waiting = latest if latest is not None and since < latest else None
    due_at = (installed if last is None else last.at) + MAINTENANCE_MS
    pending = counts.entries - counts.indexed
    codes = {
        "maintenance_failed": last is not None and bool(last.error),
        "maintenance_late": now - due_at > LATE_MS,
        "vacuum_overdue": waiting is not None and now - waiting > DAY_MS,
        "vectors_pending": pending > PENDING_MOST,
    }
    return MemoryFigures(
        enabled=limits.enabled,
        notes=counts.entries,
        bytes=counts.bytes,
        by_scope=counts.by_scope,
        vectors_indexed=counts.indexed,
        vectors_pending=pending,
        embeddings_model=model,
        dimensions=dimensions,
        degraded_reason="; ".join(trouble for trouble in troubles if trouble),
        max_entries=limits.max_entries,
        max_bytes=limits.max_bytes,
        ttl_days=limits.ttl_days,
        expired_waiting=counts.expired,
        last=last,
        maintenance_due_at=due_at,
        vacuum_cron=limits.vacuum_cron,
        vacuumed_at=vacuumed_at,
        vacuum_due_at=next_vacuum if waiting is None else waiting,
        vacuum_overdue=codes["vacuum_overdue"],
        codes=tuple(code for code, true in codes.items() if true) if limits.enabled else (),
    )
