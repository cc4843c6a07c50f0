"""Bringing a journal file to the newest schema: one transaction per step, a backup of the file before each."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from palyra.core.errors import StateError
from palyra.journal.schema import MIGRATIONS
from palyra.journal.word_index import fitting

BACKUP_DIRECTORY = "backups"


def version_of(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def migrate(
    database: sqlite3.Connection,
    path: Path,
    now_ms: int,
    backup_keep: int,
    migrations: Sequence[tuple[int, str]] = MIGRATIONS,
) -> list[Path]:
    """Applies every migration above the file's version and returns the backups made; a new file needs none.

    Raises StateError for a schema that is newer than this program or a database that is no journal; such a file is
    left as it is.
    """
    latest = migrations[-1][0]
    version = version_of(database)
    if version > latest:
        raise StateError(
            f"The journal {path} has schema version {version}; this Palyra knows versions up to {latest}.",
            fix="Start the newer Palyra that wrote it, or choose another --state-dir.",
            code="journal_newer",
        )
    if version == 0 and database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise StateError(f"{path} is a database, but no journal of Palyra.", fix="Choose another --state-dir.")
    backups: list[Path] = []
    new = version == 0
    for number, sql in migrations:
        if number <= version:
            continue
        if not new:
            backups.append(back_up(database, path, version, now_ms, backup_keep))
        _apply(database, number, fitting(sql, database))
        version = number
    return backups


def back_up(database: sqlite3.Connection, path: Path, version: int, now_ms: int, keep: int) -> Path:
    """Copies the database into `backups/` beside it, mode 0600, and removes all but the newest `keep` copies."""
    directory = path.parent / BACKUP_DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    target = directory / f"journal-v{version}-{now_ms}.db"
    fresh = directory / f"{target.name}.tmp.{os.getpid()}"
    os.close(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(fresh)) as copy:
        database.backup(copy)
    _sync(fresh)
    os.replace(fresh, target)
    _sync(directory)
    for old in sorted(directory.glob("journal-v*-*.db"), key=_made_at)[:-keep]:
        old.unlink()
    return target


def _made_at(backup: Path) -> tuple[int, int, str]:
    """Orders backups by when they were made, those of one millisecond by the version they are of."""
    name, _, made = backup.stem.rpartition("-")
    version = name.removeprefix("journal-v")
    return (
        int(made) if made.isdecimal() else 0,
        int(version) if version.isdecimal() else 0,
        backup.name,
    )


def _apply(database: sqlite3.Connection, number: int, sql: str) -> None:
    try:
        database.executescript(f"BEGIN IMMEDIATE; {sql}; PRAGMA user_version = {number:d}; COMMIT;")
    except BaseException:
        if database.in_transaction:
            database.rollback()
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
