"""Short jobs of the writing connection that keep the file small: checkpoints, and rows that are old enough to go.

Each takes a few milliseconds, so that commits go in between.
"""

import sqlite3
from collections.abc import Callable

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.core.windows import DAY_MS
from palyra.journal.connection import BUSY_SECONDS, Connection

FIRES_KEPT_MS = 90 * DAY_MS
FIRES_KEPT_OF_EACH = 20
STEP_ROWS = 200


@value
class Checkpointed:
    """Pages in the WAL, and how many of them are in the database by now. `busy`: somebody reads, the rest comes
    later."""

    pages: int
    moved: int
    busy: bool


async def checkpoint(connection: Connection) -> Checkpointed:
    """Copies what it can without waiting for anybody. Raises sqlite3.Error."""
    busy, pages, moved = await connection.run(_checkpoint)
    return Checkpointed(max(0, pages), max(0, moved), bool(busy))


def _checkpoint(database: sqlite3.Connection) -> tuple[int, int, int]:
    database.execute("PRAGMA busy_timeout = 0")
    try:
        (row,) = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    finally:
        database.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000):d}")
    return int(row[0]), int(row[1]), int(row[2])


async def forget_old_fires(connection: Connection, clock: Clock) -> int:
    """Fires that ended 90 days ago, and system fires that changed nothing, but for the newest 20 of each job; their
    attempts with them. How many went. Raises sqlite3.Error."""
    before = clock.now_ms() - FIRES_KEPT_MS
    gone = 0
    jobs = await connection.run(_jobs_with_fires)
    for job_id in jobs:
        while True:
            count = await connection.run(_old_fires(job_id, before))
            gone += count
            if count < STEP_ROWS:
                break
    return gone


def _jobs_with_fires(database: sqlite3.Connection) -> list[str]:
    return [job_id for (job_id,) in database.execute("SELECT DISTINCT job_id FROM job_fires").fetchall()]


_OLD = f"""
SELECT fire_id FROM job_fires AS old
WHERE job_id = ?1 AND finished_at IS NOT NULL
  AND seq < (SELECT seq FROM job_fires WHERE job_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET {FIRES_KEPT_OF_EACH - 1})
  AND (finished_at < ?2 OR (changed = 0 AND EXISTS (
    SELECT 1 FROM jobs WHERE jobs.job_id = ?1 AND jobs.source = 'system')))
ORDER BY seq LIMIT {STEP_ROWS}
"""


def _old_fires(job_id: str, before: int) -> Callable[[sqlite3.Connection], int]:
    def job(database: sqlite3.Connection) -> int:
        found = database.execute(_OLD, (job_id, before)).fetchall()
        if not found:
            return 0
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany("DELETE FROM job_attempts WHERE fire_id = ?", found)
            database.executemany("DELETE FROM job_fires WHERE fire_id = ?", found)
            database.execute("COMMIT")
        except BaseException:
            database.rollback()
            raise
        return len(found)

    return job
