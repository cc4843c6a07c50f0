"""Exact arithmetic over a set of rates: rational numbers with one denominator, rounded once at the end."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm

from palyra.core.money import NANO
from palyra.pricing.rates import INPUT, OUTPUT, REQUESTS, UNITS, Rate, RatePart


def half_even(numerator: int, denominator: int) -> int:
    """`numerator ÷ denominator` to the nearest int, a half to the even one. Both ≥ 0, denominator > 0."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + 1 if twice > denominator or (twice == denominator and whole & 1) else whole


def round_up(numerator: int, denominator: int) -> int:
    """`numerator ÷ denominator`, rounded up. Denominator > 0."""
    return -(-numerator // denominator)


class Pricer:
    """Prices counts of units with one set of rates.

    A count is that of the whole unit, with everything inside it (input includes cached input); what a more specific
    rate prices is taken out of the less specific one, and a unit without its own rate stays in its parent.
    A tier is a cliff: it depends on the input total alone and then holds for every token.
    Amounts leave as numerators over `denominator` nano-dollars, so that sums stay exact.
    """

    __slots__ = ("_dearest", "_inside", "_numerators", "_starts", "_units", "_usd", "denominator", "per")

    def __init__(self, rates: Sequence[Rate]) -> None:
        # The most specific first, so that what lies inside a unit is known before the unit itself.
        ordered = sorted(rates, key=lambda rate: (-len(UNITS[rate.unit].dimensions), rate.unit))
        dimensions = [UNITS[rate.unit].dimensions for rate in ordered]
        self._units = tuple(rate.unit for rate in ordered)
        self.per = {rate.unit: rate.per for rate in ordered}
        self._inside = tuple(
            tuple(inner for inner in range(len(ordered)) if dimensions[inner] > dimensions[outer])
            for outer in range(len(ordered))
        )
        self._starts = sorted({tier.start for rate in ordered for tier in rate.tiers})
        # Band n holds for inputs above n of the starts.
        self._usd = [
            tuple(rate.at(start + 1 if start is not None else 0) for rate in ordered) for start in (None, *self._starts)
        ]
        exact = [
            [Fraction(usd) * NANO / rate.per for usd, rate in zip(band, ordered, strict=True)] for band in self._usd
        ]
        self.denominator = lcm(*(rate.denominator for band in exact for rate in band))
        self._dearest: dict[tuple[frozenset[str], int], int] = {}
        self._numerators = [tuple(int(rate * self.denominator) for rate in band) for band in exact]

    def has(self, unit: str) -> bool:
        """Whether the unit has a rate of its own."""
        return unit in self.per

    def covers(self, counts: Mapping[str, int]) -> bool:
        """Whether every token counted has a rate. Without one for a whole, its price is unknown, not zero."""
        return (INPUT in self.per or not counts.get(INPUT)) and (OUTPUT in self.per or not counts.get(OUTPUT))

    def price(self, counts: Mapping[str, int]) -> tuple[int, tuple[RatePart, ...]]:
        """The numerator of the exact price and the parts that make it up (those with a count above zero).

        Parts must not exceed their wholes; one request is always counted.
        """
        band = bisect_left(self._starts, counts.get(INPUT, 0)) if self._starts else 0
        usd, numerators = self._usd[band], self._numerators[band]
        leaves: list[int] = []
        parts: list[RatePart] = []
        total = 0
        for place, unit in enumerate(self._units):
            count = 1 if unit == REQUESTS else counts.get(unit, 0)
            for inner in self._inside[place]:
                count -= leaves[inner]
            leaves.append(count)
            if count:
                total += count * numerators[place]
                parts.append(RatePart(unit, count, usd[place], self.per[unit]))
        return total, tuple(parts)

    def dearest(self, units: frozenset[str], input_bound: int) -> int:
        """The highest numerator among those units that have a rate, over every tier an input that large can reach."""
        bands = bisect_left(self._starts, input_bound) + 1
        found = self._dearest.get((units, bands))
        if found is None:
            places = [place for place, unit in enumerate(self._units) if unit in units]
            among = (band[place] for band in self._numerators[:bands] for place in places)
            found = self._dearest[units, bands] = max(among, default=0)
        return found
