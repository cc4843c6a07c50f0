"""One engine per state directory: a lock of the operating system, which lets go when its holder dies."""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from palyra.core.errors import StateError
from palyra.core.processes import ProcessMark, own_mark
from palyra.core.reasons import reason_of
from palyra.core.regular_files import read_regular
from palyra.core.values import value

LOCK_FILE = "engine.lock"
LONGEST = 4096
"""Bytes that are read of it."""


@value
class LockHolder:
    """What the holder wrote about itself. It may be dead: only its socket, or trying to lock, tells."""

    pid: int
    socket: str
    process: ProcessMark | None = field(default=None, compare=False)


class EngineLock:
    """The lock of one state directory, at `engine.lock` there."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / LOCK_FILE
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._descriptor is not None

    def acquire(self, socket: Path | None = None) -> None:
        """Takes the lock and writes down this process and its operators' socket.

        Raises StateError, naming the holder's pid, when another engine has it, or when the file cannot be opened or
        written.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"The state directory {self.path.parent} cannot be locked: {error.strerror}.",
                fix="Choose one you may write to with --state-dir.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise StateError(f"The file system of {self.path} cannot lock files: {error.strerror}.") from error
            holder = self.holder()
            who = f"pid {holder.pid}" if holder else "another process"
            raise StateError(
                f"An engine already runs on {self.path.parent} ({who}).",
                fix="Attach to it with palyra-tui, stop it, or choose another --state-dir.",
                code="locked",
            ) from error
        self._descriptor = descriptor
        try:
            self._describe({**own_mark().to_json(), "socket": str(socket) if socket else ""})
        except OSError as error:
            self.release()
            raise StateError(
                f"{self.path} cannot be written: {reason_of(error)}.", fix="Make room on its file system."
            ) from error

    def release(self) -> None:
        """Lets go; the file stays, since removing it would let two engines lock two files of one name."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        # A disk that refuses this must not keep the directory locked: who reads the file looks whether its pid lives.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        os.close(descriptor)

    def holder(self) -> LockHolder | None:
        """Who took the lock last and did not let go in order; None when nobody is written there."""
        try:
            return read_holder(read_regular(self.path, LONGEST))
        except OSError:
            return None

    def _describe(self, data: dict[str, object]) -> None:
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(data).encode() + b"\n", 0)


def read_holder(data: bytes) -> LockHolder | None:
    """Whom the content of a lock file names; None for nobody."""
    try:
        told = json.loads(data)
        return LockHolder(int(told["pid"]), str(told["socket"]), ProcessMark.read(told))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
