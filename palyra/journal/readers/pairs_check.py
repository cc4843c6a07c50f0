"""Whether what is told of one attempt in several places is one story: its hold, its usage with corrections, its run."""

from palyra.journal.readers.query import Query

MOST_TOLD = 1_000

_SAME = ("run_id", "attempt", "principal", "session", "key_id", "channel", "agent", "job", "tags", "provider", "model")
"""What a hold and its usage both tell."""
_OF_RUN = ("principal", "session", "key_id", "channel", "agent", "job", "tags")
"""What all attempts of a run have of it."""


def _differ(one: str, other: str, columns: tuple[str, ...]) -> str:
    return " OR ".join(f"{one}.{name} <> {other}.{name}" for name in columns)


_CORRECTED = "(SELECT ifnull(sum({0}), 0) FROM usage WHERE run_id = holds.run_id AND corrects = holds.hold_id)"
_TOKENS = "input_total + output_total"

_HOLDS = f"""
SELECT holds.hold_id, CASE
  WHEN runs.run_id IS NULL THEN 'its run is missing'
  WHEN {_differ("holds", "runs", _OF_RUN)} THEN 'it is not of whom its run is'
  WHEN holds.state IN ('held', 'released') AND used.hold_id IS NOT NULL THEN 'it ended without a charge and has one'
  WHEN holds.state = 'settled' AND used.hold_id IS NULL THEN 'its usage is missing'
  WHEN {_differ("holds", "used", _SAME)} THEN 'its usage is of something else'
  WHEN holds.terminal_at <> used.at THEN 'its usage is of another time'
  WHEN holds.actual_tokens <> used.{_TOKENS.replace("+ ", "+ used.")} + {_CORRECTED.format(_TOKENS)}
    OR holds.actual_usd <> used.charge + {_CORRECTED.format("charge")} THEN 'its usage is another amount'
END AS fault
FROM holds LEFT JOIN runs ON runs.run_id = holds.run_id LEFT JOIN usage AS used ON used.hold_id = holds.hold_id
WHERE fault IS NOT NULL
"""
"""Each hold against its run and its usage. A price that nobody knew has no amount of the hold's own."""

_USAGE = """
SELECT coalesce(hold_id, corrects) AS hold_id, 'it is missing, and its usage is there' AS fault FROM usage
WHERE hold_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.hold_id = usage.hold_id)
  OR corrects IS NOT NULL AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.hold_id = usage.corrects)
"""
_PAIRS = f"""
SELECT json_group_array(json_array(hold_id, fault)) FROM (
  SELECT * FROM ({_HOLDS} UNION {_USAGE}) ORDER BY hold_id LIMIT {MOST_TOLD}
)
"""


class PairsReaders(Query):
    """Holds each hold against its run and its usage."""

    async def unmatched_holds(self) -> tuple[str, ...]:
        """Every hold whose run or usage tells otherwise, as `hold ID: why`. Reads all rows: for checks only."""
        return await self._listed(_PAIRS, lambda values: f"hold {values[0]}: {values[1]}")
