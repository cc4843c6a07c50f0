"""The disk under the journal: it fills up, lies about what it wrote, and keeps what a killed process left on it."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from palyra.journal import writer
from palyra.journal.journal import JOURNAL_FILE

WAL = f"{JOURNAL_FILE}-wal"
SHARED = f"{JOURNAL_FILE}-shm"


class Disk:
    """Stands between the writer and SQLite. `die_at` counts commits down to the one in which the process is killed."""

    def __init__(self, dice: random.Random, die: Callable[[], None]) -> None:
        self._dice = dice
        self._die = die
        self._commit = writer._commit
        self.state_dir = Path()
        self.full = False
        self.lying = False
        self.die_in: int | None = None
        self.commits = 0
        self.failed = 0
        self.lies = 0
        self._before = b""

    def commit(self, database: sqlite3.Connection, *rest: Any) -> Any:
        """In place of the writer's own commit."""
        self.commits += 1
        if self.die_in is not None:
            self.die_in -= 1
            if self.die_in <= 0:
                self._killed_within(database, rest)
        if self.full and not self.lying:
            self.failed += 1
            raise sqlite3.OperationalError("database or disk is full")
        done = self._commit(database, *rest)
        if self.full:
            self.lies += 1
            raise sqlite3.OperationalError("disk I/O error")
        return done

    def _killed_within(self, database: sqlite3.Connection, rest: tuple[Any, ...]) -> None:
        """The process dies while this commit is being written: some of its bytes are there, from the first on."""
        self.die_in = None
        wal, main = self.state_dir / WAL, self.state_dir / JOURNAL_FILE
        before = wal.read_bytes() if wal.exists() else b""
        old = sha256(main.read_bytes()).digest()
        self._commit(database, *rest)
        after = wal.read_bytes()
        checkpointed = sha256(main.read_bytes()).digest() != old
        self._torn = None if checkpointed else _torn(before, after, self._dice)
        self._die()

    _torn: bytes | None = None

    def crash_image(self, into: Path) -> None:
        """What lies in the state directory the moment the process dies, as the next one finds it."""
        shutil.copytree(self.state_dir, into, ignore=shutil.ignore_patterns(SHARED, "*.sock"))
        if self._torn is not None:
            (into / WAL).write_bytes(self._torn)
            self._torn = None


def _torn(before: bytes, after: bytes, dice: random.Random) -> bytes:
    """The bytes of `after` up to somewhere within what changed, and what was there before from there on."""
    length = max(len(before), len(after))
    old, new = before.ljust(length, b"\0"), after.ljust(length, b"\0")
    first = next(
        (index for index in range(0, length, 4096) if old[index : index + 4096] != new[index : index + 4096]), 0
    )
    cut = dice.randint(first, len(after))
    return (new[:cut] + old[cut:])[: max(len(before), cut)]
