"""Stands between the program's own files and the system: everything `os` changes under the watched directory."""

import builtins
import fcntl
import io
import os
import stat
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.passing import Passing
from tests.faults.stable import Disk

Heard = Callable[..., None]
"""Tells the disk what was done, by the path and what else the call was given."""

BY_DESCRIPTOR: dict[str, tuple[str, Heard]] = {
    "fsync": ("sync", Disk.sync),
    "fdatasync": ("sync", Disk.sync),
    "ftruncate": ("truncate", Disk.truncate),
    "fchmod": ("dress", Disk.dress),
}
BY_PATH: dict[str, tuple[str, Heard]] = {
    "unlink": ("remove", Disk.remove),
    "remove": ("remove", Disk.remove),
    "rmdir": ("remove", Disk.remove),
    "mkdir": ("make", lambda disk, path, *_: disk.make(path, _mode(path))),
    "chmod": ("dress", Disk.dress),
}
BY_TWO_PATHS: dict[str, tuple[str, Heard]] = {
    "rename": ("rename", Disk.rename),
    "replace": ("rename", Disk.rename),
    "link": ("link", Disk.link),
}


def stand_between(patch: pytest.MonkeyPatch, passing: Passing) -> None:
    """From here on what the process does to its files passes by. What a call is for and where comes first, what it
    would have done else after it: arguments stay as they are."""
    for name, (kind, heard) in BY_DESCRIPTOR.items():
        patch.setattr(os, name, _by_descriptor(getattr(os, name), kind, heard, passing))
    for name, (kind, heard) in BY_PATH.items():
        patch.setattr(os, name, _by_path(getattr(os, name), kind, heard, passing))
    for name, (kind, heard) in BY_TWO_PATHS.items():
        patch.setattr(os, name, _by_two_paths(getattr(os, name), kind, heard, passing))
    patch.setattr(os, "open", _creating(os.open, passing))
    patch.setattr(os, "write", _writing(os.write, passing))
    patch.setattr(os, "pwrite", _writing(os.pwrite, passing))
    patch.setattr(os, "fdopen", _buffered(os.fdopen, passing))
    opened = _opened(io.open, passing)
    patch.setattr(io, "open", opened)
    patch.setattr(builtins, "open", opened)


def path_of(descriptor: int) -> str:
    """What a descriptor is open on."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def _by_descriptor(usual: Callable[..., Any], kind: str, heard: Heard, passing: Passing) -> Callable[..., Any]:
    def call(descriptor: int, *rest: Any) -> Any:
        path = path_of(descriptor)

        def do(_: int) -> Any:
            done = usual(descriptor, *rest)
            if (disk := passing.disk_at(path)) is not None:
                heard(disk, path, *rest)
            return done

        return passing.by(kind, path, 0, do)

    return call


def _by_path(usual: Callable[..., Any], kind: str, heard: Heard, passing: Passing) -> Callable[..., Any]:
    def call(path: Any, *rest: Any, **named: Any) -> Any:
        whole = os.fspath(path)
        if (beside := named.get("dir_fd")) is not None:
            whole = os.path.join(path_of(beside), whole)

        def do(_: int) -> Any:
            done = usual(path, *rest, **named)
            if (disk := passing.disk_at(whole)) is not None:
                heard(disk, whole, *rest[:1])
            return done

        return passing.by(kind, whole, 0, do)

    return call


def _by_two_paths(usual: Callable[..., Any], kind: str, heard: Heard, passing: Passing) -> Callable[..., Any]:
    def call(old: Any, new: Any, **named: Any) -> Any:
        path = os.fspath(new)

        def do(_: int) -> Any:
            done = usual(old, new, **named)
            if (disk := passing.disk_at(path)) is not None:
                heard(disk, os.fspath(old), path)
            return done

        return passing.by(kind, path, 0, do)

    return call


def _creating(usual: Callable[..., int], passing: Passing) -> Callable[..., int]:
    def call(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        name = os.fspath(path) if not isinstance(path, int) else ""
        changes = flags & os.O_TRUNC or (flags & os.O_CREAT and not os.path.lexists(name))
        if not (isinstance(name, str) and changes and passing.watches(name)):
            return usual(path, flags, *rest, **named)

        def do(_: int) -> int:
            descriptor = usual(path, flags, *rest, **named)
            if passing.disk is not None:
                passing.disk.create(name, _mode(name))
            return descriptor

        return passing.by("create", name, 0, do)

    return call


def _writing(usual: Callable[..., int], passing: Passing) -> Callable[..., int]:
    def call(descriptor: int, data: Any, *rest: int) -> int:
        whole = memoryview(data)
        path = path_of(descriptor)
        offset = rest[0] if rest else _place(descriptor, path, passing)

        def do(some: int) -> int:
            done = usual(descriptor, whole[:some], *rest)
            _written(passing, path, offset, whole[:done])
            return done

        return passing.by("write", path, len(whole), do, offset)

    return call


def _place(descriptor: int, path: str, passing: Passing) -> int:
    """Where the next bytes go."""
    if not passing.watches(path):
        return 0
    appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
    return os.fstat(descriptor).st_size if appends else os.lseek(descriptor, 0, os.SEEK_CUR)


def _written(passing: Passing, path: str, offset: int, data: memoryview) -> None:
    if (disk := passing.disk_at(path)) is not None:
        disk.write(path, offset, bytes(data))


class _Passing(io.FileIO):
    """A file whose writes pass by; what is buffered above it comes in the pieces the system would see."""

    def __init__(self, descriptor: int, mode: str, passing: Passing) -> None:
        super().__init__(descriptor, mode)
        self._passing = passing

    def write(self, data: Any) -> int:
        whole = memoryview(data)
        path, offset = path_of(self.fileno()), _place(self.fileno(), path_of(self.fileno()), self._passing)

        def do(some: int) -> int:
            done = super(_Passing, self).write(whole[:some])
            _written(self._passing, path, offset, whole[:done])
            return done

        return self._passing.by("write", path, len(whole), do, offset)


def _buffered(usual: Callable[..., Any], passing: Passing) -> Callable[..., Any]:
    def call(descriptor: int, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if mode != "wb" or not passing.watches(path_of(descriptor)):
            return usual(descriptor, mode, *rest, **named)
        return io.BufferedWriter(_Passing(descriptor, mode, passing))

    return call


def _opened(usual: Callable[..., Any], passing: Passing) -> Callable[..., Any]:
    """What is opened by name to be written is opened by descriptor."""

    def call(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **rest: Any,
    ) -> Any:
        path = os.fspath(file) if isinstance(file, str | os.PathLike) else ""
        if mode not in _FLAGS or not passing.watches(str(path)):
            return usual(file, mode, buffering, encoding, errors, newline, **rest)
        descriptor = os.open(path, _FLAGS[mode] | os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        raw = io.BufferedWriter(_Passing(descriptor, "wb", passing))
        if "b" in mode:
            return raw
        return io.TextIOWrapper(raw, encoding, errors, newline)

    return call


_FLAGS = {"w": os.O_TRUNC, "wb": os.O_TRUNC, "a": os.O_APPEND, "ab": os.O_APPEND, "x": os.O_EXCL, "xb": os.O_EXCL}
