"""The counts of a status line, and whether the roll-ups still say what the rows say."""

from collections.abc import Sequence
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
            rows = " UNION ALL ".join(
                f"SELECT {_start(at, roll_up.steps[-1])} AS start, {keys}, {named(facts)} FROM {table}"
                for table, at, facts in (("ended_runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE))
            )
            stored = f"SELECT {roll_up.step} AS step, {roll_up.start} AS start, {keys}, {_NAMES} FROM {roll_up.table}"
            differences += await self._differences(roll_up.table, roll_up.steps, keys, METRICS, stored, rows)
        differences += await self._differences(
            "decision_reasons",
            REASON_STEPS,
            "reason",
            ("decisions",),
            "SELECT step, start, reason, decisions FROM decision_reasons",
            f"SELECT {_start('at', REASON_STEPS[-1])} AS start, code.value AS reason, 1 AS decisions"
            " FROM decisions CROSS JOIN json_each(reason_codes) AS code",
        )
        return tuple(differences)

    async def _differences(
        self, table: str, steps: Sequence[int], keys: str, metrics: Sequence[str], stored: str, rows: str
    ) -> tuple[str, ...]:
        """Where stored sums are not those of the rows, which are read once: longer steps are made of the shortest."""
        sums = ", ".join(f"sum({name}) AS {name}" for name in metrics)
        summed = " UNION ALL ".join(
            f"SELECT {step} AS step, {_start('start', step)} AS start, {keys}, {sums} FROM finest GROUP BY 2, {keys}"
            for step in steps
        )
        return await self._listed(
            f"WITH finest AS MATERIALIZED (SELECT start, {keys}, {sums} FROM ({rows}) GROUP BY start, {keys}),"
            f" summed AS MATERIALIZED ({summed})"
            f" SELECT json_group_array(json_array(step, start, {keys}))"
            f" FROM (SELECT DISTINCT step, start, {keys} FROM ("
            f" SELECT * FROM (SELECT * FROM summed EXCEPT {stored}) UNION ALL"
            f" SELECT * FROM ({stored} EXCEPT SELECT * FROM summed))"
            f" ORDER BY step DESC, start, {keys} LIMIT 1000)",
            partial("{} {}".format, table),
        )


def _start(at: str, step: int) -> str:
    """A SQL expression: when the step that holds an instant begins."""
    return f"{at} - {at} % {step}"


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
