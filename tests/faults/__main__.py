"""Kills the real engine at its writes: `python -m tests.faults --seed N [--kills N] [--lives N] [--jobs N]`.

With `--power` the power fails as well: what was synced stays, of everything else whatever a disk may leave of it.
One death again, exactly: `python -m tests.faults --seed N --life L --write K --side before|after|torn [--power]`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tests.faults.passing import Side

HASH_SEED = "PYTHONHASHSEED"


def main(arguments: Sequence[str]) -> int:
    """Exit 1 when anything did not fit, 2 for what cannot be asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="everything is drawn from it")
    parser.add_argument("--kills", type=int, default=200, help="go on until there were so many")
    parser.add_argument("--lives", type=int, help="stop after so many lives at the latest")
    parser.add_argument("--first", type=int, default=1, help="the number of the first life")
    parser.add_argument("--deaths", type=int, default=12, help="of each life; 0: at every write, on every side")
    parser.add_argument("--jobs", type=int, default=1, help="processes beside each other")
    parser.add_argument("--place", type=Path, help="where installations lie (default: the system's place for such)")
    parser.add_argument("--life", type=int, help="only this one")
    parser.add_argument("--write", type=int, help="dies at this write; without it the life ends as it would")
    parser.add_argument("--side", choices=get_args(Side), default="before")
    parser.add_argument("--power", action="store_true", help="the power fails as well: only what was synced stays")
    parser.add_argument("--plant", default="", help="with a mistake in the program, to see that it is found")
    parser.add_argument("--at-most", type=int, help="stop after so many deaths after which something did not fit")
    parser.add_argument("--verbose", action="store_true", help="with --life: everything that was told")
    asked = parser.parse_args(arguments)
    if asked.write is not None and asked.life is None:
        parser.error("--write needs --life")
    if os.environ.get(HASH_SEED) != "0":
        # Sets are walked through by hash: another order is another history.
        os.environ[HASH_SEED] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.faults", *arguments])
    from tests.faults.planted import PLANTS
    from tests.faults.series import GIVEN_UP_AFTER, Series, replay

    if asked.plant and asked.plant not in PLANTS:
        parser.error(f"--plant is one of {', '.join(PLANTS)}")

    if asked.life is not None:
        return replay(
            asked.seed,
            asked.life,
            asked.write,
            asked.side,
            asked.place,
            asked.plant,
            power=asked.power,
            verbose=asked.verbose,
        )
    most = asked.at_most or GIVEN_UP_AFTER
    series = Series(
        asked.seed,
        asked.kills,
        asked.lives,
        asked.first,
        asked.deaths,
        asked.jobs,
        asked.place,
        asked.plant,
        most,
        asked.power,
    )
    return series.run()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
