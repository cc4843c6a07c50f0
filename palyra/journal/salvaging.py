"""A new journal out of a damaged one: every row that SQLite can still read, and what is known of those it cannot.

Rows are read from both ends towards the damage, and what lies between is looked at half by half, so that a page that
cannot be read costs the rows on it. What refers to a run that is lost keeps its money: a run is put in its place that
says so. Sums are counted anew; the audit chain is taken over as it is, gaps and all, so that its check tells of them.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from palyra.core.plural import plural
from palyra.core.values import value
from palyra.journal.folding import folded_until
from palyra.journal.mending import SIDES, UnmendableError, copy_journal, forget, opened, sum_up, with_side
from palyra.journal.migrations import apply, version_of
from palyra.journal.readers.usage_facts import DAYS
from palyra.journal.readers.usage_sums import SUMS
from palyra.journal.schema import LATEST, MIGRATIONS

SCRATCH = ".damaged"
DERIVED = (SUMS, DAYS, "decision_reasons")
WORDS = "memory_words"
MOST_PROBES = 100_000
"""Of one table: places looked at inside of damage."""
CHUNK = 500
TIMES = {"runs": "accepted_at", "usage": "at", "holds": "created_at"}
"""Tables whose rows belong to budget windows, and when."""


@value
class Lost:
    """Rows of one table that are gone. `rows` None: nobody knows how many; not `exact`: at most so many.

    `since` and `until` (UTC unix ms) are when the rows around them were written, None where there is none on that side.
    """

    table: str
    rows: int | None
    exact: bool
    since: int | None = None
    until: int | None = None

    def __str__(self) -> str:
        if self.rows is None:
            return f"{self.table}: rows are lost, nobody knows how many"
        return f"{self.table}: {'' if self.exact else 'up to '}{plural(self.rows, 'row')} lost"


@value
class Salvaged:
    """What is lost, by table; and of which time (UTC unix ms, `until` exclusive) money and tokens are not all known:
    `gap` None where they are."""

    lost: tuple[Lost, ...]
    gap: tuple[int, int] | None


def salvage(source: Path, product: Path, now_ms: int) -> Salvaged:
    """Makes the new journal. Raises UnmendableError, OSError."""
    scratch = with_side(product, SCRATCH)
    try:
        copy_journal(source, scratch)
        with closing(opened(product)) as new:
            lost = _salvage(scratch, new)
            new.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for side in SIDES:
            with_side(product, side).unlink(missing_ok=True)
        return Salvaged(tuple(lost), _gap_of(lost, now_ms))
    except sqlite3.Error as error:
        forget(product)
        raise UnmendableError(f"No journal can be made out of {source.name}: {error}.") from error
    except BaseException:
        forget(product)
        raise
    finally:
        forget(scratch)


def _gap_of(lost: Sequence[Lost], now_ms: int) -> tuple[int, int] | None:
    """From the last row before what is lost to the first one after it, of all tables that budgets count."""
    counted = [one for one in lost if one.table in TIMES]
    if not counted:
        return None
    return min(one.since or 0 for one in counted), max(one.until or now_ms for one in counted)


def _salvage(scratch: Path, new: sqlite3.Connection) -> list[Lost]:
    new.execute("PRAGMA auto_vacuum = INCREMENTAL")
    new.execute("PRAGMA journal_mode = WAL")
    new.execute("PRAGMA secure_delete = ON")
    with closing(opened(scratch)) as old:
        old.text_factory = lambda data: data.decode("utf-8", "replace")
        # A file that is shorter than it says is opened all the same; this is a copy, and nothing is written to it.
        with suppress(sqlite3.Error):
            old.execute("PRAGMA writable_schema = ON")
        version = _version(old)
        apply(new, [one for one in MIGRATIONS if one[0] <= version])
        if not _has_schema(old):
            return [Lost(table, None, exact=False) for table in _tables(new)]
        triggers = _take_triggers(new)
        new.execute("BEGIN IMMEDIATE")
        lost = [one for table in _tables(new) if (one := _Table(old, new, table).copy()) is not None]
        if version == LATEST and folded_until(new):
            # The rows of old sums have gone.
            lost += [one for table in DERIVED if (one := _Table(old, new, table).copy()) is not None]
        lost += _let_go(new)
        new.execute("COMMIT")
    with suppress(sqlite3.Error):
        new.execute(f"INSERT INTO {WORDS} ({WORDS}) VALUES ('rebuild')")
    for sql in triggers:
        new.execute(sql)
    if version == LATEST:
        sum_up(new)
    return lost


def _version(old: sqlite3.Connection) -> int:
    """The schema to salvage into: of what cannot be read at all, the newest. Raises UnmendableError."""
    try:
        version = version_of(old)
    except sqlite3.Error:
        return LATEST
    if version > LATEST:
        raise UnmendableError(
            f"The journal has schema version {version}; this Palyra knows versions up to {LATEST}.",
            fix="Use the newer Palyra that wrote it.",
        )
    return version or LATEST


def _has_schema(old: sqlite3.Connection) -> bool:
    try:
        return bool(old.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").fetchone()[0])
    except sqlite3.Error:
        return False


def _tables(new: sqlite3.Connection) -> list[str]:
    """Tables with rows of their own, those that others refer to first."""
    named = [
        name
        for (name,) in new.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")
        if not name.startswith(("sqlite_", WORDS, "memory_vocabulary")) and name not in DERIVED
    ]
    return named if version_of(new) == LATEST else [*named, *(name for name in DERIVED if _exists(new, name))]


def _exists(new: sqlite3.Connection, table: str) -> bool:
    return new.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)).fetchone() is not None


def _take_triggers(new: sqlite3.Connection) -> list[str]:
    """Removes what would count, log or refuse rows that come a second time; the statements that make them again."""
    found = new.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in found:
        new.execute(f"DROP TRIGGER {name}")
    return [sql for _, sql in found]


class _Table:
    """One table on its way from the damaged journal to the new one."""

    def __init__(self, old: sqlite3.Connection, new: sqlite3.Connection, name: str) -> None:
        self._old, self._new, self._name = old, new, name
        self._columns = [row[1] for row in new.execute(f"PRAGMA table_info({name})")]
        self._saved = 0
        self._refused = 0
        self._unread = 0
        self._open_ended = False
        self._probes = 0
        self._since: list[int | None] = []
        self._until: list[int | None] = []

    def copy(self) -> Lost | None:
        """What is lost of it; None where nothing is."""
        try:
            self._old.execute(f"SELECT rowid FROM {self._name} LIMIT 1").fetchall()
            rowids = True
        except sqlite3.OperationalError:
            rowids = False
        except sqlite3.Error:
            rowids = True
        damaged = self._by_rowid() if rowids else self._whole()
        if not damaged and not self._refused:
            return None
        expected = self._expected()
        rows: int | None = None if self._open_ended else self._unread + self._refused
        exact = not self._unread
        if expected is not None and expected >= self._saved:
            rows, exact = expected - self._saved, True
        since = None if None in self._since or not self._since else min(one for one in self._since if one is not None)
        until = None if None in self._until or not self._until else max(one for one in self._until if one is not None)
        return None if rows == 0 else Lost(self._name, rows, exact, since, until)

    def _by_rowid(self) -> bool:
        """Whether anything could not be read."""
        last, whole = self._run("ASC", "rowid > ?", -(1 << 63))
        if whole:
            return False
        first, _ = self._run("DESC", "rowid > ?", last)
        if first is None:
            self._open_ended = True
            self._gap(last, None)
            return True
        self._between(last, first)
        return True

    def _between(self, low: int | None, high: int) -> None:
        """Looks at the rowids between two that were read, half by half."""
        floor = low if low is not None else max(0, high - MOST_PROBES)
        waiting = [(floor, high)]
        unread: list[tuple[int, int]] = []
        while waiting and self._probes < MOST_PROBES:
            below, above = waiting.pop()
            if above - below <= 1:
                continue
            middle = (below + above) // 2
            self._probes += 1
            up, whole = self._run("ASC", "rowid >= ? AND rowid < ?", middle, above)
            if whole:
                reached = middle
            elif up is not None:
                reached = middle
                waiting.append((up, above))
            else:
                reached = middle
                unread.append((middle, middle))
                waiting.append((middle, above))
            waiting.append((below, reached))
        unread += waiting
        self._unread += sum(max(1, above - below - 1) for below, above in unread)
        if unread:
            self._gap(low, high)

    def _run(self, order: str, where: str, *bounds: int | None) -> tuple[int | None, bool]:
        """Saves rows in one direction until one cannot be read: the last rowid that could, and whether all could."""
        names = ", ".join(self._columns)
        given = [-(1 << 63) if bound is None else bound for bound in bounds]
        last: int | None = None
        waiting: list[tuple[Any, ...]] = []
        whole = True
        try:
            cursor = self._old.execute(
                f"SELECT rowid, {names} FROM {self._name} NOT INDEXED WHERE {where} ORDER BY rowid {order}", given
            )
            for row in cursor:
                last = row[0]
                waiting.append(row[1:])
                if len(waiting) >= CHUNK:
                    self._save(waiting)
                    waiting = []
        except sqlite3.Error:
            whole = False
        self._save(waiting)
        return last, whole

    def _whole(self) -> bool:
        """Tables that are ordered by their keys: from the front and from the back, without what both have."""
        keys = [row[1] for row in sorted(self._info(), key=lambda row: row[5]) if row[5]]
        names = ", ".join(self._columns)
        for order in ("ASC", "DESC"):
            by = ", ".join(f"{key} {order}" for key in keys)
            try:
                for row in self._old.execute(f"SELECT {names} FROM {self._name} ORDER BY {by}"):
                    self._save([row])
                if order == "ASC":
                    return False
            except sqlite3.Error:
                continue
        self._open_ended = True
        return True

    def _info(self) -> Sequence[tuple[Any, ...]]:
        return self._new.execute(f"PRAGMA table_info({self._name})").fetchall()

    def _save(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """One by one where they cannot be taken together: a row that was torn breaks a rule of its table."""
        if not rows:
            return
        marks = ", ".join("?" * len(self._columns))
        sql = f"INSERT INTO {self._name} ({', '.join(self._columns)}) VALUES ({marks})"
        before = self._new.total_changes
        self._new.execute("SAVEPOINT rows")
        try:
            self._new.executemany(sql, rows)
        except (sqlite3.Error, UnicodeError):
            self._new.execute("ROLLBACK TO rows")
            before = self._new.total_changes
            for row in rows:
                try:
                    self._new.execute(sql, row)
                except (sqlite3.Error, UnicodeError):
                    self._refused += not self._has(row)
        self._new.execute("RELEASE rows")
        self._saved += self._new.total_changes - before

    def _has(self, row: tuple[Any, ...]) -> bool:
        """Whether the row was saved before, read from the other end."""
        keys = [(info[1], row[place]) for place, info in enumerate(self._info()) if info[5]]
        if not keys:
            return False
        where = " AND ".join(f"{name} IS ?" for name, _ in keys)
        sql = f"SELECT 1 FROM {self._name} WHERE {where}"
        return self._new.execute(sql, [given for _, given in keys]).fetchone() is not None

    def _expected(self) -> int | None:
        """How many rows an index knows of that is whole; the table itself is not."""
        indices = self._old_indices()
        for name in indices:
            with suppress(sqlite3.Error):
                sql = f"SELECT count(*) FROM {self._name} INDEXED BY {name}"
                return int(self._old.execute(sql).fetchone()[0])
        return None

    def _old_indices(self) -> list[str]:
        with suppress(sqlite3.Error):
            return [row[1] for row in self._old.execute(f"PRAGMA index_list({self._name})") if not row[4]]
        return []

    def _gap(self, low: int | None, high: int | None) -> None:
        """Notes when the rows around a gap were written."""
        column = TIMES.get(self._name)
        if column is None:
            return
        for rowid, side in ((low, self._since), (high, self._until)):
            found = None
            if rowid is not None:
                sql = f"SELECT {column} FROM {self._name} WHERE rowid = ?"
                found = self._new.execute(sql, (rowid,)).fetchone()
            side.append(None if found is None else int(found[0]))


_STUB = """
INSERT INTO runs (run_id, boot_id, version, source, principal, session, key_id, channel, agent, job, tags, task_class,
  wire, streaming, model_asked, max_tokens, input_bytes, expected_input, complexity, digest, state, phase, reason,
  message, accepted_at, mode, decision_id, provider, model, approval_id, grant_ids, attempts, parked_at, dispatched_at,
  first_byte_at, finished_at, input_tokens, output_tokens, cost, flags)
SELECT run_id, '', 1, 'gateway', principal, session, key_id, channel, agent, job, tags, '', '', 0, model, NULL, 0, 0,
  '0.0', '', 'failed', 'ended', 'salvaged', 'The row of this run was lost; this is what others told of it.', at, '', '',
  provider, model, '', '[]', 0, NULL, NULL, NULL, at, 0, 0, NULL, '[]'
FROM (
  SELECT run_id, principal, session, key_id, channel, agent, job, tags, provider, model, created_at AS at FROM holds
  UNION ALL
  SELECT run_id, principal, session, key_id, channel, agent, job, tags, provider, model, at FROM usage
) WHERE run_id NOT IN (SELECT run_id FROM runs) GROUP BY run_id
"""
_Violation = tuple[str, int | None, str, int]


def _let_go(new: sqlite3.Connection) -> list[Lost]:
    """Ends references to what is lost: money keeps a run, what may stand alone does, the rest goes with its parent."""
    if _exists(new, "usage"):
        new.execute(_STUB)
    gone: dict[str, int] = {}
    while violations := new.execute("PRAGMA foreign_key_check").fetchall():
        for violation in violations:
            _end(new, violation, gone)
    return [Lost(table, rows, exact=True) for table, rows in sorted(gone.items())]


def _end(new: sqlite3.Connection, violation: _Violation, gone: dict[str, int]) -> None:
    table, rowid, _, number = violation
    keys = [row for row in new.execute(f"PRAGMA foreign_key_list({table})") if row[0] == number]
    required = {row[1]: bool(row[3]) or bool(row[5]) for row in new.execute(f"PRAGMA table_info({table})")}
    column = keys[0][3]
    if required[column]:
        new.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
        gone[table] = gone.get(table, 0) + 1
    else:
        new.execute(f"UPDATE {table} SET {column} = NULL WHERE rowid = ?", (rowid,))
