"""Charging: the exact price of one use with one card, as parts that reproduce it, rounded once."""

from collections.abc import Mapping

from palyra.core.money import NANO, Usd
from palyra.core.values import value
from palyra.pricing.card import STANDARD, Precision, PriceState, RateCard, ServiceContext
from palyra.pricing.pricer import Pricer, half_even, round_up
from palyra.pricing.rates import CODE_EXECUTIONS, FILE_SEARCHES, WEB_SEARCHES, RatePart
from palyra.pricing.usage import NormalisedUsage

_TOOLS_WITH_A_FEE = (WEB_SEARCHES, FILE_SEARCHES, CODE_EXECUTIONS)


@value
class Charge:
    """What one use costs. `amount` is None when the price is unknown, and then never zero.

    Σ count × usd ÷ per over `parts`, rounded half to even to a nano-dollar, is `amount`.
    """

    amount: Usd | None
    parts: tuple[RatePart, ...]
    state: PriceState
    precision: Precision
    flags: tuple[str, ...] = ()


ANSWER_AT_MOST = Usd(100_000 * NANO)
"""No answer costs more. A provider that says so is not believed: sums of usage are 64 bits wide, and a few thousand
million dollars in one answer would be the end of them."""

UNPRICED = Charge(None, (), PriceState.UNKNOWN, Precision.UNKNOWN)


def charge(card: RateCard | None, usage: NormalisedUsage, context: ServiceContext = STANDARD) -> Charge:
    """The charge for a use at the card's rates for this context.

    Without a card, or where a whole side of the use has no rate, the price is unknown. Flags: `tier_unpriced` where
    the context asks for a variant the card does not list, `tool_unpriced` where a tool ran that has no fee in it,
    `unpriceable_body` (amount None) where the sum is larger than any answer costs.
    """
    if card is None:
        return UNPRICED
    chosen = card.for_context(context)
    pricer = chosen.pricer
    counts = usage.counts()
    if not pricer.covers(counts):
        return UNPRICED
    exact, parts = pricer.price(counts)
    if usage.overlaps:
        other, other_parts = pricer.price(usage.counts(media_cached=True))
        if other > exact:
            exact, parts = other, other_parts
    flags: tuple[str, ...] = ("tier_unpriced",) if chosen.unpriced else ()
    if usage.tools and card.state is not PriceState.FREE and _unpriced_tool(pricer, dict(usage.tools)):
        flags = (*flags, "tool_unpriced")
    precision = Precision.PARTIAL if flags else card.precision
    amount = half_even(exact, pricer.denominator)
    if amount > ANSWER_AT_MOST:
        return Charge(None, (), card.state, Precision.UNKNOWN, (*flags, "unpriceable_body"))
    return Charge(Usd(amount), parts, card.state, precision, flags)


def _unpriced_tool(pricer: Pricer, uses: Mapping[str, int]) -> bool:
    return any(uses.get(unit) and not pricer.has(unit) for unit in _TOOLS_WITH_A_FEE)


def cost_of_tokens(
    card: RateCard | None, input_total: int, output_total: int, context: ServiceContext = STANDARD
) -> Usd | None:
    """What plain tokens cost, rounded half to even: the meter's charge. None when the price is unknown."""
    return charge(card, NormalisedUsage(input_total, output_total), context).amount


def bound_of(exact: int, denominator: int) -> Usd:
    """A bound from an exact amount: rounded up, at most what any answer costs."""
    return Usd(min(round_up(exact, denominator), ANSWER_AT_MOST))
