"""Every write of the process under one directory, in order and numbered: where it is killed, torn or failed."""

import errno
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar

from palyra.journal.lock import LOCK_FILE
from tests.faults.stable import Disk

T = TypeVar("T")

Side = Literal["before", "after", "torn"]

_PASSING_NAME = re.compile(r"\.tmp\.\d+(?:\.[0-9a-f]+)?")
"""What differs from one process to the next in the name of a file that is being written."""


TRAIL = 8
"""Digits of a digest by which two histories are told apart."""


@dataclass(frozen=True, slots=True)
class Write:
    """One thing the process asks of the system: its number from 1, what it is, and the file's path below the root."""

    number: int
    kind: str
    path: str
    size: int = 0
    offset: int = 0

    def __str__(self) -> str:
        where = f" {self.size} bytes at {self.offset}" if self.size else ""
        return f"write {self.number}: {self.kind} {self.path}{where}"


@dataclass(frozen=True, slots=True)
class Death:
    """Where SIGKILL comes. `torn`: after `part` of the bytes of that write, from 0 to 1, reached the file; a write that
    has no bytes is torn by dying before it."""

    write: int
    side: Side
    part: float = 0.5


@dataclass(frozen=True, slots=True)
class Failing:
    """`error` (an errno) is what writes of these numbers come to, `last` included; a `sync` may fail alone."""

    first: int
    last: int
    error: int
    only: str = ""

    def hits(self, number: int, kind: str) -> bool:
        return self.first <= number <= self.last and (not self.only or kind == self.only)


@dataclass(slots=True)
class Passing:
    """One per process. Nothing is counted until it watches."""

    root: str = ""
    death: Death | None = None
    failing: Sequence[Failing] = ()
    count: int = 0
    failed: int = 0
    seen: list[Write] | None = None
    disk: Disk | None = None
    """What of all that is on stable storage, where the power is to be cut."""
    dying: Callable[[Write], None] = lambda write: None
    """Told of the write at which the process dies, just before."""
    trail: list[str] = field(default_factory=list)
    """Of each write, what the digest began with after it, its kind and its path."""
    _digest: Any = field(default_factory=sha256)

    @contextmanager
    def watching(self, root: Path) -> Iterator[list[Write]]:
        """Yields what passes by, for a proof."""
        before, self.root, self.seen = self.root, f"{root}{os.sep}", []
        try:
            yield self.seen
        finally:
            self.root, self.seen, self.count = before, None, 0

    def begin(self, root: Path, death: Death | None = None, failing: Sequence[Failing] = ()) -> None:
        """From here on writes below `root` are counted."""
        self.root, self.death, self.failing, self.count = f"{root}{os.sep}", death, failing, 0
        self._digest, self.trail = sha256(), []

    @property
    def digest(self) -> str:
        """Of all that passed by: what was written where, in which order."""
        return str(self._digest.hexdigest())

    def watches(self, path: str) -> bool:
        return bool(self.root) and path.startswith(self.root)

    def disk_at(self, path: str) -> Disk | None:
        """The disk that is to be told of what happens there."""
        return self.disk if self.watches(path) or path == self.root[: -len(os.sep)] else None

    def by(self, kind: str, path: str, size: int, do: Callable[[int], T], offset: int = 0) -> T:
        """Does it: `do` is given how many of the bytes. Raises OSError where it is to fail; does not return where the
        process is to die."""
        if not self.watches(path):
            return do(size)
        self.count += 1
        write = Write(self.count, kind, _PASSING_NAME.sub(".tmp", path[len(self.root) :]), size, offset)
        named = f"{kind} {write.path}"
        # The lock tells the process's number, which is longer in one process than in another.
        self._digest.update(f"{named if write.path.endswith(LOCK_FILE) else write}\n".encode())
        self.trail.append(f"{self.digest[:TRAIL]} {named}")
        if self.seen is not None:
            self.seen.append(write)
        death = self.death if self.death is not None and self.death.write == self.count else None
        if death is not None and death.side != "after":
            if death.side == "torn" and size > 1:
                do(max(1, min(size - 1, int(size * death.part))))
            self._die(write)
        for failing in self.failing:
            if failing.hits(self.count, kind):
                self.failed += 1
                if kind == "sync" and self.disk is not None:
                    self.disk.sync_failed(path)
                if failing.error == errno.ENOSPC and size > 1:
                    # A disk that becomes full takes what it has room for.
                    do(size // 2)
                if death is not None:
                    self._die(write)
                raise OSError(failing.error, os.strerror(failing.error))
        try:
            return do(size)
        finally:
            # Also where the system refused it by itself.
            if death is not None:
                self._die(write)

    def _die(self, write: Write) -> None:
        self.dying(write)
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()
