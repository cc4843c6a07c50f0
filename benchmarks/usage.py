"""How long questions about usage take on a journal of many runs, at any zoom.

`python -m benchmarks.usage` asks a journal of a year; ten million runs take 7 GB to keep
(`--prepare` only makes them). Each answer is the whole way from the question to its values, as a console asks it. Its
processor time tells a slow answer from a busy machine. Of the dearest question of each kind a row is told.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Measured, share
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


@dataclass(frozen=True, slots=True)
class Size:
    runs: int = option(10_000_000, "of the year")
    repeat: int = option(7, "how often each question is asked")


QUICK = Size(runs=100_000, repeat=3)

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
SCREENS = (("model", 1), ("model", 30), ("model", 365), ("session", 1), ("agent", 1), ("tag", 1))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `kind` is the row that its answer counts for, empty for none."""

    kind: str
    name: str
    ask: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Answered:
    """Milliseconds of each answer: on the wall, and of the processor."""

    question: Question
    took: Sequence[float]
    busy: Sequence[float]

    @property
    def line(self) -> str:
        took = f"p50 {statistics.median(self.took):7.1f} ms  p99 {share(self.took, 0.99):7.1f} ms"
        return f"{self.question.name:44} {took}  processor {statistics.median(self.busy):7.1f} ms"


async def asked(question: Question, repeat: int) -> Answered:
    """The first answer, which warms the disk's cache, does not count."""
    await question.ask()
    took, busy = [], []
    for _ in range(repeat):
        worked, begun = time.process_time(), time.perf_counter()
        await question.ask()
        took.append((time.perf_counter() - begun) * 1e3)
        busy.append((time.process_time() - worked) * 1e3)
    return Answered(question, took, busy)


YEAR_BY_MODEL, YEAR_BY_USER, YEAR_BY_OTHER = (
    f"a year in any zone, by {by}" for by in ("model", "user", "anything else")
)
MONTH, BREAKDOWN = "any period up to 30 days in any zone, by anything", "any period up to a year broken down"
SESSION, JOB = "a day by session", "a day by job"
INSIGHTS = "insights of a day or a year"
GOALS = (YEAR_BY_MODEL, YEAR_BY_USER, YEAR_BY_OTHER, MONTH, BREAKDOWN, SESSION, JOB, INSIGHTS)


def questions(readers: Readers) -> Iterator[Question]:
    records = UsageRecords(readers, SystemClock())
    until = END - ODD
    for by in SUMMED:
        year = {"model": YEAR_BY_MODEL, "user": YEAR_BY_USER}.get(by, YEAR_BY_OTHER)
        for name, length, bucket, zone in ZOOMS:

            def timeline(
                length: int = length, bucket: str = bucket, zone: str = zone, by: str = by
            ) -> Awaitable[object]:
                return readers.usage_timeline(until - length, until, bucket=bucket, zone=zone, by=by)

            yield Question(MONTH if length <= 30 * DAY else year, f"timeline by {by}, {name}", timeline)
    for by, days in BREAKDOWNS:

        def breakdown(by: str = by, days: int = days) -> Awaitable[object]:
            return readers.usage_breakdown(until - days * DAY, until, by)

        kind = {"session": SESSION, "job": JOB}.get(by, BREAKDOWN)
        yield Question(kind, f"breakdown by {by}, {days} days", breakdown)
    for by, days in SCREENS:
        bucket = "hour" if days == 1 else "day"
        query = UsageQuery(until - days * DAY, until, bucket=bucket, timezone="Europe/Prague", by=by, limit=50)
        name = f"the whole screen by {by}, {days} days"
        yield Question("", name, lambda query=query: records.usage(query))  # type: ignore[misc]
    for days in (1, 365):
        insights = InsightsQuery(until - days * DAY, until)
        yield Question(INSIGHTS, f"insights, {days} days", lambda insights=insights: records.insights(insights))  # type: ignore[misc]
    runs = UsageRunsQuery(until - HOUR, until, UsageFilter(model="model-3"))
    yield Question("", "runs of an hour and a model", lambda: records.runs(runs))


async def answers(state_dir: Path, repeat: int) -> AsyncIterator[Answered]:
    async with open_readers(state_dir) as readers:
        for question in questions(readers):
            yield await asked(question, repeat)


def rows(found: Sequence[Answered], runs: int) -> tuple[Measured, ...]:
    """The dearest of each kind, and of all with a goal the one that took longest."""
    told: list[Measured] = []
    for kind in GOALS:
        dearest = max((one for one in found if one.question.kind == kind), key=lambda one: statistics.median(one.busy))
        median, least, most = statistics.median(dearest.busy), min(dearest.busy), max(dearest.busy)
        what = f"{runs:,} runs: processor time of {kind}" if not told else kind
        told.append(Measured(what, median, "ms", GOAL_MS, least=least, most=most))
    longest = max(share(one.took, 0.99) for one in found if one.question.kind)
    return (*told, Measured("p99 of the slowest of all these, on the wall", longest, "ms", GOAL_MS))


def prepare(setting: Setting, size: Size) -> Path:
    return history(setting.cache, size.runs)


def measure(setting: Setting, size: Size) -> Found:
    state_dir = prepare(setting, size)
    say("questions about usage")

    async def all_of_them() -> list[Answered]:
        return [one async for one in answers(state_dir, size.repeat)]

    found = asyncio.run(all_of_them())
    return Found(rows(found, size.runs), details=tuple(one.line for one in found))


BENCHMARK = Benchmark("usage", __doc__, Size(), QUICK, measure, prepare)

if __name__ == "__main__":
    run(BENCHMARK)
