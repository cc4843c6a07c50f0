"""Where the operators' socket of a state directory lies: in it, or elsewhere when its path would be too long."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from palyra.core.private_files import private_dir, write_private

SOCKET_FILE = "operators.sock"
POINTER_FILE = "socket.path"
LONGEST = 107
"""Bytes of a Unix socket's path: `sun_path` holds 108, the last one NUL. Source: unix(7)."""


def choose_socket(state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where the engine of this state directory is to listen; the state directory names it when it lies elsewhere.

    Only for the engine that holds the directory's lock. Raises StateError when no private place can be had.
    """
    direct = state_dir / SOCKET_FILE
    pointer = state_dir / POINTER_FILE
    if fits(direct):
        with suppress(FileNotFoundError):
            pointer.unlink()
        return direct
    name = f"palyra-{os.geteuid()}-{hashlib.sha256(os.fsencode(state_dir.absolute())).hexdigest()[:12]}"
    elsewhere = short_directory(environ, name) / SOCKET_FILE
    write_private(pointer, os.fsencode(elsewhere) + b"\n")
    return elsewhere


def find_socket(state_dir: Path) -> Path:
    """Where an engine of this state directory listens, if there is one."""
    try:
        with (state_dir / POINTER_FILE).open("rb") as file:
            named = file.read(LONGEST + 1).strip()
    except OSError:
        named = b""
    return Path(os.fsdecode(named)) if named else state_dir / SOCKET_FILE


def fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= LONGEST


def short_directory(environ: Mapping[str, str], name: str) -> Path:
    """A private directory whose path is short: in the account's runtime directory, else under /tmp."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime) and fits(Path(runtime) / name / SOCKET_FILE):
        return private_dir(Path(runtime) / name, ours=(SOCKET_FILE,))
    return private_dir(Path("/tmp") / name, ours=(SOCKET_FILE,))  # noqa: S108 made private before use
