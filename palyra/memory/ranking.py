"""Two orders of notes made one."""

from collections.abc import Sequence

DAMPING = 60
"""Keeps a first place in one order from outweighing good places in both.

Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet", 2009.
"""
LOOKED_AT = 50
"""How many places of each order count."""


def joined(orders: Sequence[Sequence[int]], most: int) -> list[int]:
    """The best of all orders, each of which names a number once: 1 / (60 + place), summed; newer ones before older."""
    scores: dict[int, float] = {}
    for order in orders:
        for place, number in enumerate(order, start=1):
            scores[number] = scores.get(number, 0.0) + 1 / (DAMPING + place)
    return sorted(scores, key=lambda number: (-scores[number], -number))[:most]
