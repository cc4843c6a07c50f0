"""What becomes of a life: drawn from the seed and its number alone, so that the two bring it about again."""

import errno
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.passing import Death, Failing, Side

IMAGES = 3
"""Installations that have been used for a while, on which most lives begin; number 0 is an empty directory."""
OLDER = (1, 8, 12)
"""Schemas of installations of before there were jobs; their images are numbered less than 0."""
SIDES: tuple[Side, ...] = ("before", "after", "torn")
GAPS_S = (0, 1, 45, 900, 40_000)
"""How long an installation lies dead."""
AGAIN = 0.6
"""Share of deaths after which the next engine dies as well, before it has come to rest; and so on."""
MOST_AGAIN = 70
"""Writes of a start, and of what follows it, among which such a death comes."""


@dataclass(frozen=True, slots=True)
class Life:
    """`acts` is how many things happen in it, `closes` whether it ends in order where it is not killed; `failing` is
    what its disk refuses."""

    seed: int
    number: int
    image: int
    acts: int
    closes: bool
    failing: tuple[Failing, ...]

    @property
    def dice(self) -> random.Random:
        """For what happens in it."""
        return random.Random(f"{self.seed}/{self.number}/life")


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`gap_s` after the death, or after the end, another engine starts; `again` is how that one dies and those after
    it, each followed at once by another."""

    gap_s: float
    again: tuple[Death, ...]


def life_of(seed: int, number: int) -> Life:
    """The life of a number, from 1."""
    dice = random.Random(f"{seed}/{number}/plan")
    image = 0 if dice.random() < 0.08 else dice.randint(1, IMAGES)
    if dice.random() < 0.08:
        image = -dice.choice(OLDER)
    acts = dice.choice((3, 5, 8, 14))
    failing = tuple(_failing(dice) for _ in range(dice.choice((0, 0, 0, 1, 1, 2))))
    return Life(seed, number, image, acts, dice.random() < 0.5, failing)


def _failing(dice: random.Random) -> Failing:
    error = dice.choice((errno.ENOSPC, errno.ENOSPC, errno.EIO))
    first = int(dice.expovariate(1 / 250)) + 1
    length = dice.choice((1, 1, 3, dice.randint(5, 60), 1_000_000))
    return Failing(first, first + length - 1, error, "sync" if error == errno.EIO and dice.random() < 0.4 else "")


def deaths_of(life: Life, trail: Sequence[str], count: int) -> Iterator[Death]:
    """So many different ones among the writes a life comes to, or, where count is 0, all there are. Half of them are
    drawn among all writes, which are of the journal's WAL nearly all, half of what is written seldom."""
    dice = random.Random(f"{life.seed}/{life.number}/deaths")
    alike: dict[str, list[int]] = {}
    for write, what in enumerate(trail, 1):
        alike.setdefault(what, []).append(write)
    if not count:
        yield from (death_at(life, write, side) for write in range(1, len(trail) + 1) for side in SIDES)
        return
    drawn: set[tuple[int, Side]] = set()
    while len(drawn) < min(count, len(SIDES) * len(trail)):
        among = alike[dice.choice(list(alike))] if dice.random() < 0.5 else range(1, len(trail) + 1)
        write, side = dice.choice(among), dice.choice(SIDES)
        if (write, side) not in drawn:
            drawn.add((write, side))
            yield death_at(life, write, side)


def death_at(life: Life, write: int, side: Side) -> Death:
    part = random.Random(f"{life.seed}/{life.number}/{write}").random()
    return Death(write, side, part)


def aftermath_of(life: Life, death: Death | None) -> Aftermath:
    named = "" if death is None else f"{death.write}/{death.side}"
    dice = random.Random(f"{life.seed}/{life.number}/{named}/after")
    gap = dice.choice(GAPS_S)
    again = []
    while death is not None and dice.random() < AGAIN:
        again.append(Death(dice.randint(1, MOST_AGAIN), dice.choice(SIDES), dice.random()))
    return Aftermath(gap, tuple(again))
