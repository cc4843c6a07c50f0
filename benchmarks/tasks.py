"""How many background tasks an engine claims and finishes, and how soon after they are ready they are claimed.

`python -m benchmarks.tasks` opens an engine in this process with the built-in provider. First many tasks are there at
once: a cycle is a claim, a governed run with its hold and settlement, and the end of the task, each of them durable.
Then one comes after the other while workers are free: how late it is claimed is the time from when it is durable to
when its claim is made, in whole milliseconds. Processor time tells a slow engine from a busy machine; it is that of
this process, with the thread that writes.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Numbers, Rounds, share
from palyra.config.load import interpret
from palyra.core.clock import SystemClock
from palyra.core.events import Event
from palyra.engine import Engine, Installation
from palyra.journal.task_rows import TaskRow, TaskState
from palyra.tasks.asking import TaskAsk
from palyra.tasks.desk import MOVED


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(3, "how often")
    tasks: int = option(2_000, "how many there are at once")
    claims: int = option(300, "how many come one after the other")
    concurrency: int = option(4, "workers")


QUICK = Size(rounds=1, tasks=200, claims=50)

ASK = TaskAsk(text="Say hello.", owner="bench")
CYCLES_GOAL, CLAIM_GOAL_MS = 1_000, 50


async def opened(directory: Path, concurrency: int) -> Engine:
    text = f"version = 1\n[tasks]\nconcurrency = {concurrency}\n"
    config = interpret(text.encode(), directory / "palyra.toml", {}, {}).config
    assert config is not None
    return await Engine.open(Installation(config, directory / "state"), SystemClock(), {})


async def cycles(engine: Engine, count: int) -> tuple[float, float]:
    """Wall and processor seconds in which so many tasks are claimed and finished."""
    made = [engine.tasks.desk.submit(replace(ASK, text=f"Say hello to {n}."), "bench") for n in range(count)]
    await asyncio.gather(*made)
    done = asyncio.Event()
    left = count

    def moved(event: Event) -> None:
        nonlocal left
        row: TaskRow = event.data["row"]
        if row.state.terminal:
            left -= 1
            if row.state is not TaskState.COMPLETED:
                raise RuntimeError(f"{row.state}: {row.reason} {row.error}")
            if not left:
                done.set()

    stop = engine.events.subscribe(moved, MOVED)
    began, worked = time.perf_counter(), time.process_time()
    engine.tasks.open_claims()
    await done.wait()
    await engine.journal.submit(())
    took = time.perf_counter() - began, time.process_time() - worked
    stop()
    return took


async def claims(engine: Engine, count: int) -> list[float]:
    """Milliseconds by which each was claimed late."""
    late = []
    for n in range(count):
        row, _ = await engine.tasks.desk.submit(replace(ASK, text=f"Say hello again to {n}."), "bench")
        ready = engine.clock.now_ms()
        ended = await engine.tasks.desk.ended(row.task_id)
        assert ended.started_at is not None
        late.append(float(max(0, ended.started_at - ready)))
    return late


async def one_round(directory: Path, size: Size) -> Numbers:
    engine = await opened(directory, size.concurrency)
    try:
        wall, worked = await cycles(engine, size.tasks)
        late = await claims(engine, size.claims)
    finally:
        await engine.close()
    return {
        "cycles_a_second": size.tasks / wall,
        "processor_ms_each": worked / size.tasks * 1000,
        "claim_p50_ms": share(late, 0.5),
        "claim_p99_ms": share(late, 0.99),
    }


def measure(setting: Setting, size: Size) -> Found:
    rounds: list[Numbers] = []
    for place in range(size.rounds):
        say(f"round {place + 1} of {size.rounds}")
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as directory:
            rounds.append(asyncio.run(one_round(Path(directory), size)))
    found = Rounds(rounds)
    rows = (
        found.row("tasks claimed and finished a second, built-in provider", "cycles_a_second", "/s", least=CYCLES_GOAL),
        found.row("processor time for each", "processor_ms_each", "ms"),
        found.row("a ready task is claimed, p99", "claim_p99_ms", "ms", most=CLAIM_GOAL_MS),
    )
    return Found(rows, found.all)


BENCHMARK = Benchmark("tasks", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
