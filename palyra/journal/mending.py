"""Journals that are made out of others: brought up to date, with sums counted anew. The original stays as it is.

Each takes a journal nobody writes to, with what its WAL holds, and makes a file of its own that needs none.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from palyra.core.errors import PalyraError
from palyra.journal.folding import folded_until
from palyra.journal.migrations import apply, check_version
from palyra.journal.readers.sums_check import EVER, facts_of_days, facts_of_kind, facts_of_reasons
from palyra.journal.readers.usage_facts import DAYS, METRICS, REASON_STEPS
from palyra.journal.readers.usage_sums import KINDS, SUMS

SIDES = ("-wal", "-shm")
"""What SQLite keeps beside a database."""
_NAMES = ", ".join(METRICS)
_SUMMED = ", ".join(f"sum({metric})" for metric in METRICS)
_RUNNING = ", ".join(
    f"sum(sum({metric})) OVER (PARTITION BY name, provider ORDER BY start) AS {metric}" for metric in METRICS
)


class UnmendableError(PalyraError):
    """No journal could be made out of the one there is."""

    code = "unmendable"


def settle(source: Path, product: Path) -> tuple[str, ...]:
    """The same journal with everything its WAL holds in the file itself. Raises UnmendableError, OSError."""
    with _copied(source, product):
        return ()


def bring_up_to_date(source: Path, product: Path) -> tuple[str, ...]:
    """The same journal in the newest schema; tells its old version. Raises UnmendableError, StateError, OSError."""
    with _copied(source, product) as database:
        database.execute("PRAGMA foreign_keys = ON")
        old = check_version(database, source)
        apply(database)
        return (f"from schema version {old}",)


def count_sums_anew(source: Path, product: Path) -> tuple[str, ...]:
    """The same journal with every sum recomputed from the rows. Raises UnmendableError, OSError."""
    with _copied(source, product) as database:
        sum_up(database)
        return ()


def sum_up(database: sqlite3.Connection) -> None:
    """Recomputes all sums from the rows, in one transaction; those whose rows have gone in time stay. Raises
    sqlite3.Error."""
    since = folded_until(database) or EVER[0]
    (going_on,) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'sums_go_on'").fetchone()
    database.execute("BEGIN IMMEDIATE")
    # Entries are written as the running sums they are; the trigger would add the one before to each.
    database.execute("DROP TRIGGER sums_go_on")
    for table, at in ((SUMS, "start"), (DAYS, "day"), ("decision_reasons", "start")):
        database.execute(f"DELETE FROM {table} WHERE {at} >= ?", (since,))
    for kind in KINDS:
        database.execute(
            f"INSERT INTO {SUMS} (kind, name, provider, start, {_NAMES})"
            f" SELECT '{kind}', name, provider, start, {_NAMES} FROM (SELECT name, provider, start, {_RUNNING}"
            f" FROM ({facts_of_kind(kind)} UNION ALL {_up_to_there(kind)}) GROUP BY name, provider, start)"
            " WHERE start >= ?1",
            (since, EVER[1]),
        )
    database.execute(
        f"INSERT INTO {DAYS} (day, principal, model, {_NAMES}) SELECT day, principal, model, {_SUMMED}"
        f" FROM ({facts_of_days()}) GROUP BY day, principal, model",
        (since, EVER[1]),
    )
    for step in REASON_STEPS:
        database.execute(
            f"INSERT INTO decision_reasons (step, start, reason, decisions) SELECT {step}, start, reason,"
            f" sum(decisions) FROM ({facts_of_reasons(step)}) GROUP BY start, reason",
            (since, EVER[1]),
        )
    database.execute(going_on)
    database.execute("COMMIT")


def _up_to_there(kind: str) -> str:
    """SQL of the entry of each key that those from ?1 on go on from."""
    before = f"last.kind = '{kind}' AND last.name = base.name AND last.provider = base.provider AND last.start < ?1"
    return (
        f"SELECT start, name, provider, {_NAMES} FROM {SUMS} AS base WHERE kind = '{kind}'"
        f" AND start = (SELECT max(start) FROM {SUMS} AS last WHERE {before})"
    )


@contextmanager
def _copied(source: Path, product: Path) -> Iterator[sqlite3.Connection]:
    """A copy with its WAL, open for writing; it is one file at the end, or is gone after an error."""
    try:
        copy_journal(source, product)
        with closing(opened(product)) as database:
            yield database
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for side in SIDES:
            with_side(product, side).unlink(missing_ok=True)
    except sqlite3.Error as error:
        forget(product)
        raise UnmendableError(f"{source.name} cannot be worked on: {error}.") from error
    except BaseException:
        forget(product)
        raise


def copy_journal(source: Path, product: Path) -> None:
    """Copies a journal and its WAL, for this account alone. Raises OSError."""
    for side in ("", "-wal"):
        origin, copy = with_side(source, side), with_side(product, side)
        if side and not origin.exists():
            continue
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with origin.open("rb") as reading, os.fdopen(descriptor, "wb") as writing:
            shutil.copyfileobj(reading, writing)


def opened(path: Path) -> sqlite3.Connection:
    """A connection of one's own; each statement is a transaction unless one is begun. Raises sqlite3.Error."""
    return sqlite3.connect(path, isolation_level=None)


def with_side(path: Path, side: str) -> Path:
    """A file of SQLite with what lies beside it."""
    return path.with_name(f"{path.name}{side}")


def forget(product: Path) -> None:
    """Removes what was made so far."""
    for side in ("", *SIDES):
        with_side(product, side).unlink(missing_ok=True)
