"""A process that writes to a journal as fast as it can and says what it was promised, one line each, until killed."""

import asyncio
import os
import sys
from pathlib import Path

from palyra.core.clock import SystemClock
from palyra.journal.journal import Journal
from palyra.journal.lock import EngineLock
from tests.journal.samples import a_hold, a_run, settled, taken


async def main(state_dir: Path, name: str) -> None:
    EngineLock(state_dir).acquire()
    journal = await Journal.open(state_dir, SystemClock())
    numbers = iter(range(10**9))

    async def client() -> None:
        for number in numbers:
            run = a_run(f"{name}-{number}")
            hold = a_hold(run, f"hold-{run.run_id}")
            await journal.submit(taken(run, hold))
            os.write(1, f"taken {run.run_id}\n".encode())
            if number % 3:
                await journal.submit(settled(run, hold))
                os.write(1, f"settled {run.run_id}\n".encode())

    await asyncio.gather(*[client() for _ in range(8)])


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
    finally:
        os._exit(1)
