"""The process that lives are copies of: it has everything loaded and tried once, and owns no loop and no thread."""

import gc
import logging
import random
import tempfile
from pathlib import Path

from tests.faults.company import Company
from tests.faults.copies import PASSING, Teller
from tests.faults.house import CONFIG_FILE, STATE, T0, House, play, text_of
from tests.faults.lives import examine
from tests.faults.planted import PLANTS
from tests.faults.sqlite_shim import SqliteShim

DAY_MS = 86_400_000
WARMING_ACTS = 60


def prepare(plant: str = "") -> None:
    """Once per process, before its first life; with a mistake of `PLANTS`, if one is named. Raises ShimError."""
    if plant:
        PLANTS[plant]()
    logging.disable(logging.CRITICAL)
    SqliteShim(PASSING)
    with tempfile.TemporaryDirectory(prefix="palyra-faults-") as directory:
        home = Path(directory)
        home.joinpath(CONFIG_FILE).write_text(text_of(random.Random(1)))
        home.joinpath(STATE).mkdir(mode=0o700)
        quiet = Teller(None)
        play(home, random.Random(1), T0 + DAY_MS, quiet, _a_day)
        examine(home, quiet)
    # What is shared with every copy is not to be walked through, and so written to, by each of them.
    gc.collect()
    gc.freeze()
    gc.disable()


async def _a_day(house: House) -> None:
    await house.open()
    await Company(house).day(WARMING_ACTS)
    await house.engine.close()
