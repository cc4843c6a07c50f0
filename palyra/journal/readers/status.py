"""The counts of a status line, and whether the roll-ups still say what the rows say."""

from functools import partial

from palyra.core.errors import BadInputError
from palyra.core.windows import DAY_MS, Interval, window_for
from palyra.journal.readers.usage import METRICS, OF_RUNS, OF_USAGE, UsageReaders, named
from palyra.journal.rows import StatusCounts


class StatusReaders(UsageReaders):
    async def status_counts(self, now_ms: int, zone: str) -> StatusCounts:
        """What happened since local midnight and what is going on. Raises BadInputError for an unknown zone."""
        try:
            midnight = window_for(Interval.DAILY, zone, now_ms).start
        except ValueError as error:
            raise BadInputError(f"{error}.") from error
        today = await self.usage_totals(midnight, max(now_ms + 1, midnight + 2 * DAY_MS))
        (counts,) = await self._listed(_COUNTS, tuple)
        return StatusCounts(today.cost, today.unpriced, today.runs, *counts)

    async def rollup_differences(self) -> tuple[str, ...]:
        """Every roll-up entry that is not the sum of its rows, as `table [keys]`. Reads all rows: for checks only."""
        differences: list[str] = []
        for table, period, length, keys in _ROLL_UPS:
            columns = f"{period}, {', '.join(keys)}, {', '.join(METRICS)}"
            stored = f"SELECT {columns} FROM {table}"
            summed = (
                f"SELECT period, {', '.join(keys)}, {', '.join(f'sum({name})' for name in METRICS)} FROM ("
                + " UNION ALL ".join(
                    f"SELECT {at} - {at} % {length} AS period, {', '.join(keys)}, {named(facts)} FROM {rows}"
                    for rows, at, facts in (("ended_runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE))
                )
                + f") GROUP BY period, {', '.join(keys)}"
            )
            differences += await self._listed(
                f"SELECT json_group_array(json_array({period}, {', '.join(keys)})) FROM ("
                f" SELECT DISTINCT {period}, {', '.join(keys)} FROM ("
                f" SELECT * FROM ({stored} EXCEPT {summed}) UNION ALL SELECT * FROM ({summed} EXCEPT {stored}))"
                f" ORDER BY {period}, {', '.join(keys)} LIMIT 1000)",
                partial("{} {}".format, table),
            )
        return tuple(differences)


_COUNTS = """
SELECT json_array(json_array(
  (SELECT count(*) FROM runs WHERE state <> 'completed' AND state IN ('pending', 'parked', 'running')),
  (SELECT count(*) FROM approvals WHERE status = 'pending'),
  (SELECT count(*) FROM holds WHERE state = 'held'),
  (SELECT ifnull(sum(bound_usd), 0) FROM holds WHERE state = 'held')
))
"""

_ROLL_UPS = (
    ("usage_hours", "hour", 3_600_000, ("provider", "model")),
    ("usage_days", "day", 86_400_000, ("principal", "model")),
    ("principal_days", "day", 86_400_000, ("principal",)),
)
