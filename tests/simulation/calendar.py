"""When people ask: some minutes of every day, and the minutes in which windows end and clocks are changed."""

import random
from collections import deque
from dataclasses import dataclass

from tests.simulation import naive
from tests.simulation.instants import at

BEGIN, END = at("2026-10-02T00:00:00Z"), at("2026-11-04T00:00:00Z")
TURNS = (
    ("Lord Howe skips half an hour", at("2026-10-03T15:30:00Z")),
    ("Prague repeats an hour", at("2026-10-25T01:00:00Z")),
    ("Prague's day of 25 hours ends", at("2026-10-25T23:00:00Z")),
    ("New York repeats an hour", at("2026-11-01T06:00:00Z")),
    ("New York's day of 25 hours ends", at("2026-11-02T05:00:00Z")),
    ("the month ends in Prague", at("2026-10-31T23:00:00Z")),
    ("the month ends in Kathmandu", at("2026-10-31T18:15:00Z")),
    ("the private model becomes dearer", at("2026-10-18T00:00:00Z")),
)
"""Instants at which a window ends or a price changes."""


@dataclass(frozen=True, slots=True)
class Episode:
    """`seconds` in which about so many requests come."""

    start: int
    seconds: float
    requests: int
    kind: str


def episodes(dice: random.Random, a_day: int, requests: int) -> deque[Episode]:
    """`a_day` of them, with `requests` each on average."""
    found = [Episode(instant - 15_000, 45, 2 * requests, kind) for kind, instant in TURNS]
    for day in range(BEGIN, END, naive.DAY):
        for _ in range(a_day):
            start = day + dice.randrange(naive.DAY)
            if dice.random() < 0.15:
                # The end of some hour, which for some zone is the end of a day.
                start = start - start % (15 * naive.MINUTE) - 8_000
            seconds = dice.choice((6, 20, 60, 150))
            found.append(Episode(start, seconds, max(1, int(dice.expovariate(1 / requests))), "common"))
    return deque(sorted(found, key=lambda one: one.start))
