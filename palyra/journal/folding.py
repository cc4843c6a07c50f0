"""Letting go of old runs: in small steps, each a transaction that takes some runs out of the journal with all that is
told of them, and adds what their holds count for to the opening balance.

A run stays where something of it is still open, was told later than the rest, or drew from a grant that is in force.
"""

import json
import sqlite3
from collections.abc import Callable

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.journal.connection import Connection
from palyra.journal.opening_balance import alike, opening, together
from palyra.journal.rows import HoldRow
from palyra.journal.tables import HOLDS, hold_row, hold_values

STEP_SECONDS = 0.02
"""What a step is made to take at most: half as many runs follow one that took longer, more a short one."""
FIRST_RUNS, MOST_RUNS = 16, 256


@value
class Folded:
    """Runs that went, in how many steps, the longest in seconds."""

    runs: int
    steps: int
    longest_s: float


@value
class _Step:
    """Runs that went, and the last that was looked at: (when it ended, its number); None: that was all."""

    runs: int
    last: tuple[int, int] | None


async def fold_old_runs(connection: Connection, clock: Clock, before: int) -> Folded:
    """Runs on the connection that writes; commits go in between. `before` is where a day of UTC begins, so long ago
    that no window with an end still counts what was taken then. Raises sqlite3.Error."""
    last: tuple[int, int] | None = (-(1 << 62), 0)
    runs, gone, steps, longest = FIRST_RUNS, 0, 0, 0.0
    while last is not None:
        step, took = await connection.run(_timed(_step(before, last, runs), clock))
        gone, last = gone + step.runs, step.last
        steps, longest = steps + 1, max(longest, took)
        if took > STEP_SECONDS:
            runs = max(1, runs // 2)
        elif took < STEP_SECONDS / 2:
            runs = min(runs * 2, MOST_RUNS)
    return Folded(gone, steps, longest)


def _timed(
    step: Callable[[sqlite3.Connection], _Step], clock: Clock
) -> Callable[[sqlite3.Connection], tuple[_Step, float]]:
    def job(database: sqlite3.Connection) -> tuple[_Step, float]:
        began = clock.monotonic()
        return step(database), clock.monotonic() - began

    return job


_OLD = """
SELECT finished_at, seq, run_id,
  EXISTS (SELECT 1 FROM holds WHERE holds.run_id = old.run_id AND (state = 'held' OR created_at >= ?1
    OR EXISTS (SELECT 1 FROM json_each(holds.moves) AS move, json_each(move.value, '$[7]') AS share
      JOIN grants ON grants.grant_id = share.value ->> 0 WHERE grants.state = 'active')))
  OR EXISTS (SELECT 1 FROM usage WHERE usage.run_id = old.run_id AND at >= ?1)
  OR EXISTS (SELECT 1 FROM decisions WHERE decisions.run_id = old.run_id AND at >= ?1)
  OR seq = (SELECT max(seq) FROM runs)
FROM runs AS old INDEXED BY runs_by_end
WHERE finished_at IS NOT NULL AND finished_at < ?1 AND (finished_at, seq) > (?2, ?3)
ORDER BY finished_at, seq LIMIT ?4
"""
"""The oldest, with whether they stay. The newest run of all does: a number is not to be given twice."""
_OF_A_RUN = ("usage", "holds", "decisions", "run_notes", "run_owners", "run_texts", "runs")


def _step(before: int, last: tuple[int, int], most: int) -> Callable[[sqlite3.Connection], _Step]:
    def job(database: sqlite3.Connection) -> _Step:
        found = database.execute(_OLD, (before, *last, most)).fetchall()
        ids = [run_id for _, _, run_id, stays in found if not stays]
        if ids:
            database.execute("BEGIN IMMEDIATE")
            try:
                for run_id in ids:
                    _fold(database, run_id)
                database.execute(
                    "INSERT INTO folded (one, until, runs) VALUES (1, ?1, ?2) ON CONFLICT (one) DO UPDATE"
                    " SET until = max(until, excluded.until), runs = runs + excluded.runs",
                    (before, len(ids)),
                )
                database.execute("COMMIT")
            except BaseException:
                database.rollback()
                raise
        return _Step(len(ids), found[-1][:2] if len(found) == most else None)

    return job


def _fold(database: sqlite3.Connection, run_id: str) -> None:
    holds = f"SELECT {HOLDS.array()} FROM holds WHERE run_id = ?"
    for (text,) in database.execute(holds, (run_id,)).fetchall():
        _add(database, opening(hold_row(json.loads(text))))
    for table in _OF_A_RUN:
        database.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))


def _add(database: sqlite3.Connection, row: HoldRow) -> None:
    key = json.dumps(alike(row), separators=(",", ":"))
    known = database.execute("SELECT holds, body FROM folded_holds WHERE alike = ?", (key,)).fetchone()
    if known is not None:
        row = together(hold_row(json.loads(known[1]))._replace(folded=known[0]), row)
    database.execute(
        "INSERT INTO folded_holds (alike, holds, body) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (alike) DO UPDATE SET holds = ?2, body = ?3",
        (key, row.folded, _body(row)),
    )


def _body(row: HoldRow) -> str:
    told = [
        json.loads(stored) if name in HOLDS.json_columns and stored is not None else stored
        for name, stored in zip(HOLDS.columns, hold_values(row), strict=True)
    ]
    return json.dumps(told, separators=(",", ":"))


def folded_until(database: sqlite3.Connection) -> int:
    """What ended before this instant may be told by sums alone; 0 where nothing has gone, also in a journal of an
    earlier version."""
    if database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'folded'").fetchone() is None:
        return 0
    row = database.execute("SELECT until FROM folded").fetchone()
    return 0 if row is None else int(row[0])
