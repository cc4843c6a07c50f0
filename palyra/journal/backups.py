"""Copies of the journal as it was before an upgrade: `backups/journal-v<schema version>-<unix ms>.db`, each with the
head of the audit chain of that moment beside it (`.head`), so that both can be put back together.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from palyra.core.values import value

BACKUP_DIRECTORY = "backups"
HEAD_SUFFIX = ".head"
_PREFIX, _SUFFIX, _PASSING = "journal-v", ".db", ".tmp."


@value
class Copy:
    """One copy by its name: the schema `version` it has, and when it was made (UTC unix ms)."""

    name: str
    version: int
    made_at: int


def copies(names: Iterable[str]) -> list[Copy]:
    """Which of the names in `backups/` are copies, the oldest first, those of one moment by their version."""
    found = [one for name in names if (one := _read(name)) is not None]
    return sorted(found, key=lambda one: (one.made_at, one.version, one.name))


def _read(name: str) -> Copy | None:
    version, dash, made_at = name.removeprefix(_PREFIX).removesuffix(_SUFFIX).partition("-")
    if f"{_PREFIX}{version}{dash}{made_at}{_SUFFIX}" != name or not (version + made_at).isdecimal():
        return None
    return Copy(name, int(version or 0), int(made_at or 0))


def back_up(database: sqlite3.Connection, path: Path, head: Path, version: int, now_ms: int) -> Path:
    """Copies the database at `path`, and `head` if there is one, into `backups/`, mode 0600, durably.

    What a copying left that was cut short is removed first. Raises sqlite3.Error and OSError, and then leaves nothing.
    """
    directory = path.parent / BACKUP_DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    _sync(path.parent)
    for left in directory.glob(f"{_PREFIX}*{_PASSING}*"):
        left.unlink()
    target = directory / f"{_PREFIX}{version}-{now_ms}{_SUFFIX}"
    fresh = directory / f"{target.name}{_PASSING}{os.getpid()}"
    try:
        _begin(fresh)
        with closing(sqlite3.connect(fresh)) as copy:
            database.backup(copy)
        _sync(fresh)
        with suppress(FileNotFoundError):
            _copy_head(head, target.with_suffix(HEAD_SUFFIX))
        os.replace(fresh, target)
        _sync(directory)
    except BaseException:
        fresh.unlink(missing_ok=True)
        forget(target)
        raise
    return target


def _copy_head(head: Path, target: Path) -> None:
    with head.open("rb") as source:
        _begin(target)
        with target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    _sync(target)


def keep_newest(directory: Path, keep: int) -> None:
    """Removes all copies but the newest `keep`. Raises OSError."""
    for old in copies(os.listdir(directory))[:-keep]:
        forget(directory / old.name)


def forget(copy: Path) -> None:
    """Removes a copy with its head. Raises OSError."""
    copy.unlink(missing_ok=True)
    copy.with_suffix(HEAD_SUFFIX).unlink(missing_ok=True)


def _begin(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
