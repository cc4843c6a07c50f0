"""The tier of a model by price, as lists show it and routing compares it."""

from decimal import Decimal
from fractions import Fraction

from palyra.config.choices import CostTier
from palyra.core.values import value
from palyra.pricing.card import RateCard
from palyra.pricing.rates import INPUT, OUTPUT

LOW_AT_MOST = Decimal("1.00")
PREMIUM_FROM = Decimal("5.00")


@value
class TierLabel:
    """`known` is false where the price is unknown and `standard` only a guess; shown with a `?` then."""

    tier: CostTier
    known: bool = True

    def __str__(self) -> str:
        return self.tier.value if self.known else f"{self.tier}?"


def blended_usd(card: RateCard) -> Fraction | None:
    """(3 × input + output) ÷ 4 in dollars per million tokens at the lowest tier; None without an input rate.

    A model without an output rate (embeddings) is labelled by its input alone.
    """
    rates = {rate.unit: Fraction(rate.usd) for rate in card.rates}
    if INPUT not in rates:
        return None
    return (3 * rates[INPUT] + rates.get(OUTPUT, rates[INPUT])) / 4


def tier_label(card: RateCard | None, declared: CostTier | None = None) -> TierLabel:
    """The label of a model: what the operator declared, else by price."""
    if declared is not None:
        return TierLabel(declared)
    blended = None if card is None else blended_usd(card)
    if blended is None:
        return TierLabel(CostTier.STANDARD, known=False)
    if blended <= LOW_AT_MOST:
        return TierLabel(CostTier.LOW)
    return TierLabel(CostTier.PREMIUM if blended >= PREMIUM_FROM else CostTier.STANDARD)
