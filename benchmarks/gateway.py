"""What governance costs a request, and what a screen costs the gateway, as ratios within one run.

`python -m benchmarks.gateway` measures, one after another and each round anew: the mock provider alone, the mock
through `palyra serve`, and through `palyra-tui` with the busiest screen open. The engine has one core, load and mock
share the other. Of all rounds each number is the median. State lies in `--directory`: no request is sent before its
hold is on that disk, so a slow one shows.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.parties import Cores, Target, headless, load, two_cores, upstream
from benchmarks.terminal import Screen, console

Numbers = dict[str, float]

CONNECTIONS = 16
BUSY = 4_000
"""Requests of a throughput measurement."""
SINGLE = 1_000
"""Requests on one connection, one after another."""
RATE = 100.0
PACED = 1_000
"""Requests at the fixed rate."""
WARM_UP = 400

SYNCS = 200
PAGES = 2 * 4096

RUNS_SCREEN = "5"
ACT_SECONDS = 2.0
"""A key this often keeps the console at its faster rate of 4 snapshots a second."""


def throughput(target: Target, core: int, prefix: str) -> Numbers:
    found = load(target, core, CONNECTIONS, BUSY)
    return {f"{prefix}_per_second": found.measured.per_second, f"{prefix}_cpu_ms": found.cpu_ms}


def latency(target: Target, core: int, prefix: str) -> Numbers:
    found = load(target, core, 1, SINGLE).measured
    return {f"{prefix}_single_p50_ms": found.p50_ms, f"{prefix}_single_p99_ms": found.p99_ms}


def paced(target: Target, core: int, prefix: str) -> Numbers:
    found = load(target, core, CONNECTIONS, PACED, RATE).measured
    return {
        f"{prefix}_paced_p50_ms": found.p50_ms,
        f"{prefix}_paced_p99_ms": found.p99_ms,
        f"{prefix}_paced_longest_ms": found.longest_ms,
    }


@contextmanager
def acting(screen: Screen) -> Iterator[None]:
    """An operator who moves the cursor all the time."""
    over = threading.Event()

    def press() -> None:
        while not over.wait(ACT_SECONDS):
            screen.press("j")

    thread = threading.Thread(target=press, daemon=True)
    screen.press("j")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def disk(directory: Path) -> Numbers:
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


def one_round(directory: Path, cores: Cores, say: Callable[[str], None]) -> Numbers:
    """Every measurement once."""
    numbers = disk(directory)
    with upstream(directory, cores.others) as mock:
        say("the mock alone")
        load(mock, cores.others, CONNECTIONS, WARM_UP)
        for measure in (throughput, latency, paced):
            numbers |= measure(mock, cores.others, "mock")
        say("through palyra serve")
        with headless(directory / "serve", mock.port, cores.engine) as served:
            load(served, cores.others, CONNECTIONS, WARM_UP)
            for measure in (throughput, latency, paced):
                numbers |= measure(served, cores.others, "serve")
        say("through palyra-tui, Runs screen")
        with console(directory / "tui", mock.port, cores.engine) as screen:
            screen.press(RUNS_SCREEN)
            load(screen.target, cores.others, CONNECTIONS, WARM_UP)
            numbers |= throughput(screen.target, cores.others, "screen")
            written = screen.octets
            numbers |= paced(screen.target, cores.others, "screen")
            numbers["screen_bytes_per_second"] = (screen.octets - written) / (PACED / RATE)
            with acting(screen):
                numbers |= paced(screen.target, cores.others, "acting")
    return numbers


def told(numbers: Numbers) -> list[tuple[str, str, str]]:
    """Rows of the table: what, the number, the goal."""
    return [
        ("mock alone, 16 connections", f"{numbers['mock_per_second']:,.0f} /s", ""),
        ("palyra serve, 16 connections", f"{numbers['serve_per_second']:,.0f} /s", ">= 2,000 /s"),
        ("  processor time of the engine for each request", f"{numbers['serve_cpu_ms']:.3f} ms", "<= 0.5 ms"),
        ("palyra-tui, 16 connections, Runs screen", f"{numbers['screen_per_second']:,.0f} /s", ""),
        ("to make two pages durable on that disk, p50", f"{numbers['disk_p50_ms']:.2f} ms", ""),
        ("added p50, 1 connection", f"{numbers['added_p50_ms']:.2f} ms", "<= 1 ms"),
        ("added p99, 1 connection", f"{numbers['added_p99_ms']:.2f} ms", ""),
        ("p99 at 100 /s, palyra serve", f"{numbers['serve_paced_p99_ms']:.2f} ms", ""),
        ("p99 at 100 /s, palyra-tui at 1 Hz", f"{numbers['screen_paced_p99_ms']:.2f} ms", ""),
        ("  as a ratio", f"{numbers['screen_ratio']:.2f}", "<= 2"),
        ("p99 at 100 /s, palyra-tui at 4 Hz, keys pressed", f"{numbers['acting_paced_p99_ms']:.2f} ms", ""),
        ("  as a ratio", f"{numbers['acting_ratio']:.2f}", ""),
        ("bytes to the terminal at 100 /s", f"{numbers['screen_bytes_per_second']:,.0f} /s", ""),
    ]


def with_ratios(numbers: Numbers) -> Numbers:
    """Ratios and differences of one round, whose parts met the same machine."""
    return {
        **numbers,
        "added_p50_ms": numbers["serve_single_p50_ms"] - numbers["mock_single_p50_ms"],
        "added_p99_ms": numbers["serve_single_p99_ms"] - numbers["mock_single_p99_ms"],
        "screen_ratio": numbers["screen_paced_p99_ms"] / numbers["serve_paced_p99_ms"],
        "acting_ratio": numbers["acting_paced_p99_ms"] / numbers["serve_paced_p99_ms"],
    }


def say(text: str) -> None:
    sys.stderr.write(f"{text} …\n")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    options.add_argument("--rounds", type=int, default=3, metavar="N", help="how often (3)")
    options.add_argument("--directory", type=Path, metavar="D", help="where state lies (the temporary directory)")
    options.add_argument("--json", type=Path, metavar="FILE", help="where every number goes (standard output)")
    chosen = options.parse_args()
    cores = two_cores()
    rounds: list[Numbers] = []
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=chosen.directory) as directory:
            rounds.append(with_ratios(one_round(Path(directory), cores, say)))
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    for what, number, goal in told(medians):
        print(f"{what:<52}{number:>14}   {goal}".rstrip())
    result = json.dumps({"median": medians, "rounds": rounds}, indent=1)
    if chosen.json is None:
        print(result)
    else:
        chosen.json.write_text(result + "\n")


if __name__ == "__main__":
    main()
