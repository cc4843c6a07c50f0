"""What was measured on: the machine and the versions."""

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from palyra.core.clock import Clock

ROOT = Path(__file__).parents[1]
LIBRARIES = ("aiohttp", "textual")


def machine() -> str:
    """Processor, cores, memory and kernel."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    system = os.uname()
    return f"{processor()}, {cores} cores, {memory:.0f} GiB, {system.sysname} {system.release}"


def processor() -> str:
    """Source: proc(5), `model name` of /proc/cpuinfo; the architecture where there is none."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return os.uname().machine


def versions() -> str:
    """Of Palyra, with the commit in a checkout, and of what it runs on."""
    return ", ".join(
        [
            f"palyra {version('palyra')}{commit()}",
            f"Python {platform.python_version()}",
            f"SQLite {sqlite3.sqlite_version}",
            *(f"{name} {version(name)}" for name in LIBRARIES),
        ]
    )


def commit() -> str:
    """In brackets, with what is not committed said; empty outside a checkout."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f" ({head}{', with changes' if changed else ''})"


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def date(clock: Clock) -> str:
    return f"{datetime.fromtimestamp(clock.now_ms() / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def lines(clock: Clock, command: str) -> Iterator[tuple[str, str]]:
    """What a table begins with."""
    yield "Machine", machine()
    yield "Versions", versions()
    yield "Date", date(clock)
    yield "Command", command
