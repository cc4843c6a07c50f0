"""What the console costs, measured on the real program on a pseudo terminal, each number beside its goal.

`python -m benchmarks.console` opens `palyra-tui` some times: on a journal of 100,000 runs (made once, kept in the
temporary directory) and on an empty one, at 80 by 24 and, for the gateway, with the Runs screen at 120 by 40. The
engine has one core, everything else the other; `--ahead` lets all of it run before the machine's other work. Modules
are compiled, as an installation has them. `--quick` measures a tenth as long. Of all rounds each number is the median.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.console_load import RUNS, at_rest, stalls, with_history
from benchmarks.console_start import Numbers, starts
from benchmarks.gateway import CONNECTIONS, WARM_UP, paced
from benchmarks.parties import Cores, headless, load, put_ahead, two_cores, upstream
from benchmarks.terminal import console
from benchmarks.usage import zooms
from benchmarks.usage_history import history
from palyra.journal.journal import JOURNAL_FILE, open_readers

HISTORY = 100_000
"""Runs in the journal."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A number of the table: which, how it is called, its unit, and what it should be at most."""

    name: str
    what: str
    unit: str
    most: float | None = None


TABLE = (
    Goal("start_painted_ms", "start to the first picture, 100,000 runs in the journal", "ms", 700),
    Goal("start_live_ms", "start to what the engine says", "ms", 1_000),
    Goal("start_ready_ms", "start to an engine at work", "ms"),
    Goal("start_cpu_ms", "processor time of a start, every screen made", "ms"),
    Goal("idle_percent", "at rest: of a core, Triage open, 1 request a second", "%", 2),
    Goal("idle_percent_serve", "  the same without a screen", "%"),
    Goal("gateway_ratio", "p99 at 100 requests a second, Runs screen ÷ no screen", "", 2),
    Goal("stall_switch_ms", "longest turn of the loop: another screen", "ms", 50),
    Goal("stall_rows_ms", "  5,000 new runs at once", "ms", 50),
    Goal("stall_theme_ms", "  another theme", "ms", 50),
    Goal("idle_octets", "bytes a second at rest, 80 by 24", "B", 2_000),
    Goal("key_octets", "bytes a key, median", "B"),
    Goal("key_octets_most", "  the most", "B", 4_000),
    Goal("key_octets_settled", "  the most, with what it asks for", "B"),
    Goal("paint_p50_ms", "key to paint, p50", "ms"),
    Goal("paint_p95_ms", "  p95", "ms", 100),
    Goal("zoom_cpu_ms", "usage timeline, dearest zoom, processor time", "ms", 50),
    Goal("zoom_ms", "  p99 of it, as busy as the machine is", "ms"),
    Goal("memory_mb", "memory, 100,000 runs in the journal, every screen seen", "MB", 200),
)


def one_round(directory: Path, cores: Cores, runs: int, *, quick: bool) -> tuple[Numbers, str]:
    """Every measurement once, and which key wrote most."""
    cache = Path(tempfile.gettempdir()) / "palyra-benchmarks"
    journal = history(cache, HISTORY) / JOURNAL_FILE
    with upstream(directory, cores.others) as mock:
        say("starts")
        numbers = starts(directory, cores, mock.port, journal, 2 if quick else 7)
        say("at rest")
        numbers |= at_rest(directory, cores, mock.port, 10 if quick else 60)
        say("keys and memory")
        keys, which = with_history(directory, cores, mock.port, journal)
        say("stalls")
        numbers |= keys | stalls(directory, cores, mock.port, journal)
        say("the gateway, without a screen and with the Runs screen")
        numbers |= gateway(directory, cores, mock.port)
    say("zooms of the timeline")
    worst, busy = asyncio.run(_zooms(history(cache, runs), 3 if quick else 20))
    return {**numbers, "zoom_ms": worst, "zoom_cpu_ms": busy}, which


def gateway(directory: Path, cores: Cores, port: int) -> Numbers:
    with headless(directory / "serve", port, cores.engine) as served:
        load(served, cores.others, CONNECTIONS, WARM_UP)
        numbers = paced(served, cores.others, "serve")
    with console(directory / "busiest", port, cores.engine) as screen:
        screen.press(RUNS)
        load(screen.target, cores.others, CONNECTIONS, WARM_UP)
        return numbers | paced(screen.target, cores.others, "screen")


async def _zooms(state_dir: Path, repeat: int) -> tuple[float, float]:
    async with open_readers(state_dir) as readers:
        return await zooms(readers, repeat)


def with_ratios(numbers: Numbers) -> Numbers:
    return {
        **numbers,
        "idle_percent": numbers["idle_share"] * 100,
        "idle_percent_serve": numbers["idle_share_serve"] * 100,
        "gateway_ratio": numbers["screen_paced_p99_ms"] / numbers["serve_paced_p99_ms"],
    }


def told(numbers: Numbers, which: str) -> Sequence[str]:
    """The lines of the table."""
    lines = []
    for goal in TABLE:
        number = numbers[goal.name]
        digits = 2 if goal.unit == "" else 1 if goal.unit in ("%", "ms") and number < 100 else 0
        what = f"{goal.what} ({which})" if goal.name == "key_octets_most" else goal.what
        beside = "" if goal.most is None else f"<= {goal.most:,.0f} {goal.unit}".rstrip()
        met = "" if goal.most is None else "met" if number <= goal.most else "MISSED"
        lines.append(f"{what:<60}{f'{number:,.{digits}f} {goal.unit}'.rstrip():>12}   {beside:<12} {met}".rstrip())
    return lines


def say(text: str) -> None:
    sys.stderr.write(f"{text} …\n")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    options.add_argument("--rounds", type=int, default=1, metavar="N", help="how often (1)")
    options.add_argument("--quick", action="store_true", help="a tenth as long")
    options.add_argument("--ahead", action="store_true", help="before the machine's other work")
    options.add_argument("--runs", type=int, default=200_000, metavar="N", help="runs of the timeline (200,000)")
    options.add_argument("--directory", type=Path, metavar="D", help="where state lies (the temporary directory)")
    options.add_argument("--json", type=Path, metavar="FILE", help="where every number goes")
    chosen = options.parse_args()
    cores = two_cores()
    if chosen.ahead:
        put_ahead()
    os.sched_setaffinity(0, {cores.others})
    rounds: list[Numbers] = []
    which = ""
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=chosen.directory) as directory:
            numbers, which = one_round(Path(directory), cores, chosen.runs, quick=chosen.quick)
            rounds.append(with_ratios(numbers))
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    print("\n".join(told(medians, which)))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"median": medians, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
