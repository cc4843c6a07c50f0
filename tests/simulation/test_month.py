"""A month goes by: the books fit after every death and at every rest, and the program itself finds nothing wrong.

`PALYRA_SIM_SEED=N pytest tests/simulation` plays another month, and the same one again where it failed;
`python -m tests.simulation --seed N --months N [--long]` plays many and prints what happened.
"""

import asyncio
from pathlib import Path

import pytest

from palyra.governance.decision import ReasonCode
from tests.simulation.__main__ import summary
from tests.simulation.coverage import LEAST, SELDOM
from tests.simulation.sizes import LONG, QUICK, SEED, Size, place, seed_asked
from tests.simulation.stage import month
from tests.simulation.verdict import verdict
from tests.simulation.world import Month

USUAL = 104
"""A month that meets everything in `coverage`; another where the engine's course has changed too much for it."""
LONG_SEEDS = (1, 2, 3)


def play(seed: int, size: Size, root: Path) -> Month:
    """A month from its first day to its last, and what the command line says of it."""
    with month(seed, size, root) as made:
        try:
            made.run()
        except BaseException as error:
            error.add_note(f"again: python -m tests.simulation --seed {seed}{' --long' if size is LONG else ''}")
            raise
    # The loops of the month are gone; nobody may be left holding one.
    asyncio.set_event_loop(None)
    faults = verdict(made.disk.state_dir, made.settings.text(), root).faults
    assert not faults, f"{SEED}={seed}: {summary(made)}\n" + "\n".join(faults)
    return made


def test_a_month_keeps_its_books() -> None:
    with place() as root:
        made = play(seed_asked(USUAL), QUICK, root)
    missed = {name: made.seen[name] for name, least in LEAST.items() if made.seen[name] < least}
    assert not missed, f"the month has become too quiet: {missed}"
    codes = {code.value for code in ReasonCode}
    assert SELDOM.keys() <= codes
    never = {code for code in codes - SELDOM.keys() if not made.seen[f"code:{code}"]}
    assert not never, f"decisions no longer say {never}"


def test_one_seed_makes_one_month() -> None:
    short = Size(people=20, a_day=1, requests=6, kill_every=120)
    months = []
    for _ in range(2):
        with place() as root:
            made = play(7, short, root)
            months.append((dict(made.seen), made.books.runs.keys(), sum(made.books.spent.values())))
    assert months[0] == months[1]


@pytest.mark.soak
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_a_month_of_thousands_keeps_its_books(seed: int) -> None:
    with place() as root:
        play(seed_asked(seed), LONG, root)
