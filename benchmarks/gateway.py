"""What governance costs a request, and what a screen costs the gateway, as ratios within one run.

`python -m benchmarks.gateway` loads, in each round anew: the mock provider alone; a pass-through of the same libraries
(`benchmarks/passthrough.py`) that knows nothing of budgets; one that makes a row durable for each request before it
passes it on; `palyra serve`; and `palyra-tui` with the busiest screen open. The engine has one core, load and mock
share the other. State lies in memory, to see the engine without the disk; what has to be durable is measured on the
disk too. Rounds take turns in both directions. Of all rounds each number is the median; what is added is a difference
to the mock within one round, and a ratio one of two numbers within one round.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Numbers, Rounds, number
from benchmarks.parties import Cores, Target, headless, load, passing, two_cores, upstream
from benchmarks.terminal import RUNS_SCREEN, acting, console


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(3, "how often")
    busy: int = option(3_000, "requests of a throughput measurement")
    single: int = option(600, "requests on one connection, one after another")
    paced: int = option(500, "requests at the fixed rate")
    rate: float = option(100.0, "that rate, a second")
    connections: int = option(16, "of a throughput measurement")
    warm_up: int = option(400, "requests before anything is measured")


QUICK = Size(rounds=1, busy=300, single=100, paced=100, warm_up=50)

SYNCS = 200
PAGES = 2 * 4096

FLOOR, FLOOR_KEPT = "pass-through", "committing pass-through"


class Round:
    """Every measurement once; directories of this round's state."""

    def __init__(self, size: Size, cores: Cores, memory: Path, disk: Path) -> None:
        self._size = size
        self._cores = cores
        self._memory = memory
        self._disk = disk
        self.numbers: Numbers = disk_numbers(disk)

    def play(self, *, backwards: bool) -> Numbers:
        parties = [self._mock, self._floor, self._floor_kept, self._serve, self._screen, self._kept_on_disk]
        parties.append(self._serve_on_disk)
        with upstream(self._memory, self._cores.others) as mock:
            load(mock, self._cores.others, self._size.connections, self._size.warm_up)
            for party in reversed(parties) if backwards else parties:
                party(mock)
        return with_ratios(self.numbers)

    def _mock(self, mock: Target) -> None:
        say("the mock alone")
        self._loaded(mock, "mock")

    def _floor(self, mock: Target) -> None:
        say("through a pass-through")
        with passing(self._memory / "floor", mock.port, self._cores.engine) as target:
            self._loaded(target, "floor")

    def _floor_kept(self, mock: Target) -> None:
        say("through one that makes a row durable first")
        directory = self._memory / "kept"
        with passing(directory, mock.port, self._cores.engine, directory) as target:
            self._loaded(target, "kept")

    def _kept_on_disk(self, mock: Target) -> None:
        say("the same on the disk")
        directory = self._disk / "kept"
        with passing(directory, mock.port, self._cores.engine, directory) as target:
            self._loaded(target, "disk_kept")

    def _serve(self, mock: Target) -> None:
        say("through palyra serve")
        with headless(self._memory / "serve", mock.port, self._cores.engine) as target:
            self._loaded(target, "serve")
            self._paced(target, "serve")

    def _serve_on_disk(self, mock: Target) -> None:
        say("the same on the disk")
        with headless(self._disk / "serve", mock.port, self._cores.engine) as target:
            self._loaded(target, "disk_serve")

    def _screen(self, mock: Target) -> None:
        say("through palyra-tui, Runs screen")
        with console(self._memory / "tui", mock.port, self._cores.engine) as screen:
            screen.press(RUNS_SCREEN)
            self._loaded(screen.target, "screen")
            written, begun = screen.octets, time.monotonic()
            self._paced(screen.target, "screen")
            self.numbers["screen_octets"] = (screen.octets - written) / (time.monotonic() - begun)
            with acting(screen):
                self._paced(screen.target, "acting")

    def _loaded(self, target: Target, prefix: str) -> None:
        size, core = self._size, self._cores.others
        load(target, core, size.connections, size.warm_up)
        busy = load(target, core, size.connections, size.busy)
        single = load(target, core, 1, size.single).answered
        self.numbers |= {
            f"{prefix}_per_second": busy.answered.per_second,
            f"{prefix}_cpu_ms": busy.cpu_ms,
            f"{prefix}_single_p50_ms": single.p50_ms,
            f"{prefix}_single_p99_ms": single.p99_ms,
        }

    def _paced(self, target: Target, prefix: str) -> None:
        size = self._size
        found = load(target, self._cores.others, size.connections, size.paced, size.rate).answered
        self.numbers |= {
            f"{prefix}_paced_p50_ms": found.p50_ms,
            f"{prefix}_paced_p99_ms": found.p99_ms,
            f"{prefix}_paced_longest_ms": found.longest_ms,
        }


def disk_numbers(directory: Path) -> Numbers:
    """What the disk takes to make two pages durable."""
    took: list[float] = []
    with (directory / "disk").open("wb", buffering=0) as file:
        file.write(bytes(SYNCS * PAGES))
        os.fsync(file.fileno())
        for place in range(SYNCS):
            file.seek(place * PAGES)
            file.write(os.urandom(PAGES))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1000)
    return {"disk_p50_ms": statistics.median(took)}


def with_ratios(numbers: Numbers) -> Numbers:
    """Ratios and differences of one round, whose parts met the same machine."""
    added = {
        f"{prefix}_added_{part}_ms": numbers[f"{prefix}_single_{part}_ms"] - numbers[f"mock_single_{part}_ms"]
        for prefix in ("floor", "kept", "serve", "screen", "disk_kept", "disk_serve")
        for part in ("p50", "p99")
    }
    return {
        **numbers,
        **added,
        "screen_ratio": numbers["screen_paced_p99_ms"] / numbers["serve_paced_p99_ms"],
        "acting_ratio": numbers["acting_paced_p99_ms"] / numbers["serve_paced_p99_ms"],
    }


def told(found: Rounds, size: Size) -> Found:
    row, many, paced = found.row, f"{size.connections} connections", f"at {size.rate:g} requests a second"

    def beside(what: str) -> dict[str, str]:
        return {FLOOR: f"floor_{what}", FLOOR_KEPT: f"kept_{what}"}

    def on_disk(what: str) -> dict[str, str]:
        return {FLOOR_KEPT: f"disk_kept_{what}"}

    rows = (
        row(
            f"requests a second, {many}, no screen", "serve_per_second", "/s", least=2_000, beside=beside("per_second")
        ),
        row("the engine's processor time for each", "serve_cpu_ms", "ms", most=0.5, beside=beside("cpu_ms")),
        row("added to one request, p50", "serve_added_p50_ms", "ms", most=1, beside=beside("added_p50_ms")),
        row("added to one request, p99", "serve_added_p99_ms", "ms", beside=beside("added_p99_ms")),
        row(f"on the disk: requests a second, {many}", "disk_serve_per_second", "/s", beside=on_disk("per_second")),
        row("on the disk: added to one request, p50", "disk_serve_added_p50_ms", "ms", beside=on_disk("added_p50_ms")),
        row("on the disk: added to one request, p99", "disk_serve_added_p99_ms", "ms", beside=on_disk("added_p99_ms")),
        row("Runs screen open: requests a second", "screen_per_second", "/s", beside={"no screen": "serve_per_second"}),
        row("Runs screen open: processor time for each", "screen_cpu_ms", "ms", beside={"no screen": "serve_cpu_ms"}),
        row(f"p99 {paced}, Runs screen ÷ no screen", "screen_ratio", most=2),
        row(f"p99 {paced}, Runs screen and keys pressed ÷ no screen", "acting_ratio", most=2),
        row(f"bytes a second to the terminal {paced}", "screen_octets", "B", most=2_000),
        row("the mock alone: requests a second", "mock_per_second", "/s"),
    )
    more = (
        row(f"p99 {paced}, no screen", "serve_paced_p99_ms", "ms"),
        row(f"p99 {paced}, Runs screen", "screen_paced_p99_ms", "ms"),
        row("the mock alone: one request, p50", "mock_single_p50_ms", "ms"),
        row("that disk: two pages durable, p50", "disk_p50_ms", "ms"),
    )
    return Found(rows, found.all, (inherent(found),), more)


def inherent(found: Rounds) -> str:
    """What of a request's processor time a proxy takes anyway, and what the promise to write first."""
    every, floor, kept = (found.median(f"{prefix}_cpu_ms") for prefix in ("serve", "floor", "kept"))
    return (
        f"Of the {number(every)} ms of processor time that a request takes, {number(floor)} are those of a proxy that"
        f" only passes it on, {number(max(0.0, kept - floor))} more those of one that first makes a row durable, and"
        f" the rest is governance."
    )


@contextmanager
def directories(setting: Setting) -> Iterator[tuple[Path, Path]]:
    """Fresh ones in memory and on the disk."""
    with (
        tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.memory) as memory,
        tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as disk,
    ):
        yield Path(memory), Path(disk)


def measure(setting: Setting, size: Size) -> Found:
    cores = two_cores()
    rounds = []
    for place in range(size.rounds):
        with directories(setting) as (memory, disk):
            rounds.append(Round(size, cores, memory, disk).play(backwards=place % 2 == 1))
    return told(Rounds(rounds), size)


BENCHMARK = Benchmark("gateway", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
