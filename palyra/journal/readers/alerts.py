"""Alerts, and the sums that tell whether something is out of the ordinary."""

from palyra.journal.readers.query import Query
from palyra.journal.rows import AlertRow, ServedRow
from palyra.journal.tables import ALERTS, alert_row

MAX_PAGE = 500
SERVED_MOST = 20_000
"""How many of the newest runs `served` looks at: their medians are sorted."""


class AlertReaders(Query):
    """Reads alerts."""

    async def alert(self, alert_id: str) -> AlertRow | None:
        """The alert of that id."""
        return await self._row(ALERTS, alert_row, "WHERE alert_id = ?", (alert_id,))

    async def live_alerts(self) -> tuple[AlertRow, ...]:
        """All that are not resolved, oldest first."""
        return await self._rows(ALERTS, alert_row, "WHERE state <> 'resolved' ORDER BY first_seen, seq LIMIT -1")

    async def resolved_alerts(self, since: int = 0, *, limit: int = 50) -> tuple[AlertRow, ...]:
        """Those resolved at `since` or later, newest first."""
        return await self._rows(
            ALERTS,
            alert_row,
            "WHERE resolved_at >= ? ORDER BY resolved_at DESC, seq DESC LIMIT ?",
            (since, max(1, min(limit, MAX_PAGE))),
        )

    async def recorded_since(self) -> int | None:
        """When the journal was begun; None for one no engine was started on."""
        (since,) = await self._listed(_BEGUN, lambda values: values[0])
        return None if since is None else int(since)

    async def served(self, since: int, default_model: str) -> tuple[ServedRow, ...]:
        """How the default model did since then, and each other model in the runs that routing gave to it."""
        return await self._listed(
            _SERVED, lambda values: ServedRow(*values), (default_model, since, SERVED_MOST, default_model)
        )


_BEGUN = "SELECT json_array(json_array((SELECT at FROM audit WHERE seq = 1)))"

_SERVED = """
WITH served AS (
  SELECT model, state, finished_at - dispatched_at AS took,
    model <> ? AND EXISTS (SELECT 1 FROM decisions WHERE decisions.decision_id = newest.decision_id
      AND action IN ('degrade', 'upgrade')) AS routed
  FROM (SELECT * FROM runs WHERE finished_at >= ? AND state IN ('completed', 'failed')
    ORDER BY finished_at DESC LIMIT ?) AS newest
),
counted AS (SELECT * FROM served WHERE routed OR model = ?),
ranked AS (
  SELECT model, took, row_number() OVER (PARTITION BY model ORDER BY took) AS place,
    count(*) OVER (PARTITION BY model) AS completed
  FROM counted WHERE state = 'completed' AND took IS NOT NULL
)
SELECT json_group_array(json_array(model, runs, failed, p50)) FROM (
  SELECT model, count(*) AS runs, sum(state = 'failed') AS failed,
    (SELECT took FROM ranked WHERE ranked.model = counted.model AND place = (completed + 1) / 2) AS p50
  FROM counted GROUP BY model ORDER BY model LIMIT -1)
"""
