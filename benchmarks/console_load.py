"""What the console costs while it is open: processor time and bytes at rest, stalls of its loop, memory."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.console_keys import octets_of_keys, until_painted
from benchmarks.loop_turns import PROGRAM, VARIABLE, longest, turns_in
from benchmarks.measured import Numbers
from benchmarks.parties import Cores, Target, headless, load
from benchmarks.terminal import LEAST, RUNS_SCREEN, console

TRIAGE, USAGE, AUDIT = "1", "4", "0"
SCREENS = "1234567890"
NEW_ROWS = 5_000
THEMES = 5
SETTLE_S = 6.0
"""By then an engine has started, and a console takes nobody to be acting any more."""
CONNECTIONS = 16


def at_rest(directory: Path, cores: Cores, port: int, seconds: int) -> Numbers:
    """Shares of a core that the engine takes at a request a second, without a screen and with Triage; bytes of that."""
    with headless(directory / "rest-serve", port, cores.engine) as served:
        time.sleep(SETTLE_S)
        without = _share(served, cores, seconds)
    with console(directory / "rest-tui", port, cores.engine, size=LEAST) as screen:
        screen.press(TRIAGE)
        time.sleep(SETTLE_S)
        before = screen.octets
        share = _share(screen.target, cores, seconds)
        octets = (screen.octets - before) / seconds
    return {"idle_share": share, "idle_share_serve": without, "idle_octets": octets}


def _share(target: Target, cores: Cores, seconds: int) -> float:
    begun, worked = time.monotonic(), target.cpu_seconds()
    load(target, cores.others, 1, seconds, 1.0)
    return (target.cpu_seconds() - worked) / (time.monotonic() - begun)


def with_history(directory: Path, cores: Cores, port: int, journal: Path) -> tuple[Numbers, str]:
    """Keys and memory of a console that has much to show, and which key wrote most."""
    with console(directory / "history", port, cores.engine, size=LEAST, journal=journal) as screen:
        screen.quiet(1.0)
        keys, which = octets_of_keys(screen)
        screen.press(RUNS_SCREEN)
        numbers = {**keys, **until_painted(screen)}
        for key in (*("G" * 8), USAGE, "d", AUDIT, *SCREENS):
            screen.press(key)
            time.sleep(0.5)
        return {**numbers, "memory_mb": resident_mb(screen.target.pid)}, which


def resident_mb(pid: int) -> float:
    """Source: proc(5), VmRSS, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def stalls(directory: Path, cores: Cores, port: int, journal: Path) -> Numbers:
    """The longest turn of the loop in ms, and how much of it was work: at a change of the screen, when 5,000 new runs
    are shown at once, and at a change of the theme."""
    file = directory / "turns.json"
    windows: dict[str, tuple[float, float]] = {}
    with (
        _told_of(file),
        console(directory / "stalls", port, cores.engine, size=LEAST, journal=journal, program=PROGRAM) as screen,
    ):
        time.sleep(3.0)
        begun = time.monotonic()
        for key in SCREENS * 2:
            screen.press(key)
            time.sleep(0.5)
        windows["switch"] = (begun, time.monotonic())
        screen.press(RUNS_SCREEN)
        time.sleep(1.0)
        screen.press("P")
        load(screen.target, cores.others, CONNECTIONS, NEW_ROWS)
        time.sleep(1.0)
        begun = screen.press("P")
        time.sleep(2.0)
        windows["rows"] = (begun, time.monotonic())
        begun = time.monotonic()
        for _ in range(THEMES):
            screen.press("T")
            time.sleep(1.0)
        windows["theme"] = (begun, time.monotonic())
    turns = turns_in(file)
    numbers: Numbers = {}
    for name, (since, until) in windows.items():
        worst = longest(turns, since, until)
        numbers |= {f"stall_{name}_ms": worst.took * 1000, f"stall_{name}_work_ms": worst.worked * 1000}
    return numbers


@contextmanager
def _told_of(file: Path) -> Iterator[None]:
    """Consoles started meanwhile write their turns there."""
    os.environ[VARIABLE] = str(file)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
