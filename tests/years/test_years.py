"""A century goes by, and thirty days minute after minute: every slot is accounted for, nothing is done twice, and
nobody who is well is stopped.

`PALYRA_SIM_SEED=N pytest tests/years` plays other years, and the same ones again where they failed.
"""

import sys

import pytest

from tests.simulation.sizes import SEED, seed_asked
from tests.years.plans import Plan, century, days, minutes
from tests.years.verdict import verdict
from tests.years.world import Years, years

USUAL = 20_261_122
LONG_SEEDS = (1, 2, 3)
LEAST = {
    "killed": 10,
    "closed in order": 3,
    "forward": 3,
    "back": 3,
    "stall": 3,
    "fail": 3,
    "slow": 2,
    "run completed stop": 500,
    "run failed rate_limited": 30,
    "run refused budget_exceeded": 5,
    "run cancelled self_healing": 20,
}
"""What must have happened in each plan, or it proves little."""


def play(plan: Plan, seed: int) -> Years:
    with years(plan, seed) as made:
        try:
            made.run()
        except Exception as error:
            error.add_note(f"{SEED}={seed}: {made.told()}")
            raise
        faults = verdict(made)
    sys.stdout.write(f"{SEED}={seed}: {made.told()}\n")
    assert not faults, f"{SEED}={seed}: {made.told()}\n" + "\n".join(faults[:40])
    missed = {name: made.tally.seen[name] for name, least in LEAST.items() if made.tally.seen[name] < least}
    assert not missed, f"these years have become too quiet: {missed}"
    return made


def test_a_century_leaves_nothing_unaccounted_for() -> None:
    """Of jobs that come each week to each leap year."""
    made = play(century(), seed_asked(USUAL))
    reviews = [name for name in made.tally.seen if name.startswith("review")]
    assert len(reviews) == 3, reviews


def test_thirty_days_of_minutes_leave_nothing_unaccounted_for() -> None:
    """And of days, on which the same work comes each few minutes, hours and days."""
    play(minutes(), seed_asked(USUAL))


def test_one_seed_makes_the_same_years() -> None:
    told = []
    for _ in range(2):
        with years(minutes(1), 7) as made:
            made.run()
        told.append((made.told(), made.ended_at, made.turned))
    assert told[0] == told[1]


@pytest.mark.soak
@pytest.mark.parametrize("seed", LONG_SEEDS)
@pytest.mark.parametrize("plan", [century(1_000), days(100), minutes(365)], ids=["yearly", "daily", "minutes"])
def test_a_thousand_years_leave_nothing_unaccounted_for(plan: Plan, seed: int) -> None:
    play(plan, seed_asked(seed))
