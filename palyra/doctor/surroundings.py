"""What Palyra stands on: the interpreter, its packages, SQLite, zone rules, the terminal."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import metadata, util
from pathlib import Path
from zoneinfo import ZoneInfo

from palyra.core.values import value
from palyra.core.windows import load_zone

OLDEST_PYTHON = (3, 11)
REQUIRED: Mapping[str, tuple[str, str]] = {
    "aiohttp": ("aiohttp", ">=3.14.5"),
    "aiosqlite": ("aiosqlite", ">=0.22.1"),
    "croniter": ("croniter", ">=6.2.2"),
    "cryptography": ("cryptography", ">=48.0.0"),
    "genai-prices": ("genai_prices", ">=0.2.3"),
    "httpx": ("httpx", ">=0.28.1"),
    "orjson": ("orjson", ">=3.11.0"),
    "platformdirs": ("platformdirs", ">=4.9.6"),
    "prometheus-client": ("prometheus_client", ">=0.23.1"),
    "pydantic": ("pydantic", ">=2.13.4"),
    "pydantic-settings": ("pydantic_settings", ">=2.14.1"),
    "rich": ("rich", ">=15.0.0"),
    "sqlite-vec": ("sqlite_vec", ">=0.1.9"),
    "textual": ("textual", "==8.2.8"),
    "tomlkit": ("tomlkit", ">=0.15.1"),
    "typer": ("typer", ">=0.29.2"),
    "tzdata": ("tzdata", ">=2026.6"),
}
"""Packages by the name they are installed by: their module, and the version that is needed."""

SYSTEM_ZONES = Path("/usr/share/zoneinfo")
COMPARED = timedelta(days=730)
"""So far ahead, day by day, the rules of a zone are compared with the system's."""
SMALLEST_TERMINAL = (80, 24)


@value
class Terminal:
    """Cells across and down, and what text is written in."""

    columns: int
    lines: int
    encoding: str


@value
class Surroundings:
    """`packages` at fault with what is wrong; `zones_missing` is why the pinned zone rules cannot be read, empty when
    they can. `terminal` is None where nobody looks at one."""

    python: tuple[int, ...]
    packages: Mapping[str, str]
    sqlite: tuple[int, ...]
    zones_missing: str = ""
    terminal: Terminal | None = None


def look_around(terminal: Terminal | None) -> Surroundings:
    """All but the zones, which depend on what is in use."""
    from palyra.journal.library import version

    packages = {name: fault for name in REQUIRED if (fault := package_fault(name))}
    return Surroundings(tuple(sys.version_info[:3]), packages, version(), _zones_missing(), terminal=terminal)


def package_fault(name: str) -> str:
    """What is wrong with a required package; empty when nothing is."""
    module, needed = REQUIRED[name]
    try:
        if util.find_spec(module) is None:
            return f"it is not installed; {needed} is needed"
        found = metadata.version(name)
    except (ImportError, ValueError, metadata.PackageNotFoundError) as error:
        return f"it cannot be used: {error}"
    wanted = needed[2:]
    fits = found == wanted if needed.startswith("==") else _numbers(found) >= _numbers(wanted)
    return "" if fits else f"version {found} is installed; {needed} is needed"


def known_zone(name: str) -> bool:
    """Whether our data have a time zone of that name."""
    try:
        load_zone(name)
    except (ValueError, OSError):
        return False
    return True


def differs_from_system(name: str, now_ms: int, system: Path = SYSTEM_ZONES) -> bool:
    """Whether the system's copy of a zone gives another offset on any of the next days. One it does not have agrees."""
    try:
        with (system / name).open("rb") as file:
            theirs = ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        return False
    ours, start = load_zone(name), datetime.fromtimestamp(now_ms / 1000, UTC)
    days = (start + timedelta(days=day) for day in range(COMPARED.days))
    return any(at.astimezone(ours).utcoffset() != at.astimezone(theirs).utcoffset() for at in days)


def own_terminal() -> Terminal | None:
    """The terminal this process writes to; None where it writes to none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    size = shutil.get_terminal_size()
    return Terminal(size.columns, size.lines, sys.stdout.encoding or os.device_encoding(1) or "")


def _zones_missing() -> str:
    try:
        load_zone("UTC")
    except (ImportError, OSError, ValueError) as error:
        return str(error)
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """`8.2.8rc1` as (8, 2, 8)."""
    return tuple(int(number) for number in re.findall(r"(?:^|\.)([0-9]+)", version))
