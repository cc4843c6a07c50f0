"""How late jobs begin: a thousand of them every minute, without a screen and with the busiest one open.

`python -m benchmarks.lateness` opens `palyra serve` and then `palyra-tui`, each with 1,000 jobs that fire once a
minute, spread over it, and each ask a mock provider. Lateness is what the journal says of each fire: from its release,
or the end of a wait that was declared, to its start, in whole milliseconds. The first minute does not count. The engine
has one core, everything else the other.
"""

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.gateway import RUNS_SCREEN, Numbers, acting
from benchmarks.parties import MODEL, Cores, headless, two_cores, upstream
from benchmarks.terminal import console

JOBS = 1_000
WARM_UP_S = 60.0
GOALS_MS = {"p99": 50, "p99_9": 250, "max": 1_000}

JOB = """
[[jobs]]
name = "load-{number}"
every = "1m"
jitter_ms = 60_000
action = "prompt"
prompt = "Say hello."
model = "{model}"
max_tokens = 16
"""


def jobs(count: int) -> str:
    return "".join(JOB.format(number=number, model=MODEL) for number in range(count))


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

    def share(part: float) -> float:
        return float(late[min(len(late) - 1, int(part * len(late)))])

    return {
        f"{prefix}_fires": float(len(late)),
        f"{prefix}_p50_ms": share(0.5),
        f"{prefix}_p99_ms": share(0.99),
        f"{prefix}_p99_9_ms": share(0.999),
        f"{prefix}_max_ms": float(late[-1]),
    }


def watched(directory: Path, seconds: float, prefix: str) -> Numbers:
    """Waits until the jobs have warmed up and so long after it."""
    time.sleep(WARM_UP_S)
    since = int(time.time() * 1000)
    time.sleep(seconds)
    return told_of(begun_late(directory, since), prefix)


def one_round(directory: Path, cores: Cores, count: int, seconds: float) -> Numbers:
    numbers: Numbers = {}
    with upstream(directory, cores.others) as mock:
        say("without a screen")
        with headless(directory / "serve", mock.port, cores.engine, jobs(count)):
            numbers |= watched(directory / "serve", seconds, "serve")
        say("with the Runs screen, keys pressed")
        with console(directory / "tui", mock.port, cores.engine, jobs(count)) as screen:
            screen.press(RUNS_SCREEN)
            with acting(screen):
                numbers |= watched(directory / "tui", seconds, "screen")
    numbers["screen_ratio"] = max(1.0, numbers["screen_p99_ms"]) / max(1.0, numbers["serve_p99_ms"])
    return numbers


def rows(numbers: Numbers) -> list[tuple[str, str, str]]:
    """Rows of the table: what, the number, the goal."""
    found = []
    for prefix, what in (("serve", "palyra serve"), ("screen", "palyra-tui, Runs screen")):
        for name in ("p50", "p99", "p99_9", "max"):
            goal = f"<= {GOALS_MS[name]} ms" if name in GOALS_MS else ""
            label = f"{what}: {name.replace('_', '.')} of {numbers[f'{prefix}_fires']:,.0f} fires"
            found.append((label, f"{numbers[f'{prefix}_{name}_ms']:.0f} ms", goal))
    return [*found, ("p99 with a screen to p99 without", f"{numbers['screen_ratio']:.2f}", "")]


def say(text: str) -> None:
    sys.stderr.write(f"{text} …\n")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.lateness", description=__doc__)
    options.add_argument("--rounds", type=int, default=1, metavar="N", help="how often (1)")
    options.add_argument("--jobs", type=int, default=JOBS, metavar="N", help="how many jobs (1,000)")
    options.add_argument("--seconds", type=float, default=120, metavar="S", help="how long each is watched (120)")
    options.add_argument("--directory", type=Path, metavar="D", help="where state lies (the temporary directory)")
    options.add_argument("--json", type=Path, metavar="FILE", help="where every number goes (standard output)")
    chosen = options.parse_args()
    cores = two_cores()
    rounds: list[Numbers] = []
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=chosen.directory) as directory:
            rounds.append(one_round(Path(directory), cores, chosen.jobs, chosen.seconds))
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    for what, number, goal in rows(medians):
        print(f"{what:<52}{number:>14}   {goal}".rstrip())
    result = json.dumps({"median": medians, "rounds": rounds}, indent=1)
    if chosen.json is None:
        print(result)
    else:
        chosen.json.write_text(result + "\n")


if __name__ == "__main__":
    main()
