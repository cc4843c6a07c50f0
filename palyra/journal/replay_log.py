"""Reading what requests are decided again from, beside a running engine or without one: plain, in big chunks.

For a process of its own; the engine's readers never see a million rows.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from palyra.core.errors import StateError
from palyra.journal.journal import JOURNAL_FILE
from palyra.journal.migrations import version_of
from palyra.journal.rows import GrantRow, HoldRow
from palyra.journal.schema import LATEST
from palyra.journal.tables import GRANTS, HOLDS, Table, grant_row, hold_row

PLAN, SLICE, END, GRANT, TERMS, REFUSED_SLICE, CORRECTION = range(7)
"""Kinds of events."""
_OF_BEFORE = f"({GRANT}, {CORRECTION})"
"""Kinds of those that are told with an instant of before."""

CHUNK = 5_000
DRAWN_EARLIER_MS = 48 * 3_600_000
"""A hold that draws from a grant was taken at most so long before it was given."""
MAPPED = 1 << 32
"""Bytes of the file that are read where they lie, without a copy of each page."""

Event = tuple[Any, ...]
"""seq, at, kind, ref, scope, shape, usd, tokens, outcome; the last five None where they say nothing."""

RecordedUse = dict[str, int]
"""Tokens by kind, as `NormalisedUsage` names them."""


class Corrected(NamedTuple):
    """The number of a run, and what corrections of one of its holds added to the charge."""

    ref: int
    usd: int
    tokens: int


USAGE_COLUMNS = (
    "input_total",
    "output_total",
    "cache_read",
    "write_5m",
    "write_1h",
    "reasoning",
    "audio_in",
    "audio_out",
)


class ReplayLog:
    """One moment of a journal. Close it soon: what is written meanwhile cannot be folded into the database."""

    def __init__(self, path: Path) -> None:
        """Raises StateError for no journal, or one this program does not read."""
        if not path.is_file():
            raise StateError(f"There is no journal at {path}.", fix="Start palyra-tui or `palyra serve` there first.")
        try:
            self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            self._database.execute(f"PRAGMA mmap_size = {MAPPED:d}")
            version = version_of(self._database)
            if version != LATEST:
                raise StateError(
                    f"The journal {path} has schema version {version}; this Palyra reads {LATEST}.",
                    fix="Start the engine once to bring an older one up to date, or upgrade Palyra for a newer one.",
                )
            self._database.execute("BEGIN")
            self.last: int = self._one("SELECT ifnull(max(seq), 0) FROM replay_log")
        except sqlite3.Error as error:
            raise StateError(f"{path} cannot be read: {error}.", fix="Restore it from backups/.") from error

    @classmethod
    def of(cls, state_dir: Path) -> Self:
        """The log of one moment."""
        return cls(state_dir / JOURNAL_FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        row = self._database.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def first_plan_at(self) -> int | None:
        """When the first request was decided that is recorded."""
        found: int | None = self._one("SELECT at FROM replay_log WHERE kind = 0 ORDER BY seq LIMIT 1")
        return found

    def last_at(self) -> int:
        """When the last of it happened, UTC unix ms."""
        found: int | None = self._one(
            f"SELECT at FROM replay_log WHERE kind NOT IN {_OF_BEFORE} ORDER BY seq DESC LIMIT 1"
        )
        return found or 0

    def seq_at(self, at: int) -> int:
        """The first event at or after an instant; one past the last where there is none.

        Events lie in the order of time but for clocks set back, where any of the places will do, and for grants and
        corrections, which are told with the instant they were given at, or their hold was taken at.
        """
        low, high = 1, self.last + 1
        while low < high:
            middle = (low + high) // 2
            found = self._one(
                f"SELECT at FROM replay_log WHERE seq >= ? AND kind NOT IN {_OF_BEFORE} ORDER BY seq LIMIT 1", (middle,)
            )
            if found is not None and found < at:
                low = middle + 1
            else:
                high = middle
        return low

    def terms(self) -> list[tuple[int, str]]:
        """Every change of the terms, as (seq, body), in order."""
        sql = "SELECT seq, body FROM replay_log JOIN replay_bodies USING (seq) WHERE kind = 4 ORDER BY seq"
        return self._database.execute(sql).fetchall()

    def chunks(self, first: int) -> Iterator[list[Event]]:
        """All events from `first` on, in order."""
        cursor = self._database.execute(
            "SELECT seq, at, kind, ref, scope, shape, usd, tokens, outcome FROM replay_log WHERE seq >= ? ORDER BY seq",
            (first,),
        )
        while rows := cursor.fetchmany(CHUNK):
            yield rows

    def holds_before(self, since: int) -> Iterator[HoldRow]:
        """What was held before plans were kept, in the order of time: a journal of an earlier version has such holds.

        Those created at or after `since`, or while a grant lived that was there when keeping began, and before that.
        """
        first = self._database.execute("SELECT seq, ref FROM replay_log WHERE kind = 0 ORDER BY seq LIMIT 1").fetchone()
        if first is None:
            return
        seq, ref = first
        granted = self._one("SELECT min(at) FROM replay_log WHERE kind = 3 AND seq < ?", (seq,))
        if granted is not None:
            since = min(since, granted - DRAWN_EARLIER_MS)
        cursor = self._database.execute(
            f"SELECT {', '.join(HOLDS.columns)} FROM holds WHERE created_at >= ?"
            " AND run_id IN (SELECT run_id FROM runs WHERE seq < ?) ORDER BY created_at, seq",
            (since, ref),
        )
        for row in cursor:
            yield hold_row(_values(HOLDS, row))

    def plan(self, seq: int) -> tuple[int, int, int, int]:
        """When a plan was made, and its scope, shape and outcome."""
        row: tuple[int, int, int, int] = self._database.execute(
            "SELECT at, scope, shape, outcome FROM replay_log WHERE seq = ?", (seq,)
        ).fetchone()
        return row

    def first_of_shapes(self) -> list[tuple[int, int]]:
        """The first plan of each shape, as (seq, shape), in order. Reads them all."""
        sql = "SELECT min(seq), shape FROM replay_log WHERE kind = 0 GROUP BY shape ORDER BY 1"
        return self._database.execute(sql).fetchall()

    def body(self, seq: int) -> str:
        """Raises KeyError for an event without one."""
        found: str | None = self._one("SELECT body FROM replay_bodies WHERE seq = ?", (seq,))
        if found is None:
            raise KeyError(seq)
        return found

    def name(self, name: int) -> str:
        """Raises KeyError for a name that is not kept."""
        found: str | None = self._one("SELECT body FROM replay_names WHERE id = ?", (name,))
        if found is None:
            raise KeyError(name)
        return found

    def grant(self, seq: int) -> GrantRow:
        """A grant as it stands in the end."""
        row = self._database.execute(f"SELECT {', '.join(GRANTS.columns)} FROM grants WHERE seq = ?", (seq,)).fetchone()
        return grant_row(_values(GRANTS, row))

    def refs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """The numbers of runs."""
        found: dict[str, int] = {}
        for run_id in run_ids:
            seq = self._one("SELECT seq FROM runs WHERE run_id = ?", (run_id,))
            if seq is not None:
                found[run_id] = seq
        return found

    def run(self, ref: int, at: int) -> tuple[str, str]:
        """The id of a run and of its decision at an instant."""
        run_id = self._one("SELECT run_id FROM runs WHERE seq = ?", (ref,)) or ""
        decision = self._one(
            "SELECT decision_id FROM decisions WHERE run_id = ? ORDER BY at = ? DESC, seq DESC LIMIT 1", (run_id, at)
        )
        return run_id, decision or ""

    def corrections(self) -> dict[str, Corrected]:
        """What corrections add up to, by hold."""
        sql = (
            "SELECT body, ref, sum(ifnull(usd, 0)), sum(tokens) FROM replay_log JOIN replay_bodies USING (seq)"
            " WHERE kind = 6 GROUP BY body"
        )
        return {hold_id: Corrected(*sums) for hold_id, *sums in self._database.execute(sql)}

    def hold(self, hold_id: str) -> HoldRow:
        """A hold as it stands in the end."""
        sql = f"SELECT {', '.join(HOLDS.columns)} FROM holds WHERE hold_id = ?"
        return hold_row(_values(HOLDS, self._database.execute(sql, (hold_id,)).fetchone()))

    def usage(self, ref: int) -> RecordedUse | None:
        """What the newest attempt of a run used, corrections counted in, in tokens by kind; None without one,
        or with one that no card can price: what was charged is the bound, or what somebody said."""
        sums = ", ".join(f"sum({name})" for name in USAGE_COLUMNS)
        row = self._database.execute(
            f"SELECT {sums}, group_concat(rates) FROM usage WHERE run_id = (SELECT run_id FROM runs WHERE seq = ?1)"
            " AND attempt = (SELECT max(attempt) FROM usage WHERE run_id = (SELECT run_id FROM runs WHERE seq = ?1))",
            (ref,),
        ).fetchone()
        if row[-1] is None or any(f'"unit":"{unit}"' in row[-1] for unit in ("bound", "reported_cost", "corrected")):
            return None
        return dict(zip(USAGE_COLUMNS, row, strict=False))


def _values(table: Table, row: Sequence[Any]) -> list[Any]:
    named = zip(table.columns, row, strict=True)
    return [json.loads(value) if name in table.json_columns and value is not None else value for name, value in named]
