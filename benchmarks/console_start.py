"""How soon the console is there: from the start of its process to its first picture, and to what the engine says."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measured import Numbers
from benchmarks.parties import Cores
from benchmarks.terminal import LEAST, console


def painted(lines: Sequence[str]) -> bool:
    """Title and keys are there."""
    return "Triage" in lines[1] and "keys" in lines[-1]


def live(lines: Sequence[str]) -> bool:
    """The status line tells what the engine says."""
    return "today" in lines[0]


def ready(lines: Sequence[str]) -> bool:
    """The engine has begun to work."""
    return "ready" in lines[0]


def starts(directory: Path, cores: Cores, port: int, journal: Path, times: int) -> Numbers:
    """Medians of some starts on a copy of that journal; the first, which fills the caches, does not count."""
    first: list[float] = []
    said: list[float] = []
    begun: list[float] = []
    worked: list[float] = []
    for number in range(times + 1):
        with console(directory / f"start-{number}", port, cores.engine, size=LEAST, journal=journal) as screen:
            screen.quiet(1.5)
            if number:
                first.append(screen.first(painted) * 1000)
                said.append(screen.first(live) * 1000)
                begun.append(screen.first(ready) * 1000)
                worked.append(screen.target.cpu_seconds() * 1000)
    return {
        "start_painted_ms": statistics.median(first),
        "start_painted_least_ms": min(first),
        "start_live_ms": statistics.median(said),
        "start_live_least_ms": min(said),
        "start_ready_ms": statistics.median(begun),
        "start_cpu_ms": statistics.median(worked),
    }
