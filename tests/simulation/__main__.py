"""Plays months and prints what happened: `python -m tests.simulation [--seed N] [--months N] [--long] [--all]`."""

import argparse
import sys

from tests.simulation.sizes import LONG, QUICK, place
from tests.simulation.stage import month
from tests.simulation.verdict import verdict
from tests.simulation.world import Month, MonthError


def main() -> int:
    """Exit 1 when any month did not keep its books."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--months", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--long", action="store_true", help="thousands of people instead of some dozens")
    parser.add_argument("--all", action="store_true", help="print everything that was counted")
    asked = parser.parse_args()
    failed = 0
    for seed in range(asked.seed, asked.seed + asked.months):
        with place() as root:
            faults: list[str] = []
            with month(seed, LONG if asked.long else QUICK, root) as made:
                try:
                    made.run()
                except MonthError as error:
                    faults.append(str(error))
            faults = faults or verdict(made.disk.state_dir, made.settings.text(), root).faults
            failed += bool(faults)
            say("\n  ".join([f"seed {seed}: {summary(made)}", *faults]))
            if asked.all:
                say("\n".join(f"  {name}: {count}" for name, count in sorted(made.seen.items())))
    return 1 if failed else 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def summary(made: Month) -> str:
    """The numbers of a month in one line."""
    seen = made.seen
    grants = ", ".join(f"{seen[f'grant:{kind}']} {kind}" for kind in ("once", "session", "timeboxed", "amount"))
    edits = sum(seen[f"command {verb}_policy accepted"] for verb in ("add", "edit", "remove"))
    return (
        f"{seen['requests']:,} requests, {seen['holds']:,} holds, {seen['slices']:,} slices, {seen['killed']} kills, "
        f"{seen['starts']} starts, {edits} edits, grants {grants}, "
        f"{seen['outcome completed/stream_cut_budget']} cuts, {seen['comparisons']} comparisons"
    )


if __name__ == "__main__":
    raise SystemExit(main())
