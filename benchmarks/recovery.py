"""How long a start takes that finds many runs which a dead engine left behind.

`python -m benchmarks.recovery` lets a run hang in an engine of this process, copies the journal under it as a kill
would leave it, and makes many of that run, each with its hold and a reading of its meter, under three budgets. The
time is the whole of `Engine.open`, to where a gateway may open: counters rebuilt, holds charged, runs ended, all of it
durable. A second start finds nothing.
"""

import asyncio
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Numbers, Rounds
from palyra.config.load import interpret
from palyra.config.model import LoadedConfig
from palyra.core.clock import SystemClock
from palyra.core.scope import Scope
from palyra.engine import Engine, Installation
from palyra.journal.journal import JOURNAL_FILE
from palyra.runs.background import PromptAsk

GOAL_S = 5.0
"""For 10,000 runs."""


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(2, "how often")
    runs: int = option(10_000, "how many runs hung")


QUICK = Size(rounds=1, runs=500)

CONFIG = """
version = 1
[providers.hanging]
kind = "deterministic"
script = [{ delay_ms = 3_600_000 }]
[[models]]
provider = "hanging"
upstream = "slow"
[[budgets]]
policy_id = "all"
metric_kind = "total_tokens"
interval_kind = "daily"
hard_limit = 9_000_000_000
[[budgets]]
policy_id = "everybody"
scope_kind = "user"
scope_id = "*"
metric_kind = "requests"
interval_kind = "monthly"
hard_limit = 9_000_000_000
[[budgets]]
policy_id = "model"
scope_kind = "model"
scope_id = "*"
metric_kind = "total_tokens"
interval_kind = "rolling_24h"
hard_limit = 9_000_000_000
"""


def configured(directory: Path) -> LoadedConfig:
    """Raises RuntimeError where the file does not mean what it should."""
    loaded = interpret(CONFIG.encode(), directory / "palyra.toml", {}, {})
    if loaded.config is None:
        raise RuntimeError("\n".join(map(str, loaded.problems)))
    return loaded.config


async def left_behind(directory: Path, config: LoadedConfig) -> Path:
    """A state directory as it is while a run hangs."""
    alive, dead = directory / "alive", directory / "dead"
    engine = await Engine.open(Installation(config, alive), SystemClock(), {})
    ask = PromptAsk(prompt="Say hello.", scope=Scope("bench", "bench"), source="task", model="hanging/slow")
    sent = asyncio.Event()
    engine.events.subscribe(lambda event: sent.set() if event.data["run"].phase == "dispatch" else None, "run.moved")
    hanging = asyncio.create_task(engine.background.run(ask))
    await sent.wait()
    await engine.journal.submit(())
    shutil.copytree(alive, dead, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await engine.close()
    return dead


def multiply(dead: Path, count: int) -> None:
    """So many of the run that hangs."""
    with closing(sqlite3.connect(dead / JOURNAL_FILE, isolation_level=None)) as database:
        database.execute("BEGIN")
        made = {"runs": "run_id", "decisions": "decision_id", "holds": "hold_id", "run_owners": "run_id"}
        for table, key in made.items():
            columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})") if name != "seq"]
            anew = {name: f"{name} || '-' || n.i" for name in {key, "run_id"}}
            told = ", ".join(anew.get(name, name) for name in columns)
            database.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count:d})"
                f" INSERT INTO {table} ({', '.join(columns)}) SELECT {told} FROM {table} CROSS JOIN n"
                f" WHERE run_id IN (SELECT run_id FROM runs WHERE finished_at IS NULL AND run_id NOT LIKE '%-%')"
            )
        database.execute("UPDATE holds SET metered_input = 20, metered_output = 640 WHERE state = 'held'")
        database.execute("COMMIT")


async def started(dead: Path, config: LoadedConfig) -> tuple[float, float, int]:
    """Wall and processor seconds of a start, and the runs that it ended."""
    began, worked = time.perf_counter(), time.process_time()
    engine = await Engine.open(Installation(config, dead), SystemClock(), {})
    took, busy = time.perf_counter() - began, time.process_time() - worked
    ended = engine.recovered.runs
    await engine.close()
    return took, busy, ended


async def one_round(directory: Path, count: int) -> Numbers:
    config = configured(directory)
    dead = await left_behind(directory, config)
    multiply(dead, count)
    took, busy, ended = await started(dead, config)
    if ended != count:
        raise RuntimeError(f"{ended} runs were ended, not {count}")
    again, _, none = await started(dead, config)
    if none:
        raise RuntimeError(f"the second start ended {none} runs")
    return {"start_s": took, "start_processor_s": busy, "second_start_s": again}


def measure(setting: Setting, size: Size) -> Found:
    rounds: list[Numbers] = []
    for place in range(size.rounds):
        say(f"round {place + 1} of {size.rounds}")
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as directory:
            rounds.append(asyncio.run(one_round(Path(directory), size.runs)))
    found = Rounds(rounds)
    rows = (
        found.row(f"a start that ends {size.runs:,} interrupted runs", "start_s", "s", most=GOAL_S),
        found.row("processor time of it", "start_processor_s", "s"),
        found.row("the next start", "second_start_s", "s"),
    )
    return Found(rows, found.all)


BENCHMARK = Benchmark("recovery", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
