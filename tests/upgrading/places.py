"""Installations as earlier versions of Palyra left them: each was killed while a stream went on and a request waited.

`states/vNN.tar.xz` has the configuration and the state directory that the program of schema NN wrote. Some schemas came
together with later ones and were never the newest of a program; their journals are made from the one before by steps.
"""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

from palyra.journal.migrations import apply
from palyra.journal.schema import LATEST, MIGRATIONS

STATES = Path(__file__).with_name("states")
NEVER_NEWEST = {2: 1, 3: 1, 4: 1, 5: 1, 10: 9, 11: 9}
"""Schemas that came together with later ones, and the one that each is made from."""
SCHEMAS = tuple(
    schema for schema in range(1, LATEST + 1) if schema < LATEST or (STATES / f"v{LATEST:02}.tar.xz").exists()
)

Row = tuple[object, ...]
Content = dict[str, tuple[tuple[str, ...], set[Row]]]
"""By table: the names of its columns, and its rows."""

COMPUTED = (
    *("usage_hours", "usage_days", "principal_days", "model_usage", "principal_usage", "usage_sums"),
    *("decision_reasons", "memory_words", "memory_vocabulary", "sqlite_"),
)
"""What the names of tables begin with that are made out of others, and change their form; sums are compared with
their rows instead."""


def installation(root: Path, schema: int) -> tuple[Path, Path]:
    """Unpacks the one of a schema: its configuration file and its state directory."""
    with tarfile.open(STATES / f"v{NEVER_NEWEST.get(schema, schema):02}.tar.xz") as archive:
        archive.extractall(root, filter="data")
    state_dir = root / "state"
    state_dir.chmod(0o700)
    if schema in NEVER_NEWEST:
        with closing(sqlite3.connect(state_dir / "journal.db", isolation_level=None)) as database:
            apply(database, MIGRATIONS[:schema])
    return root / "palyra.toml", state_dir


def content(journal: Path) -> Content:
    """Every row that somebody wrote, read without a change to the file."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        found: Content = {}
        for (table,) in tables:
            if not table.startswith(COMPUTED):
                rows = database.execute(f"SELECT * FROM {table}")
                found[table] = tuple(column[0] for column in rows.description), set(rows)
        return found


def kept(before: Content, after: Content) -> list[str]:
    """What of `before` is not in `after`, table by table; a table may have got columns, and rows of other kinds."""
    lost = []
    for table, (columns, rows) in before.items():
        now_columns, now_rows = after.get(table, ((), set()))
        if set(columns) <= set(now_columns):
            places = [now_columns.index(column) for column in columns]
            rows = rows - {tuple(row[place] for place in places) for row in now_rows}
        lost += [f"{table}: {row}" for row in sorted(rows, key=str)]
    return lost


def newest_time(journal: Path) -> int:
    """When something was written last (UTC unix ms)."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        newest: int = database.execute(
            "SELECT max(at) FROM (SELECT at FROM audit UNION ALL SELECT at FROM usage"
            " UNION ALL SELECT at FROM run_notes UNION ALL SELECT finished_at FROM runs)"
        ).fetchone()[0]
    return newest


def column(found: Content, table: str, name: str) -> set[str]:
    """What a column holds; nothing where the table is not there yet."""
    columns, rows = found.get(table, ((name,), set()))
    return {str(row[columns.index(name)]) for row in rows}
