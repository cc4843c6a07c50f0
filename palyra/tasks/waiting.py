"""Why a task waits, in one word."""

from enum import StrEnum

from palyra.journal.task_rows import TaskRow, TaskState, Waits


class WhyItWaits(StrEnum):
    """What a task that does not run is waiting for."""

    NOT_BEFORE = "not_before"
    BACKOFF = "backoff"
    WORKER_LIMIT = "worker_limit"
    PARENT_LIMIT = "parent_limit"
    PROVIDER_LEASE = "provider_lease"
    APPROVAL = "approval"
    PAUSED = "paused"


def why_it_waits(row: TaskRow, now: int, *, workers_free: bool, parent_full: bool, parked: bool) -> WhyItWaits | None:
    """None where it does not wait, or waits only for the next turn of the queue."""
    if row.state is TaskState.PAUSED:
        return WhyItWaits.PAUSED
    if row.state is TaskState.RUNNING:
        return WhyItWaits.APPROVAL if parked else None
    if row.state is not TaskState.QUEUED:
        return None
    if row.not_before > now:
        later = {Waits.BACKOFF: WhyItWaits.BACKOFF, Waits.PROVIDER_LEASE: WhyItWaits.PROVIDER_LEASE}
        return later.get(row.waits, WhyItWaits.NOT_BEFORE)
    if parent_full:
        return WhyItWaits.PARENT_LIMIT
    return None if workers_free else WhyItWaits.WORKER_LIMIT
