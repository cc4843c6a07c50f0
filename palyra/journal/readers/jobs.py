"""Jobs, their fires and the attempts of these."""

from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.journal.job_rows import JOB_ATTEMPTS, JOB_FIRES, JOBS, AttemptRow, FireRow, JobRow
from palyra.journal.readers.query import Query, readable, whole

MAX_PAGE = 500


@value
class FirePage:
    """Fires, the newest first, and where the next page begins."""

    fires: tuple[FireRow, ...]
    next_cursor: str = ""


class JobReaders(Query):
    """Reads jobs and fires."""

    async def jobs(self) -> tuple[JobRow, ...]:
        """All of them, as they were made."""
        return await self._readable(JOBS, "jobs ORDER BY seq LIMIT -1")

    async def job(self, job_id: str) -> JobRow | None:
        """The job of that id."""
        found = await self._readable(JOBS, "jobs WHERE job_id = ? LIMIT 1", (job_id,))
        return found[0] if found else None

    async def unreadable_jobs(self) -> tuple[str, ...]:
        """The ids of jobs with a payload that cannot be read."""
        return await self._unreadable(JOBS, "1")

    async def unreadable_fires(self) -> tuple[str, ...]:
        """The ids of fires that have not ended with a payload that cannot be read."""
        return await self._unreadable(JOB_FIRES, "finished_at IS NULL")

    async def open_fires(self, job_id: str = "") -> tuple[FireRow, ...]:
        """Those that have not ended, of one job or of all, as they were made."""
        of_one = " AND job_id = ?" if job_id else ""
        return await self._readable(
            JOB_FIRES,
            f"job_fires WHERE finished_at IS NULL{of_one} ORDER BY seq LIMIT -1",
            (job_id,) if job_id else (),
        )

    async def fire(self, fire_id: str) -> FireRow | None:
        """The fire of that id."""
        found = await self._readable(JOB_FIRES, "job_fires WHERE fire_id = ? LIMIT 1", (fire_id,))
        return found[0] if found else None

    async def fire_of_slot(self, job_id: str, slot: int) -> FireRow | None:
        """The fire of a job's slot, UTC unix ms."""
        found = await self._readable(JOB_FIRES, "job_fires WHERE job_id = ? AND slot = ? LIMIT 1", (job_id, slot))
        return found[0] if found else None

    async def fire_of_key(self, job_id: str, key: str) -> FireRow | None:
        """The fire that somebody asked for with this key."""
        found = await self._readable(JOB_FIRES, "job_fires WHERE job_id = ? AND key = ? LIMIT 1", (job_id, key))
        return found[0] if found else None

    async def fires(
        self, job_id: str = "", *, state: str = "", since: int | None = None, limit: int = 50, cursor: str = ""
    ) -> FirePage:
        """At most `limit` (500) fires, newest first. Raises BadInputError for a cursor that no page gave."""
        limit = max(1, min(limit, MAX_PAGE))
        wanted = {"job_id = ?": job_id or None, "state = ?": state or None, "created_at >= ?": since}
        conditions = [text for text, given in wanted.items() if given is not None]
        parameters: list[object] = [given for given in wanted.values() if given is not None]
        if cursor:
            try:
                parameters.append(whole(cursor))
            except ValueError:
                raise BadInputError(f"{cursor!r} is no cursor of a page.", fix="Start again without one.") from None
            conditions.append("seq < ?")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = (
            f"SELECT json_group_array(json_array(seq, {JOB_FIRES.table.array()})) FROM"
            f" (SELECT seq, {readable(JOB_FIRES)} FROM job_fires {where} ORDER BY seq DESC LIMIT ?)"
        )
        found = await self._listed(sql, lambda values: (values[0], JOB_FIRES.read(values[1])), (*parameters, limit + 1))
        following = str(found[limit - 1][0]) if len(found) > limit else ""
        return FirePage(tuple(row for _, row in found[:limit]), following)

    async def last_ended_fires(self) -> tuple[FireRow, ...]:
        """The newest fire of each job that has ended."""
        newest = "SELECT max(seq) FROM job_fires WHERE finished_at IS NOT NULL GROUP BY job_id"
        return await self._readable(JOB_FIRES, f"job_fires WHERE seq IN ({newest}) ORDER BY seq LIMIT -1")

    async def attempts(self, fire_id: str) -> tuple[AttemptRow, ...]:
        """Those of one fire, in order."""
        return await self._saved(JOB_ATTEMPTS, "WHERE fire_id = ? ORDER BY number LIMIT -1", (fire_id,))

    async def open_attempts(self) -> tuple[AttemptRow, ...]:
        """Those of fires that have not ended which have not ended themselves."""
        open_ones = "SELECT fire_id FROM job_fires WHERE finished_at IS NULL"
        return await self._saved(
            JOB_ATTEMPTS, f"WHERE fire_id IN ({open_ones}) AND ended_at IS NULL ORDER BY seq LIMIT -1"
        )
