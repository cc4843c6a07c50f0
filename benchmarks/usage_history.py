"""A journal with a year of many runs, made in bulk: rows by one statement, sums and indexes from them afterwards.

It is made as it was before there were running sums, and then brought to the newest version like any other journal.

What it holds is fixed by the number of runs, so a journal that is there already is used again; one of an older version
is brought to the newest first.
"""

import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.command import say
from palyra.journal.journal import JOURNAL_FILE
from palyra.journal.schema import LATEST, MIGRATIONS
from palyra.journal.sums_schema import SUMS
from palyra.journal.usage_schema import ZOOMS

END = 1_795_348_800_000
DAYS = 366
DAY = 86_400_000
START = END - DAYS * DAY
MODELS = 16
PRINCIPALS = 200
SESSIONS = 40_000

_ROWS = f"""
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :runs)
SELECT i, {START} + i * {DAYS * DAY} / :runs AS at, 'r' || i AS run_id,
  'provider-' || (i * 7919 % {MODELS} % 3) AS provider, 'model-' || (i * 7919 % {MODELS}) AS model,
  'user-' || (i * 104729 % {PRINCIPALS}) AS principal,
  's' || (i / (:runs / {SESSIONS} + 1)) || '-' || (i * 104729 % {PRINCIPALS}) AS session,
  'key-' || (i % 40) AS key_id, 'agent-' || (i % 25) AS agent, CASE i % 10 WHEN 0 THEN 'nightly' ELSE '' END AS job,
  CASE i % 50 WHEN 0 THEN 'refused' WHEN 1 THEN 'failed' ELSE 'completed' END AS state,
  500 + i * 31 % 9000 AS input, 20 + i * 17 % 2000 AS output
FROM n
"""
_FILLED = {
    "runs": {
        "run_id": "run_id",
        "version": "2",
        "principal": "principal",
        "session": "session",
        "key_id": "key_id",
        "agent": "agent",
        "job": "job",
        "tags": "'{\"team\":\"' || (i % 5) || '\"}'",
        "complexity": "'0.5'",
        "state": "state",
        "accepted_at": "at - 1500",
        "finished_at": "at",
        "provider": "provider",
        "model": "model",
        "grant_ids": "'[]'",
        "flags": "'[]'",
        "input_tokens": "input",
        "output_tokens": "output",
        "cost": "input * 150 + output * 600",
    },
    "usage": {
        "run_id": "run_id",
        "attempt": "1",
        "at": "at",
        "provider": "provider",
        "model": "model",
        "principal": "principal",
        "session": "session",
        "key_id": "key_id",
        "agent": "agent",
        "job": "job",
        "tags": "'{\"team\":\"' || (i % 5) || '\"}'",
        "input_total": "input",
        "output_total": "output",
        "cache_read": "input / 4",
        "flags": "'[]'",
        "price_state": "'known'",
        "rates": "'[]'",
        "charge": "input * 150 + output * 600",
        "latency_ms": "200 + i * 13 % 4000",
    },
}


def history(directory: Path, runs: int) -> Path:
    """The state directory of a journal with that many runs, made now unless it is there."""
    state_dir = directory / f"usage-{runs}"
    finished = state_dir / JOURNAL_FILE
    if finished.exists():
        with closing(sqlite3.connect(finished, isolation_level=None)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version < LATEST:
                _migrate(database, [sql for number, sql in MIGRATIONS if number > version], runs)
        return state_dir
    say(f"a journal of {runs:,} runs, kept in {state_dir}")
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / "making.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        _make(database, runs)
    path.rename(finished)
    return state_dir


def _make(database: sqlite3.Connection, runs: int) -> None:
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "temp_store = FILE"):
        database.execute(f"PRAGMA {pragma}")
    before = [sql for _, sql in MIGRATIONS].index(SUMS)
    for _, sql in MIGRATIONS[:before]:
        database.executescript(sql)
    kept = database.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'index') AND sql IS NOT NULL"
        " AND tbl_name IN ('runs', 'usage')"
    ).fetchall()
    for kind, name, _ in kept:
        database.execute(f"DROP {kind} {name}")
    for table, filled in _FILLED.items():
        columns = {
            name: filled.get(name, "0" if kind == "INTEGER" else "''")
            for _, name, kind, needed, default, key in database.execute(f"PRAGMA table_info({table})").fetchall()
            if name in filled or (needed and not key and default is None)
        }
        where = "" if table == "runs" else " WHERE state <> 'refused'"
        database.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM ({_ROWS}){where}",
            {"runs": runs},
        )
    quarters = re.search(r"INSERT INTO model_usage .*?;", ZOOMS, re.DOTALL)
    assert quarters is not None, "a migration fills what it makes"
    database.execute(quarters.group(0))
    database.execute(_USAGE_DAYS)
    for _, _, sql in kept:
        database.execute(sql)
    _migrate(database, [sql for _, sql in MIGRATIONS[before:]], runs)
    database.execute("PRAGMA journal_mode = WAL")


def _migrate(database: sqlite3.Connection, migrations: Sequence[str], runs: int) -> None:
    for sql in migrations:
        begin = time.perf_counter()
        database.executescript(f"BEGIN; {sql}; COMMIT")
        took = time.perf_counter() - begin
        if took >= 1:
            say(f"a migration of {runs:,} runs took {took:.0f} s")
    database.execute(f"PRAGMA user_version = {LATEST}")


_USAGE_DAYS = """
INSERT INTO usage_days (day, principal, model, runs, ok, failed, refused, input_tokens, output_tokens, cached_tokens,
  cost, latency_ms, attempts)
SELECT at - at % 86400000, principal, model, sum(a), sum(b), sum(c), sum(d), sum(e), sum(f), sum(g), sum(h), sum(i),
  sum(j)
FROM (
  SELECT finished_at AS at, principal, model, 1 AS a, state = 'completed' AS b, state = 'failed' AS c,
    state = 'refused' AS d, 0 AS e, 0 AS f, 0 AS g, 0 AS h, 0 AS i, 0 AS j FROM runs
  UNION ALL
  SELECT at, principal, model, 0, 0, 0, 0, input_total, output_total, cache_read, charge, latency_ms, 1 FROM usage
)
GROUP BY 1, 2, 3
"""
