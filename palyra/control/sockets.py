"""Where the operators' socket of a state directory lies: in it, or elsewhere when its path would be too long."""

import hashlib
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from palyra.core.private_files import private_dir, write_private
from palyra.core.regular_files import read_regular

SOCKET_FILE = "operators.sock"
POINTER_FILE = "socket.path"
_OTHERS_WRITE = 0o022
LONGEST = 107
"""Bytes of a Unix socket's path: `sun_path` holds 108, the last one NUL. Source: unix(7)."""


def socket_path(state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where an engine of this state directory listens or would listen; makes nothing."""
    direct = state_dir / SOCKET_FILE
    if fits(direct):
        return direct
    name = f"palyra-{os.geteuid()}-{hashlib.sha256(os.fsencode(state_dir.absolute())).hexdigest()[:12]}"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime) and fits(elsewhere := Path(runtime) / name / SOCKET_FILE):
        return elsewhere
    return Path("/tmp") / name / SOCKET_FILE  # noqa: S108 made private before use


def choose_socket(state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where the engine of this state directory is to listen; the state directory names it when it lies elsewhere.

    Only for the engine that holds the directory's lock. Raises StateError when no private place can be had.
    """
    chosen = socket_path(state_dir, environ)
    pointer = state_dir / POINTER_FILE
    if chosen.parent == state_dir:
        with suppress(FileNotFoundError):
            pointer.unlink()
    else:
        private_dir(chosen.parent, ours=(SOCKET_FILE,))
        write_private(pointer, os.fsencode(chosen) + b"\n")
    return chosen


def find_socket(state_dir: Path) -> Path:
    """Where an engine of this state directory listens, if there is one.

    A place elsewhere counts only while it is private to the state's owner: the engine may be long gone and what lay in
    `/tmp` swept away, and then somebody else may listen there for what operators send, secrets among it.
    """
    try:
        named = read_regular(state_dir / POINTER_FILE, LONGEST + 1).strip()
    except OSError:
        named = b""
    elsewhere = Path(os.fsdecode(named))
    return elsewhere if named and _is_private(elsewhere.parent, state_dir) else state_dir / SOCKET_FILE


def _is_private(directory: Path, state_dir: Path) -> bool:
    try:
        found, owner = directory.lstat(), state_dir.stat().st_uid
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid in (os.geteuid(), owner) and not found.st_mode & _OTHERS_WRITE


def fits(path: Path) -> bool:
    """Whether a path is short enough for a socket, in bytes."""
    return len(os.fsencode(path)) <= LONGEST
