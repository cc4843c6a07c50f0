"""The counts of a status line."""

from palyra.core.errors import BadInputError
from palyra.core.windows import Interval, window_for
from palyra.journal.readers.sums_check import SumsReaders
from palyra.journal.rows import StatusCounts


class StatusReaders(SumsReaders):
    async def status_counts(self, now_ms: int, zone: str) -> StatusCounts:
        """What happened on the local day and what is going on. Raises BadInputError for an unknown zone."""
        try:
            day = window_for(Interval.DAILY, zone, now_ms)
        except ValueError as error:
            raise BadInputError(f"{error}.") from error
        today = await self.usage_totals(day.start, day.end or now_ms + 1)
        (counts,) = await self._listed(_COUNTS, tuple)
        return StatusCounts(today.cost, today.unpriced, today.runs, *counts)


_COUNTS = """
SELECT json_array(json_array(
  (SELECT count(*) FROM runs WHERE state <> 'completed' AND state IN ('pending', 'parked', 'running')),
  (SELECT count(*) FROM approvals WHERE status = 'pending'),
  (SELECT count(*) FROM holds WHERE state = 'held'),
  (SELECT ifnull(sum(bound_usd), 0) FROM holds WHERE state = 'held')
))
"""
