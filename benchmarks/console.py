"""What the console costs, measured on the real program on a pseudo terminal, each number beside its goal.

`python -m benchmarks.console` opens `palyra-tui` some times, at 80 by 24: on a journal of 100,000 runs (made once) and
on an empty one. The engine has one core, everything else the other; `--ahead` lets all of it run before the machine's
other work. Modules are compiled, as an installation has them. What an open screen costs requests, `benchmarks.gateway`
says, and how long zooms take, `benchmarks.usage`.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.console_load import at_rest, stalls, with_history
from benchmarks.console_start import starts
from benchmarks.measured import Found, Measured, Numbers, Rounds
from benchmarks.parties import Cores, two_cores, upstream
from benchmarks.usage_history import history
from palyra.journal.journal import JOURNAL_FILE


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(1, "how often")
    runs: int = option(100_000, "in the journal")
    starts: int = option(3, "how many")
    rest: int = option(15, "seconds at rest")


QUICK = Size(starts=1, rest=5)


@dataclass(frozen=True, slots=True)
class Row:
    """A number of the table: which, how it is called, its unit, and what it should be at most; those without such a
    goal only its own command prints."""

    name: str
    what: str
    unit: str
    most: float | None = None


TABLE = (
    Row("start_painted_ms", "start to the first picture, {runs:,} runs in the journal", "ms", 700),
    Row("start_live_ms", "start to what the engine says", "ms", 1_000),
    Row("start_ready_ms", "start to an engine at work", "ms"),
    Row("start_cpu_ms", "processor time of a start, every screen made", "ms"),
    Row("idle_percent", "at rest: of a core, Triage open, 1 request a second", "%", 2),
    Row("idle_percent_serve", "at rest without a screen: of a core", "%"),
    Row("stall_switch_ms", "longest turn of the loop: another screen", "ms", 50),
    Row("stall_rows_ms", "longest turn of the loop: 5,000 new runs at once", "ms", 50),
    Row("stall_theme_ms", "longest turn of the loop: another theme", "ms", 50),
    Row("idle_octets", "bytes a second at rest, 80 by 24", "B", 2_000),
    Row("key_octets", "bytes a key, median", "B"),
    Row("key_octets_most", "bytes a key, the most", "B", 4_000),
    Row("key_octets_settled", "bytes a key, the most, with what it asks for", "B"),
    Row("paint_p50_ms", "key to paint, p50", "ms"),
    Row("paint_p95_ms", "key to paint, p95", "ms", 100),
    Row("memory_mb", "memory, {runs:,} runs in the journal, every screen seen", "MB", 200),
)


def one_round(directory: Path, cores: Cores, size: Size, journal: Path) -> tuple[Numbers, str]:
    """Every measurement once, and which key wrote most."""
    with upstream(directory, cores.others) as mock:
        say("starts")
        numbers = starts(directory, cores, mock.port, journal, size.starts)
        say("at rest")
        numbers |= at_rest(directory, cores, mock.port, size.rest)
        say("keys and memory")
        keys, which = with_history(directory, cores, mock.port, journal)
        say("stalls")
        numbers |= keys | stalls(directory, cores, mock.port, journal)
    shares = {f"idle_percent{of}": numbers[f"idle_share{of}"] * 100 for of in ("", "_serve")}
    return {**numbers, **shares}, which


def rows(found: Rounds, size: Size, *, goals: bool) -> Iterator[Measured]:
    """Those with goals, or the others."""
    for one in TABLE:
        if (one.most is not None) == goals:
            yield found.row(one.what.format(runs=size.runs), one.name, one.unit, most=one.most)


def prepare(setting: Setting, size: Size) -> Path:
    return history(setting.cache, size.runs) / JOURNAL_FILE


def measure(setting: Setting, size: Size) -> Found:
    cores = two_cores()
    journal = prepare(setting, size)
    os.sched_setaffinity(0, {cores.others})
    rounds: list[Numbers] = []
    keys: set[str] = set()
    for _ in range(size.rounds):
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.memory) as directory:
            numbers, which = one_round(Path(directory), cores, size, journal)
            rounds.append(numbers)
            keys.add(which)
    found = Rounds(rounds)
    most = f"The key that wrote most: {', '.join(sorted(keys))}."
    more = tuple(rows(found, size, goals=False))
    return Found(tuple(rows(found, size, goals=True)), found.all, (most,), more)


BENCHMARK = Benchmark("console", __doc__, Size(), QUICK, measure, prepare)

if __name__ == "__main__":
    run(BENCHMARK)
