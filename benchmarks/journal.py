"""How many units of changes the journal makes durable, and how long a caller waits for that.

`python -m benchmarks.journal` lets 1, 16 and 256 callers at a time submit what a request writes before it is sent (its
run, its decision and its hold) and wait until that is durable, on the disk and in memory. Beside it, in the same
rounds: the same units through the same statements with a commit for each, as if callers took turns, and plain sqlite3
that commits a single row each time. All of it has one core. Of all rounds each number is the median.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Measured, Numbers, Rounds, share
from benchmarks.parties import two_cores
from benchmarks.passthrough import ROW_BYTES
from palyra.core.clock import SystemClock
from palyra.core.heap import settle_heap
from palyra.core.plural import plural
from palyra.journal.audit import newest_link
from palyra.journal.batch import assemble, encode, prepare, write
from palyra.journal.changes import Change
from palyra.journal.journal import JOURNAL_FILE, Journal
from tests.journal.samples import a_hold, a_run, taken

CALLERS = (1, 16, 256)
PLACES = {"disk": "on the disk", "memory": "in memory"}
EACH, ROW = "one commit each", "plain commits of one row"


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(3, "how often")
    units: int = option(4_000, "of many callers; a tenth of it of one, and of each floor")


QUICK = Size(rounds=1, units=500)


def units(count: int) -> list[Sequence[Change]]:
    made: list[Sequence[Change]] = []
    for _ in range(count):
        run_row = a_run()
        made.append(taken(run_row, a_hold(run_row)))
    return made


async def grouped(directory: Path, size: Size, prefix: str) -> Numbers:
    """The journal, with each number of callers."""
    numbers: Numbers = {}
    journal = await Journal.open(directory, SystemClock())
    for callers in CALLERS:
        left = iter(units(size.units if callers > 1 else size.units // 10))
        waited: list[float] = []

        async def caller(left: Iterator[Sequence[Change]] = left, waited: list[float] = waited) -> None:
            for unit in left:
                begun = time.perf_counter()
                await journal.submit(unit)
                waited.append((time.perf_counter() - begun) * 1000)

        settle_heap()
        commits, begun, worked = journal.stats.commits_total, time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(callers)))
        took, busy = time.perf_counter() - begun, time.process_time() - worked
        numbers |= {
            f"{prefix}_{callers}_units": len(waited) / took,
            f"{prefix}_{callers}_commits": (journal.stats.commits_total - commits) / took,
            f"{prefix}_{callers}_cpu_ms": busy * 1000 / len(waited),
            f"{prefix}_{callers}_p50_ms": share(waited, 0.5),
            f"{prefix}_{callers}_p99_ms": share(waited, 0.99),
        }
    await journal.close()
    return numbers


def one_each(directory: Path, size: Size, prefix: str) -> Numbers:
    """The same units on a journal that `grouped` has left, one commit for each."""
    with closing(sqlite3.connect(directory / JOURNAL_FILE, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = FULL")
        prepare(database)
        head, made, waited = newest_link(database), units(size.units // 10), []
        for unit in made:
            begun = time.perf_counter()
            values, count, head = assemble([encode(unit)], head)
            write(database, values, count)
            waited.append(time.perf_counter() - begun)
    return {f"{prefix}_each_units": len(waited) / sum(waited), f"{prefix}_each_p50_ms": share(waited, 0.5) * 1000}


def plain(directory: Path, size: Size, prefix: str) -> Numbers:
    """sqlite3 as it comes, as durable: one row, one commit."""
    with closing(sqlite3.connect(directory / "plain.db", isolation_level=None)) as database:
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("CREATE TABLE kept (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        waited = []
        for _ in range(size.units // 10):
            begun = time.perf_counter()
            database.execute("INSERT INTO kept (body) VALUES (?)", (bytes(ROW_BYTES),))
            waited.append(time.perf_counter() - begun)
    return {f"{prefix}_row_units": len(waited) / sum(waited), f"{prefix}_row_p50_ms": share(waited, 0.5) * 1000}


def one_round(place: Path, size: Size, prefix: str) -> Numbers:
    with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=place) as directory:
        state = Path(directory)
        numbers = asyncio.run(grouped(state, size, prefix))
        return {**numbers, **one_each(state, size, prefix), **plain(state, size, prefix)}


def rows(found: Rounds) -> Iterator[Measured]:
    few, some, many = CALLERS
    for prefix, where in PLACES.items():
        beside = {EACH: f"{prefix}_each_units", ROW: f"{prefix}_row_units"}
        for callers in (some, many):
            said = f"{where}, {callers} callers: units a second"
            yield found.row(said, f"{prefix}_{callers}_units", "/s", beside=beside)
        yield found.row(f"{where}, {few} caller: durable after, p50", f"{prefix}_{few}_p50_ms", "ms")
        yield found.row(f"{where}, {some} callers: durable after, p99", f"{prefix}_{some}_p99_ms", "ms")
        yield found.row(f"{where}, {many} callers: durable after, p99", f"{prefix}_{many}_p99_ms", "ms")
    yield found.row(f"in memory, {many} callers: processor time of a unit", f"memory_{many}_cpu_ms", "ms")


def more(found: Rounds) -> Iterator[Measured]:
    for prefix, where in PLACES.items():
        for callers in CALLERS:
            who = plural(callers, "caller")
            yield found.row(f"{where}, {who}: commits a second", f"{prefix}_{callers}_commits", "/s")
            yield found.row(f"{where}, {who}: durable after, p50", f"{prefix}_{callers}_p50_ms", "ms")
            yield found.row(f"{where}, {who}: durable after, p99", f"{prefix}_{callers}_p99_ms", "ms")


def measure(setting: Setting, size: Size) -> Found:
    os.sched_setaffinity(0, {two_cores().engine})
    rounds: list[Numbers] = []
    for place in range(size.rounds):
        say(f"round {place + 1} of {size.rounds}")
        disk, memory = one_round(setting.directory, size, "disk"), one_round(setting.memory, size, "memory")
        rounds.append({**disk, **memory})
    found = Rounds(rounds)
    return Found(tuple(rows(found)), found.all, more=tuple(more(found)))


BENCHMARK = Benchmark("journal", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
