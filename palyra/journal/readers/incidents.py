"""Incidents, their timelines, attempts and episodes."""

from palyra.journal.incident_rows import (
    ATTEMPTS,
    CIRCUITS,
    EPISODES,
    INCIDENTS,
    TIMELINE,
    Attempt,
    Circuit,
    Episode,
    IncidentRecord,
    TimelineEntry,
)
from palyra.journal.readers.query import Query

MAX_PAGE = 500


class IncidentReaders(Query):
    """Reads incidents."""

    async def incidents(self) -> tuple[IncidentRecord, ...]:
        """All of them, in the order in which they were first opened."""
        return await self._saved(INCIDENTS, "ORDER BY seq LIMIT -1")

    async def incident_timeline(
        self, incident_id: str, *, limit: int = MAX_PAGE, before: str = ""
    ) -> tuple[TimelineEntry, ...]:
        """Its newest entries, oldest of them first; with `before`, the newest before that entry."""
        newest = (
            "(SELECT * FROM incident_timeline WHERE incident_id = ? AND seq < coalesce((SELECT seq FROM"
            " incident_timeline WHERE entry_id = ?), CASE ? WHEN '' THEN 9223372036854775807 ELSE 0 END)"
            " ORDER BY seq DESC LIMIT ?)"
        )
        return await self._saved(
            TIMELINE,
            f"WHERE seq IN (SELECT seq FROM {newest}) ORDER BY seq LIMIT -1",
            (incident_id, before, before, max(1, min(limit, MAX_PAGE))),
        )

    async def attempts_of_incident(self, incident_id: str) -> tuple[Attempt, ...]:
        """The newest ones, oldest of them first."""
        newest = "(SELECT * FROM remedy_attempts WHERE incident_id = ? ORDER BY seq DESC LIMIT ?)"
        return await self._saved(
            ATTEMPTS, f"WHERE seq IN (SELECT seq FROM {newest}) ORDER BY seq LIMIT -1", (incident_id, MAX_PAGE)
        )

    async def remedy_attempts(self, since: int) -> tuple[Attempt, ...]:
        """Those planned at `since` (unix ms) or later, those of incidents that are not resolved in their present
        episode, and those that have not ended; oldest first."""
        return await self._saved(
            ATTEMPTS,
            "WHERE planned_at >= ? OR ended_at IS NULL OR (incident_id, episode) IN"
            " (SELECT incident_id, episode FROM incidents WHERE state <> 'resolved') ORDER BY seq LIMIT -1",
            (since,),
        )

    async def healing_circuits(self) -> tuple[Circuit, ...]:
        """The last one of each feature, open or not."""
        return await self._saved(CIRCUITS, "ORDER BY feature LIMIT -1")

    async def episodes(self, since: int) -> tuple[Episode, ...]:
        """Those opened at `since` (unix ms) or later, oldest first."""
        return await self._saved(EPISODES, "WHERE opened_at >= ? ORDER BY opened_at, seq LIMIT -1", (since,))

    async def latest_episodes(self, since: int) -> tuple[Episode, ...]:
        """Each incident's present one, and those opened or resolved at `since` (unix ms) or later; oldest first."""
        return await self._saved(
            EPISODES,
            "WHERE opened_at >= ? OR resolved_at >= ? OR (incident_id, episode) IN"
            " (SELECT incident_id, episode FROM incidents) ORDER BY opened_at, seq LIMIT -1",
            (since, since),
        )
