"""How long all local checks take on an installation in order: `python -m benchmarks.doctor [RUNS]`.

RUNS is how many runs its journal holds (10,000). Told are the first look, with all that has to be loaded for it, and
the quickest of five more, in ms of this process's time and by the clock on the wall.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from palyra.core.clock import ManualClock, SystemClock
from palyra.doctor.examining import examine
from palyra.doctor.reading import Means, read_installation
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from tests.doctor.healthy import NOW, Patient, healthy_at
from tests.journal.samples import T0, a_hold, a_run, new_id, settled, taken

CHUNK = 500


async def fill(state: Path, runs: int) -> None:
    journal = await Journal.open(state, ManualClock(T0))
    for _ in range(runs // CHUNK):
        changes: list[Change] = []
        for _ in range(CHUNK):
            run = a_run(new_id())
            hold = a_hold(run)
            changes += [*taken(run, hold), *settled(run, hold)]
        await journal.submit(changes)
    await journal.close()


async def look(patient: Patient) -> tuple[float, float]:
    """Milliseconds of this process, and on the wall."""
    clock = SystemClock()
    began, worked = clock.monotonic(), time.process_time()
    found = await read_installation(patient.where, Means(ManualClock(NOW)))
    examined = await examine(found, ManualClock(NOW))
    took = 1000 * (time.process_time() - worked), 1000 * (clock.monotonic() - began)
    assert not examined.blocked, examined.findings
    return took


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as directory:
        patient = healthy_at(Path(directory) / "at")
        asyncio.run(fill(patient.state, runs))
        size = (patient.state / "journal.db").stat().st_size
        first = asyncio.run(look(patient))
        others = [asyncio.run(look(patient)) for _ in range(5)]
    quickest = min(others)
    print(
        f"{runs:,} runs, journal of {size / 1024**2:.0f} MiB: "
        f"first {first[0]:.0f} ms ({first[1]:.0f} on the wall), then {quickest[0]:.0f} ms ({quickest[1]:.0f})"
    )


if __name__ == "__main__":
    main()
