"""The counts of a status line, and whether the roll-ups still say what the rows say."""

from functools import partial

from palyra.core.errors import BadInputError
from palyra.core.windows import DAY_MS, Interval, window_for
from palyra.journal.readers.usage import UsageReaders
from palyra.journal.readers.usage_facts import (
    BY_BOTH,
    BY_MODEL,
    BY_PRINCIPAL,
    METRICS,
    OF_RUNS,
    OF_USAGE,
    REASON_STEPS,
    RollUp,
    named,
)
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
        """Every roll-up entry that is not the sum of its rows, as `table [step, start, keys]`.

        Reads all rows: for checks only.
        """
        differences: list[str] = []
        for roll_up, keys in _ROLL_UPS:
            for step in roll_up.steps:
                differences += await self._differences(roll_up, step, keys)
        for step in REASON_STEPS:
            differences += await self._miscounted_reasons(step)
        return tuple(differences)

    async def _differences(self, roll_up: RollUp, step: int, keys: str) -> tuple[str, ...]:
        stored = f"SELECT {roll_up.start} AS start, {keys}, {_NAMES} FROM {roll_up.table} WHERE {roll_up.step} = {step}"
        rows = " UNION ALL ".join(
            f"SELECT {at} - {at} % {step} AS start, {keys}, {named(facts)} FROM {table}"
            for table, at, facts in (("ended_runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE))
        )
        sums = ", ".join(f"sum({name})" for name in METRICS)
        summed = f"SELECT start, {keys}, {sums} FROM ({rows}) GROUP BY start, {keys}"
        return await self._apart(roll_up.table, step, f"start, {keys}", stored, summed)

    async def _miscounted_reasons(self, step: int) -> tuple[str, ...]:
        stored = f"SELECT start, reason, decisions FROM decision_reasons WHERE step = {step}"
        counted = (
            f"SELECT at - at % {step} AS start, code.value AS reason, count(*)"
            " FROM decisions CROSS JOIN json_each(reason_codes) AS code GROUP BY 1, 2"
        )
        return await self._apart("decision_reasons", step, "start, reason", stored, counted)

    async def _apart(self, table: str, step: int, keys: str, stored: str, summed: str) -> tuple[str, ...]:
        """The keys under which two sets of sums differ."""
        return await self._listed(
            f"SELECT json_group_array(json_array({step}, {keys})) FROM (SELECT DISTINCT {keys} FROM ("
            f" SELECT * FROM ({stored} EXCEPT {summed}) UNION ALL SELECT * FROM ({summed} EXCEPT {stored}))"
            f" ORDER BY {keys} LIMIT 1000)",
            partial("{} {}".format, table),
        )


_COUNTS = """
SELECT json_array(json_array(
  (SELECT count(*) FROM runs WHERE state <> 'completed' AND state IN ('pending', 'parked', 'running')),
  (SELECT count(*) FROM approvals WHERE status = 'pending'),
  (SELECT count(*) FROM holds WHERE state = 'held'),
  (SELECT ifnull(sum(bound_usd), 0) FROM holds WHERE state = 'held')
))
"""

_NAMES = ", ".join(METRICS)
_ROLL_UPS = ((BY_MODEL, "provider, model"), (BY_PRINCIPAL, "principal"), (BY_BOTH, "principal, model"))
