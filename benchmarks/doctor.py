"""How long all local checks take on an installation in order: `python -m benchmarks.doctor [RUNS [A_DAY]]`.

RUNS is how many runs its journal holds (100,000), A_DAY how many of them were made each day (10,000), the last just
now. Told are the first look, with all that has to be loaded for it, and the quickest of five more, in ms by the clock
on the wall and of this process's time (the journal is read by two threads), beside the goal.
"""

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time

from palyra.core.clock import ManualClock, SystemClock
from palyra.core.ids import encode
from palyra.doctor.examining import examine
from palyra.doctor.reading import Means, read_installation
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from tests.doctor.healthy import Patient, healthy_at
from tests.journal.samples import DAY, SCOPE, T0, a_hold, a_run, settled, taken

GOAL_MS = 1_000
CHUNK = 500
MODELS = ("gpt-4o-mini", "gpt-4o", "claude-3-5-haiku-latest")
PRINCIPALS, SESSIONS = 40, 400


async def fill(state: Path, runs: int, a_day: int) -> int:
    """Writes so many runs; the time (UTC unix ms) after the last one."""
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
    return T0 + runs * DAY // a_day


async def look(patient: Patient) -> tuple[float, float]:
    """Milliseconds on the wall, and of this process."""
    clock = SystemClock()
    began, worked = clock.monotonic(), process_time()
    found = await read_installation(patient.where, Means(ManualClock(patient.now)))
    examined = await examine(found, ManualClock(patient.now))
    took = 1000 * (clock.monotonic() - began), 1000 * (process_time() - worked)
    assert not examined.blocked, examined.findings
    return took


def main() -> None:
    runs, a_day = (int(given) for given in (sys.argv[1:] + ["100000", "10000"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as directory:
        patient = healthy_at(Path(directory) / "at")
        patient.now = asyncio.run(fill(patient.state, runs, a_day))
        size = (patient.state / "journal.db").stat().st_size
        first = asyncio.run(look(patient))
        quickest = min(asyncio.run(look(patient)) for _ in range(5))
    print(
        f"{runs:,} runs, {a_day:,} a day, journal of {size / 1024**2:.0f} MiB: first {first[0]:.0f} ms"
        f" ({first[1]:.0f} of this process), then {quickest[0]:.0f} ms ({quickest[1]:.0f}); goal {GOAL_MS:,} ms"
    )


if __name__ == "__main__":
    main()
