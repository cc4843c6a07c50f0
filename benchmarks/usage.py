"""How long questions about usage take on a journal of many runs, at any zoom.

`python -m benchmarks.usage` makes a journal of 200,000 runs over a year in a cached directory; `--runs 10000000` (some
minutes to make, about 7 GB) is what the goal speaks of, `--directory` where it is kept. Each number is the whole way
from the question to its values, as a console asks it; the goal stands beside it, and the processor time, which tells a
slow answer from a busy machine.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.usage_history import DAY, END, history
from palyra.control.usage import UsageRecords
from palyra.control.usage_queries import (
    InsightsQuery,
    UsageQuery,
    UsageRunsQuery,
)
from palyra.core.clock import SystemClock
from palyra.core.usage_filter import UsageFilter
from palyra.journal.journal import open_readers
from palyra.journal.readers import Readers

GOAL_MS = 50.0
HOUR = DAY // 24
ODD = 1_234_567
"""Periods seldom end where an hour does."""

ZOOMS: tuple[tuple[str, int, str, str], ...] = (
    ("1 hour by hour", HOUR, "hour", "UTC"),
    ("24 hours by hour", DAY, "hour", "UTC"),
    ("72 hours by hour", 3 * DAY, "hour", "UTC"),
    ("72 hours by hour, Kolkata", 3 * DAY, "hour", "Asia/Kolkata"),
    ("7 days", 7 * DAY, "day", "UTC"),
    ("30 days", 30 * DAY, "day", "UTC"),
    ("30 days, Prague", 30 * DAY, "day", "Europe/Prague"),
    ("90 days, Los Angeles", 90 * DAY, "day", "America/Los_Angeles"),
    ("365 days", 365 * DAY, "day", "UTC"),
    ("365 days, Prague", 365 * DAY, "day", "Europe/Prague"),
    ("365 days, Los Angeles", 365 * DAY, "day", "America/Los_Angeles"),
    ("365 days, Tokyo", 365 * DAY, "day", "Asia/Tokyo"),
    ("365 days, Kolkata", 365 * DAY, "day", "Asia/Kolkata"),
    ("366 days, Lord Howe", 366 * DAY, "day", "Australia/Lord_Howe"),
)
SUMMED = ("model", "provider", "user", "agent", "key", "tag")
"""What running sums know, at every zoom."""
BREAKDOWNS = (*((by, days) for by in SUMMED for days in (1, 30, 365)), ("session", 1), ("job", 1))
"""Of sessions and jobs rows are read, so that only a day has a goal."""


async def timed(ask: Callable[[], Awaitable[object]], repeat: int) -> tuple[float, float, float]:
    """p50 and p99 in ms, and the processor time of one; the first, which warms the disk's cache, does not count."""
    await ask()
    took = []
    busy = time.process_time()
    for _ in range(repeat):
        begin = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - begin) * 1e3)
    busy = (time.process_time() - busy) * 1e3 / repeat
    took.sort()
    return statistics.median(took), took[min(len(took) - 1, round(len(took) * 0.99))], busy


def tell(name: str, p50: float, p99: float, busy: float, goal: float | None = GOAL_MS) -> bool:
    """Prints a line; whether the goal is met."""
    met = goal is None or p99 <= goal
    beside = ""
    if goal is not None:
        said = "met" if met else "MISSED, the machine being busy" if busy <= goal else "MISSED"
        beside = f"goal {goal:.0f} ms  {p99 / goal:5.2f} of it  {said}"
    print(f"{name:44} p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  processor {busy:7.1f} ms  {beside}")
    return met


async def measure(readers: Readers, repeat: int) -> bool:
    records = UsageRecords(readers, SystemClock())
    until = END - ODD
    met = True
    for by in SUMMED:
        for name, length, bucket, zone in ZOOMS:
            met &= tell(
                f"timeline by {by}, {name}",
                *await timed(
                    lambda length=length, bucket=bucket, zone=zone, by=by: readers.usage_timeline(  # type: ignore[misc]
                        until - length, until, bucket=bucket, zone=zone, by=by
                    ),
                    repeat,
                ),
            )
    for by, days in BREAKDOWNS:
        met &= tell(
            f"breakdown by {by}, {days} days",
            *await timed(
                lambda by=by, days=days: readers.usage_breakdown(until - days * DAY, until, by),  # type: ignore[misc]
                repeat,
            ),
        )
    for days, bucket in ((1, "hour"), (30, "day"), (365, "day")):
        query = UsageQuery(until - days * DAY, until, bucket=bucket, timezone="Europe/Prague", limit=50)
        tell(f"the whole screen, {days} days", *await timed(lambda query=query: records.usage(query), repeat), None)  # type: ignore[misc]
    for by in ("session", "agent", "tag"):
        query = UsageQuery(until - DAY, until, by=by, limit=50)
        tell(f"the whole screen by {by}, 1 day", *await timed(lambda query=query: records.usage(query), repeat), None)  # type: ignore[misc]
    for days in (1, 365):
        asked = InsightsQuery(until - days * DAY, until)
        met &= tell(f"insights, {days} days", *await timed(lambda asked=asked: records.insights(asked), repeat))  # type: ignore[misc]
    runs = UsageRunsQuery(until - HOUR, until, UsageFilter(model="model-3"))
    tell("runs of an hour and a model", *await timed(lambda: records.runs(runs), repeat))
    return met


async def zooms(readers: Readers, repeat: int) -> tuple[float, float]:
    """The worst p99 of any timeline by model at any zoom, and the processor time of one, in ms."""
    until = END - ODD
    found = [
        await timed(
            lambda length=length, bucket=bucket, zone=zone: readers.usage_timeline(  # type: ignore[misc]
                until - length, until, bucket=bucket, zone=zone, by="model"
            ),
            repeat,
        )
        for _, length, bucket, zone in ZOOMS
    ]
    return max(p99 for _, p99, _ in found), max(busy for _, _, busy in found)


async def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=200_000)
    options.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()) / "palyra-benchmarks")
    options.add_argument("--repeat", type=int, default=20)
    chosen = options.parse_args(arguments)
    begin = time.perf_counter()
    state_dir = history(chosen.directory, chosen.runs)
    print(f"{chosen.runs:,} runs in {state_dir}, made or found in {time.perf_counter() - begin:.0f} s")
    async with open_readers(state_dir) as readers:
        return 0 if await measure(readers, chosen.repeat) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
