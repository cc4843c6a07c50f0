"""How long all local checks take on an installation in order.

`python -m benchmarks.doctor` looks at a copy of an installation, made once, whose last run was just now. Told are the
first look, with all that has to be loaded for it, and five more, by the clock on the wall and of this process's time
(the journal is read by two threads).
"""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Rounds
from palyra.core.clock import ManualClock, SystemClock
from palyra.core.ids import encode
from palyra.doctor.examining import examine
from palyra.doctor.reading import Means, read_installation
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from palyra.journal.schema import LATEST
from tests.doctor.healthy import Patient, copied, healthy_at
from tests.journal.samples import DAY, SCOPE, T0, a_hold, a_run, settled, taken

GOAL_MS = 1_000
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Size:
    runs: int = option(100_000, "in the journal")
    a_day: int = option(10_000, "how many of them each day")
    looks: int = option(5, "after the first")


QUICK = Size(runs=5_000, looks=2)

MODELS = ("gpt-4o-mini", "gpt-4o", "claude-3-5-haiku-latest")
PRINCIPALS, SESSIONS = 40, 400


async def fill(state: Path, runs: int, a_day: int) -> None:
    """Writes so many runs."""
    journal = await Journal.open(state, ManualClock(T0))
    for first in range(0, runs, CHUNK):
        changes: list[Change] = []
        for number in range(first, min(first + CHUNK, runs)):
            at = T0 + number * DAY // a_day
            scope = replace(SCOPE, principal=f"user-{number % PRINCIPALS}", session=f"s-{number % SESSIONS}")
            run = a_run(encode(at, 2 * number), accepted_at=at, scope=scope, model=MODELS[number % len(MODELS)])
            hold = a_hold(run, encode(at, 2 * number + 1))
            changes += [*taken(run, hold), *settled(run, hold)]
        await journal.submit(changes)
    await journal.close()


async def look(patient: Patient) -> tuple[float, float]:
    """Milliseconds on the wall, and of this process."""
    clock = SystemClock()
    began, worked = clock.monotonic(), process_time()
    found = await read_installation(patient.where, Means(ManualClock(patient.now)))
    examined = await examine(found, ManualClock(patient.now))
    took = 1000 * (clock.monotonic() - began), 1000 * (process_time() - worked)
    assert not examined.blocked, examined.findings
    return took


def prepare(setting: Setting, size: Size) -> Patient:
    """An installation in order; the one that is there, if its journal is one of this schema."""
    at = setting.cache / f"doctor-{size.runs}-{size.a_day}-v{LATEST}"
    if not at.exists():
        say(f"a journal of {size.runs:,} runs, kept in {at}")
        fresh = at.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        asyncio.run(fill(healthy_at(fresh).state, size.runs, size.a_day))
        fresh.rename(at)
    return Patient(at, now=T0 + size.runs * DAY // size.a_day)


def measure(setting: Setting, size: Size) -> Found:
    kept = prepare(setting, size)
    with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as directory:
        patient = copied(kept, Path(directory) / "at")
        patient.now = kept.now
        octets = (patient.state / "journal.db").stat().st_size
        say("looks")
        looks = [asyncio.run(look(patient)) for _ in range(1 + size.looks)]
    first = Rounds([{"took_ms": looks[0][0], "worked_ms": looks[0][1]}])
    again = Rounds([{"took_ms": took, "worked_ms": worked} for took, worked in looks[1:]])
    runs = f"{size.runs:,} runs, {size.a_day:,} of them a day"
    rows = (
        first.row(f"all local checks, {runs}: the first time, with all that is loaded", "took_ms", "ms", most=GOAL_MS),
        again.row("all local checks again", "took_ms", "ms", most=GOAL_MS),
    )
    more = (
        first.row("the first time, processor time", "worked_ms", "ms"),
        again.row("again, processor time", "worked_ms", "ms"),
    )
    return Found(
        rows, (*first.all, *again.all), (f"The journal that the doctor looks at has {octets / 1024**2:.0f} MiB.",), more
    )


BENCHMARK = Benchmark("doctor", __doc__, Size(), QUICK, measure, prepare)

if __name__ == "__main__":
    run(BENCHMARK)
