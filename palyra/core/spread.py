"""How numbers are spread: counts of how many were at most so much."""

from bisect import bisect_left
from collections.abc import Sequence


class Spread:
    """`counts` has one for each bound (those at most as large, but above the bound before), and one for the rest."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def quantile(self, part: float) -> float | None:
        """The smallest bound that so many of them (0 to 1) are at most, the largest one for what is above all; None
        where there are none."""
        wanted, below = part * self.count, 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            below += count
            if below and below >= wanted:
                return bound
        return self.bounds[-1] if self.count else None

    def up_to(self) -> list[tuple[str, int]]:
        """Each bound as text, and how many were at most that; `+Inf` has all."""
        below, found = 0, []
        for bound, count in zip((*self.bounds, None), self.counts, strict=True):
            below += count
            found.append(("+Inf" if bound is None else f"{bound:g}", below))
        return found
