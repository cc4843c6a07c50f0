"""How many background tasks an engine claims and finishes, and how soon after they are ready they are claimed.

`python -m benchmarks.tasks` opens an engine in this process with the built-in provider. First 5,000 tasks are there at
once: a cycle is a claim, a governed run with its hold and settlement, and the end of the task, each of them durable.
Then one comes after the other while workers are free: how late it is claimed is the time from when it is durable to
when its claim is made, in whole milliseconds. Processor time tells a slow engine from a busy machine; it is that of
this process, with the thread that writes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from palyra.config.load import interpret
from palyra.core.clock import SystemClock
from palyra.core.events import Event
from palyra.engine import Engine, Installation
from palyra.journal.task_rows import TaskRow, TaskState
from palyra.tasks.asking import TaskAsk
from palyra.tasks.desk import MOVED

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
    """Milliseconds by which each was claimed late, least first."""
    late = []
    for n in range(count):
        row, _ = await engine.tasks.desk.submit(replace(ASK, text=f"Say hello again to {n}."), "bench")
        ready = engine.clock.now_ms()
        ended = await engine.tasks.desk.ended(row.task_id)
        assert ended.started_at is not None
        late.append(float(max(0, ended.started_at - ready)))
    return sorted(late)


async def measured(directory: Path, count: int, concurrency: int) -> dict[str, float]:
    engine = await opened(directory, concurrency)
    try:
        wall, worked = await cycles(engine, count)
        late = await claims(engine, max(100, count // 10))
    finally:
        await engine.close()
    return {
        "cycles_a_second": count / wall,
        "processor_ms_each": worked / count * 1000,
        "claim_p50_ms": late[len(late) // 2],
        "claim_p99_ms": late[len(late) * 99 // 100],
    }


def rows(numbers: dict[str, float]) -> list[tuple[str, str, str]]:
    """Rows of the table: what, the number, the goal."""
    return [
        ("tasks claimed and finished a second", f"{numbers['cycles_a_second']:,.0f}", f">= {CYCLES_GOAL:,}"),
        ("processor time for each", f"{numbers['processor_ms_each']:.2f} ms", ""),
        ("a ready task is claimed, p50", f"{numbers['claim_p50_ms']:.0f} ms", ""),
        ("a ready task is claimed, p99", f"{numbers['claim_p99_ms']:.0f} ms", f"<= {CLAIM_GOAL_MS} ms"),
    ]


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    options.add_argument("--tasks", type=int, default=5_000, metavar="N", help="how many there are at once (5,000)")
    options.add_argument("--concurrency", type=int, default=4, metavar="N", help="workers (4)")
    options.add_argument("--directory", type=Path, metavar="D", help="where state lies (the temporary directory)")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=chosen.directory) as directory:
        numbers = asyncio.run(measured(Path(directory), chosen.tasks, chosen.concurrency))
    for what, number, goal in rows(numbers):
        print(f"{what:<40}{number:>14}   {goal}".rstrip())
    sys.stdout.write(json.dumps(numbers) + "\n")


if __name__ == "__main__":
    main()
