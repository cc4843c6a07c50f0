"""How late jobs begin: a thousand of them three times a minute, without a screen and with the busiest one open.

`python -m benchmarks.lateness` opens `palyra serve` and then `palyra-tui`, each with 1,000 jobs that fire at an
interval, spread over it, and each ask a mock provider. Lateness is what the journal says of each fire: from its
release, or the end of a wait that was declared, to its start, in whole milliseconds. What fires soon after the start
does not count. The engine has one core, everything else the other.
"""

import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Measured, Numbers, Rounds, share
from benchmarks.parties import MODEL, START_SECONDS, Cores, headless, two_cores, upstream, wait_until
from benchmarks.terminal import RUNS_SCREEN, acting, console


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(1, "how often")
    jobs: int = option(1_000, "how many jobs")
    every: int = option(20, "seconds from one fire of a job to the next, up to 60")
    seconds: float = option(25.0, "how long each is watched")


QUICK = Size(every=8, seconds=8.0)
WARM_UP_S = 3.0
"""After the first fire, which comes an interval after the start."""

GOALS_MS = {"p99": 50, "p99_9": 250, "max": 1_000}

JOB = """
[[jobs]]
name = "load-{number}"
every = "{every}s"
jitter_ms = {every}_000
action = "prompt"
prompt = "Say hello."
model = "{model}"
max_tokens = 16
"""


def jobs(size: Size) -> str:
    return "".join(JOB.format(number=number, model=MODEL, every=size.every) for number in range(size.jobs))


def begun_late(directory: Path, since_ms: int) -> list[int]:
    """Milliseconds by which each fire since then was late, least first."""
    question = (
        "SELECT lateness_ms FROM job_fires JOIN jobs USING (job_id) WHERE name LIKE 'load-%' AND dispatched_at > ?"
    )
    with closing(sqlite3.connect(f"file:{directory}/state/journal.db?mode=ro", uri=True)) as database:
        return sorted(late for (late,) in database.execute(question, (since_ms,)))


def told_of(late: Sequence[int], prefix: str) -> Numbers:
    """Raises RuntimeError where next to nothing fired."""
    if len(late) < 100:
        raise RuntimeError(f"only {len(late)} fires began")

    return {
        f"{prefix}_fires": float(len(late)),
        f"{prefix}_p50_ms": share(late, 0.5),
        f"{prefix}_p99_ms": share(late, 0.99),
        f"{prefix}_p99_9_ms": share(late, 0.999),
        f"{prefix}_max_ms": float(late[-1]),
    }


def watched(directory: Path, size: Size, prefix: str) -> Numbers:
    """Waits until the jobs fire and have warmed up, and so long after it."""
    wait_until(lambda: bool(begun_late(directory, 0)), size.every + START_SECONDS)
    time.sleep(WARM_UP_S)
    since = int(time.time() * 1000)
    time.sleep(size.seconds)
    return told_of(begun_late(directory, since), prefix)


def one_round(directory: Path, cores: Cores, size: Size) -> Numbers:
    numbers: Numbers = {}
    with upstream(directory, cores.others) as mock:
        say("without a screen")
        with headless(directory / "serve", mock.port, cores.engine, jobs(size)):
            numbers |= watched(directory / "serve", size, "serve")
        say("with the Runs screen, keys pressed")
        with console(directory / "tui", mock.port, cores.engine, jobs(size)) as screen:
            screen.press(RUNS_SCREEN)
            with acting(screen):
                numbers |= watched(directory / "tui", size, "screen")
    numbers["screen_ratio"] = max(1.0, numbers["screen_p99_ms"]) / max(1.0, numbers["serve_p99_ms"])
    return numbers


def rows(found: Rounds, size: Size) -> Iterator[Measured]:
    for prefix, what in (("serve", "no screen"), ("screen", "Runs screen and keys pressed")):
        for name, goal in GOALS_MS.items():
            label = f"{size.jobs:,} jobs, each every {size.every} s: late by, {name.replace('_', '.')}, {what}"
            yield found.row(label, f"{prefix}_{name}_ms", "ms", most=goal)


def measure(setting: Setting, size: Size) -> Found:
    cores = two_cores()
    rounds: list[Numbers] = []
    for _ in range(size.rounds):
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as directory:
            rounds.append(one_round(Path(directory), cores, size))
    found = Rounds(rounds)
    without, with_one = found.median("serve_fires"), found.median("screen_fires")
    due = size.jobs * size.seconds / size.every
    counts = f"{without:,.0f} without a screen, {with_one:,.0f} with one, of about {due:,.0f}"
    said = f"Fires of jobs that were watched: {counts}."
    return Found(tuple(rows(found, size)), found.all, (said,))


BENCHMARK = Benchmark("lateness", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
