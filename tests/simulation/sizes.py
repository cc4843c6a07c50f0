"""How much of a month is played, and where its journal lies."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEMORY = Path("/dev/shm")
SEED = "PALYRA_SIM_SEED"


@dataclass(frozen=True, slots=True)
class Size:
    """People, episodes a day, requests an episode on average, and commits between two deaths on average."""

    people: int
    a_day: int
    requests: int
    kill_every: float


QUICK = Size(people=120, a_day=4, requests=18, kill_every=220)
LONG = Size(people=3_000, a_day=10, requests=40, kill_every=700)


def seed_asked(usual: int) -> int:
    """The seed of the environment, or the usual one."""
    return int(os.environ.get(SEED, usual))


@contextmanager
def place() -> Iterator[Path]:
    """A directory of its own, in memory where there is such a place."""
    root = Path(tempfile.mkdtemp(prefix="palyra-month-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
