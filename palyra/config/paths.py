"""Which file is the configuration, and where state lives. The environment is passed in; nothing is created."""

import os
import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import platformdirs

from palyra.core.values import value

APP = "palyra"
FILE_NAME = "palyra.toml"
SYSTEM_FILE = Path("/etc/palyra/palyra.toml")
MAX_FILE = 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@value
class Candidate:
    """One place a configuration may be. `named`: somebody asked for this very file, so it must be there."""

    source: str
    path: Path
    named: bool


@value
class FileRead:
    """The bytes of a file (at most one more than `MAX_FILE`), or why it could not be read. Both None: none is there."""

    data: bytes | None = None
    refused: str | None = None


class Standing(StrEnum):
    """How a place stands where a configuration may be."""

    READABLE = "readable"
    MISSING = "missing"
    UNREADABLE = "unreadable"


def standing_of(path: Path) -> Standing:
    """Whether a file is there and can be read."""
    found = read_config_file(path)
    if found.data is not None:
        return Standing.READABLE
    return Standing.MISSING if found.refused is None else Standing.UNREADABLE


def config_candidates(
    config_path: Path | None, environ: Mapping[str, str], system_file: Path = SYSTEM_FILE
) -> tuple[Candidate, ...]:
    """Every place looked at, in order; the first that is there is the configuration and is never combined."""
    if config_path is not None:
        return (Candidate("--config", config_path, named=True),)
    if named := environ.get("PALYRA_CONFIG", "").strip():
        return (Candidate("PALYRA_CONFIG", Path(named), named=True),)
    user = _base(environ, "XDG_CONFIG_HOME", ".config") or platformdirs.user_config_path(APP)
    return (
        Candidate("user", user / FILE_NAME, named=False),
        Candidate("system", system_file, named=False),
    )


def state_dir(cli_value: Path | None, environ: Mapping[str, str]) -> Path:
    """Where state lives: `--state-dir`, `PALYRA_STATE_DIR`, else the platform's place. Absolute; not created."""
    named = environ.get("PALYRA_STATE_DIR", "").strip()
    chosen = cli_value or (Path(named) if named else None)
    if chosen is None:
        chosen = _base(environ, "XDG_STATE_HOME", ".local/state") or platformdirs.user_state_path(APP)
    return chosen.absolute()


def _base(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """The platform's rule asked of the given environment; None where only the process knows (no HOME)."""
    base = environ.get(variable, "").strip()
    if os.path.isabs(base):
        return Path(base) / APP
    home = environ.get("HOME", "").strip()
    return Path(home) / below_home / APP if os.path.isabs(home) else None


def read_config_file(path: Path) -> FileRead:
    """Reads a regular file without ever waiting for it: a device, pipe or directory is refused."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return FileRead(refused="it is no regular file")
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return FileRead(refused="it is no regular file")
            return FileRead(data=file.read(MAX_FILE + 1))
    except (FileNotFoundError, NotADirectoryError):
        return FileRead()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return FileRead(refused=reason or "its name cannot be used")
