"""Stands between the program's own files and the system: everything `os` changes under the watched directory."""

import io
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.passing import Passing

BY_DESCRIPTOR = {"fsync": "sync", "ftruncate": "truncate", "fchmod": "dress"}
BY_PATH = {"unlink": "remove", "remove": "remove", "mkdir": "make", "rmdir": "remove", "chmod": "dress"}
BY_TWO_PATHS = {"rename": "rename", "replace": "rename", "link": "link"}


def stand_between(patch: pytest.MonkeyPatch, passing: Passing) -> None:
    """From here on what the process does to its files passes by. What a call is for and where comes first, what it
    would have done else after it: arguments stay as they are."""
    for name, kind in BY_DESCRIPTOR.items():
        patch.setattr(os, name, _by_descriptor(getattr(os, name), kind, passing))
    for name, kind in BY_PATH.items():
        patch.setattr(os, name, _by_path(getattr(os, name), kind, passing))
    for name, kind in BY_TWO_PATHS.items():
        patch.setattr(os, name, _by_two_paths(getattr(os, name), kind, passing))
    patch.setattr(os, "open", _creating(os.open, passing))
    patch.setattr(os, "write", _writing(os.write, passing))
    patch.setattr(os, "pwrite", _writing(os.pwrite, passing))
    patch.setattr(os, "fdopen", _buffered(os.fdopen, passing))


def path_of(descriptor: int) -> str:
    """What a descriptor is open on."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _by_descriptor(usual: Callable[..., Any], kind: str, passing: Passing) -> Callable[..., Any]:
    def call(descriptor: int, *rest: Any) -> Any:
        return passing.by(kind, path_of(descriptor), 0, lambda _: usual(descriptor, *rest))

    return call


def _by_path(usual: Callable[..., Any], kind: str, passing: Passing) -> Callable[..., Any]:
    def call(path: Any, *rest: Any, **named: Any) -> Any:
        # A path beside a directory's descriptor tells nothing by itself; nothing of ours is named so.
        return passing.by(kind, os.fspath(path), 0, lambda _: usual(path, *rest, **named))

    return call


def _by_two_paths(usual: Callable[..., Any], kind: str, passing: Passing) -> Callable[..., Any]:
    def call(old: Any, new: Any, **named: Any) -> Any:
        return passing.by(kind, os.fspath(new), 0, lambda _: usual(old, new, **named))

    return call


def _creating(usual: Callable[..., int], passing: Passing) -> Callable[..., int]:
    def call(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        name = os.fspath(path) if not isinstance(path, int) else ""
        changes = flags & os.O_TRUNC or (flags & os.O_CREAT and not os.path.lexists(name))
        if not (isinstance(name, str) and changes and passing.watches(name)):
            return usual(path, flags, *rest, **named)
        return passing.by("create", name, 0, lambda _: usual(path, flags, *rest, **named))

    return call


def _writing(usual: Callable[..., int], passing: Passing) -> Callable[..., int]:
    def call(descriptor: int, data: Any, *rest: int) -> int:
        offset = rest[0] if rest else 0
        whole = memoryview(data)
        path = path_of(descriptor)
        return passing.by("write", path, len(whole), lambda some: usual(descriptor, whole[:some], *rest), offset)

    return call


class _Passing(io.FileIO):
    """A file whose writes pass by; what is buffered above it comes in the pieces the system would see."""

    def __init__(self, descriptor: int, mode: str, passing: Passing) -> None:
        super().__init__(descriptor, mode)
        self._passing = passing

    def write(self, data: Any) -> int:
        whole = memoryview(data)
        return self._passing.by(
            "write", path_of(self.fileno()), len(whole), lambda some: super(_Passing, self).write(whole[:some])
        )


def _buffered(usual: Callable[..., Any], passing: Passing) -> Callable[..., Any]:
    def call(descriptor: int, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if mode != "wb" or not passing.watches(path_of(descriptor)):
            return usual(descriptor, mode, *rest, **named)
        return io.BufferedWriter(_Passing(descriptor, mode, passing))

    return call
