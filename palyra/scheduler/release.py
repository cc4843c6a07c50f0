"""When a slot is released: at its time, or a little later so that many jobs do not start as one. Always the same."""

from hashlib import sha256

from palyra.journal.job_rows import JobRow
from palyra.scheduler.schedule import Times


def jitter(job_id: str, slot: int, most: int) -> int:
    """0 to `most` ms: the first 8 bytes of SHA-256(`job_id:slot`) modulo (most + 1)."""
    if most <= 0:
        return 0
    return int.from_bytes(sha256(f"{job_id}:{slot}".encode()).digest()[:8]) % (most + 1)


def release_of(job: JobRow, times: Times, slot: int) -> int:
    """At most 1 ms before the slot that follows, so that slots are released in their order."""
    release = slot + jitter(job.job_id, slot, job.jitter_ms)
    if release == slot:
        return slot
    following = times.after(slot)
    return release if following is None else min(release, max(slot, following - 1))
