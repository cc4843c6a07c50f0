"""Bringing a journal file to the newest schema: a backup of it first, then every step in one transaction, so that
whatever happens in between leaves the journal as its own version wrote it, or as the newest does.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from palyra.core.errors import StateError
from palyra.core.reasons import reason_of
from palyra.journal.audit import HEAD_FILE
from palyra.journal.backups import BACKUP_DIRECTORY, back_up, copies, forget, keep_newest
from palyra.journal.schema import MIGRATIONS
from palyra.journal.word_index import fitting

Steps = Sequence[tuple[int, str]]
MIB = 1024**2


def version_of(database: sqlite3.Connection) -> int:
    """The schema a journal is of."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def migrate(
    database: sqlite3.Connection, path: Path, now_ms: int, backup_keep: int, migrations: Steps = MIGRATIONS
) -> Path | None:
    """Brings the journal at `path` to the newest schema and returns the backup made; None where it had it, or is new.

    Raises StateError, and leaves the journal as it is: for a schema newer than this program, for a database that is no
    journal, and where the backup or a step fails, as on a full disk.
    """
    latest, version = migrations[-1][0], check_version(database, path, migrations)
    if version in (0, latest):
        apply(database, migrations)
        return None
    backup: Path | None = None
    try:
        backup = back_up(database, path, path.parent / HEAD_FILE, version, now_ms)
        apply(database, migrations)
    except (sqlite3.Error, OSError) as error:
        if backup is not None:
            # A start that is tried again and again must not push out copies of what is not there any more.
            forget(backup)
        raise _not_migrated(path, version, latest, error) from error
    with suppress(OSError):
        # A copy too many keeps nobody from starting.
        keep_newest(backup.parent, backup_keep)
    return backup


def check_version(database: sqlite3.Connection, path: Path, migrations: Steps = MIGRATIONS) -> int:
    """The schema version of a journal, 0 for a new file. Raises StateError for a newer one and for no journal."""
    latest, version = migrations[-1][0], version_of(database)
    if version > latest:
        raise _newer(path, version, latest)
    if version == 0 and database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise StateError(f"{path} is a database, but no journal of Palyra.", fix="Choose another --state-dir.")
    return version


def apply(database: sqlite3.Connection, migrations: Steps = MIGRATIONS) -> None:
    """Applies every migration above the database's version: all of them or none. Raises sqlite3.Error."""
    version = version_of(database)
    steps = [(number, fitting(sql, database)) for number, sql in migrations if number > version]
    if not steps:
        return
    text = "".join(f"{sql};\nPRAGMA user_version = {number:d};\n" for number, sql in steps)
    try:
        database.executescript(f"BEGIN IMMEDIATE;\n{text}COMMIT;")
    except BaseException:
        if database.in_transaction:
            database.rollback()
        raise


def _newer(path: Path, version: int, latest: int) -> StateError:
    directory = path.parent / BACKUP_DIRECTORY
    older = [one for one in copies(os.listdir(directory) if directory.is_dir() else ()) if one.version <= latest]
    put_back = f", put back the copy from before its upgrade ({BACKUP_DIRECTORY}/{older[-1].name})" if older else ""
    return StateError(
        f"The journal {path} has schema version {version}; this Palyra knows versions up to {latest}.",
        fix=f"Start the newer Palyra that wrote it{put_back}, or choose another --state-dir.",
        code="journal_newer",
    )


def _not_migrated(path: Path, version: int, latest: int, error: sqlite3.Error | OSError) -> StateError:
    size = -(-path.stat().st_size // MIB)
    return StateError(
        f"{path} could not be brought from schema version {version} to {latest}: {reason_of(error)}. It is as it was.",
        fix=f"The disk needs {2 * size} MiB for a copy and the change. The Palyra that wrote it can go on with it.",
        code="journal_not_migrated",
    )
