"""Settling: from the body of an answer to what it is charged."""

from collections.abc import Callable
from dataclasses import asdict
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from palyra.core.money import NANO, Usd
from palyra.core.values import value
from palyra.pricing.card import Precision, PriceSource, PriceState, RateCard, ServiceContext
from palyra.pricing.charge import ANSWER_AT_MOST, UNPRICED, Charge, charge
from palyra.pricing.dialect import Dialect
from palyra.pricing.estimate import PromptSize
from palyra.pricing.meter import Metered
from palyra.pricing.normalise import UNPRICEABLE, normalise
from palyra.pricing.rates import BOUND, REPORTED_COST, RatePart, lump
from palyra.pricing.usage import Normalised, NormalisedUsage, UsageSource

XAI_TICKS = 10**10
"""x.ai reports cost in ticks, so many to the dollar: https://docs.x.ai/developers/cost-tracking"""

_STRENGTH = {PriceSource.OVERRIDE: 3, PriceSource.DECLARED_FREE: 2, PriceSource.PACKAGE: 1, PriceSource.NONE: 0}


@value
class PricedReading:
    """One way to understand the body and its price (nano-dollars, None when unknown)."""

    name: str
    usage: NormalisedUsage
    amount: Usd | None

    def to_json(self) -> dict[str, Any]:
        """As a usage row stores it; parts that are zero are left out."""
        used = {name: count for name, count in asdict(self.usage).items() if count}
        if self.usage.tools:
            used["tools"] = dict(self.usage.tools)
        return {"name": self.name, "usage": used, "charge": self.amount}


@value
class PricedUsage:
    """What one answer used and what is charged for it.

    `normalised` is the reading charged (the dearest of `readings`); `charge` is nano-dollars, None when the price is
    unknown (then a policy decides); Σ count × usd ÷ per over `rates` reproduces it. `usage_source` is the provider or
    the meter. `card` is the one used: another than the hold's when the answer names another model. `raw` is the
    usage object as it came. Flags and notes are stable names.
    """

    normalised: NormalisedUsage
    charge: Usd | None
    rates: tuple[RatePart, ...]
    flags: tuple[str, ...]
    notes: tuple[str, ...]
    price_state: PriceState
    precision: Precision
    usage_source: UsageSource
    readings: tuple[PricedReading, ...]
    reported_cost: Usd | None
    card: RateCard | None
    raw: dict[str, Any] | None

    def rates_json(self) -> tuple[dict[str, Any], ...]:
        """The parts as a usage row stores them."""
        return tuple(part.to_json() for part in self.rates)


def price_response(
    card: RateCard | None,
    dialect: Dialect,
    usage_body: object,
    metered: Metered,
    size: PromptSize,
    *,
    model: str = "",
    bound_usd: Usd | None = None,
    substitute: Callable[[str], RateCard | None] | None = None,
) -> PricedUsage:
    """Prices the body of an answer (whole, a stream's last event, or the bare usage object) with the hold's card.

    `model` is the name sent upstream; when the answer names another, `substitute` gives that one's card. The service
    tier is the one the answer names, else the one the request asked for. `bound_usd`, the hold's, is charged when the
    body cannot be priced at all. Never raises, whatever JSON it is given.
    """
    heard = normalise(dialect, usage_body, metered)
    notes: list[str] = []
    if heard.model is not None and heard.model != model and substitute is not None:
        other = substitute(heard.model)
        if other is not None and _displaces(other, card):
            card = other
            notes.append("model_substituted")
    context = ServiceContext(heard.service_tier or size.service_tier, heard.speed or size.speed)
    priced = [(reading, charge(card, reading.usage, context)) for reading in heard.readings]
    reading, chosen = priced[0] if len(priced) == 1 else max(priced, key=lambda pair: _dearness(pair[1], pair[0].usage))
    flags = list(dict.fromkeys([*heard.flags, *chosen.flags]))
    if card is not None and UNPRICEABLE in flags:
        chosen = UNPRICED if bound_usd is None else _flat(BOUND, bound_usd, card.state)
    reported = _reported_cost(heard)
    if reported is not None:
        if chosen.amount is None:
            if dialect.trust_reported_cost:
                chosen = _flat(REPORTED_COST, reported, PriceState.KNOWN)
                notes.append("reported_cost_charged")
        elif abs(reported - chosen.amount) * 100 > chosen.amount:
            flags.append("cost_mismatch")
    return PricedUsage(
        normalised=reading.usage,
        charge=chosen.amount,
        rates=chosen.parts,
        flags=tuple(flags),
        notes=(*(card.notes if card else ()), *notes),
        price_state=chosen.state,
        precision=chosen.precision,
        usage_source=heard.source,
        readings=tuple(PricedReading(one.name, one.usage, price.amount) for one, price in priced),
        reported_cost=reported,
        card=card,
        raw=heard.raw,
    )


def _displaces(other: RateCard, card: RateCard | None) -> bool:
    """Whether the card of the model an answer names replaces the asked one's: a weaker source never does."""
    if card is None:
        return True
    if _STRENGTH[other.source] < _STRENGTH[card.source]:
        return False
    if other.source is card.source is PriceSource.PACKAGE:
        return (other.package_provider, other.package_model) != (card.package_provider, card.package_model)
    return other.rates != card.rates


def _dearness(price: Charge, usage: NormalisedUsage) -> tuple[bool, int, int]:
    return UNPRICEABLE in price.flags, price.amount or 0, usage.total


def _flat(unit: str, amount: Usd, state: PriceState) -> Charge:
    return Charge(amount, (lump(unit, amount),), state, Precision.PARTIAL)


def _reported_cost(heard: Normalised) -> Usd | None:
    """What the provider says the answer cost, in the places OpenRouter, Perplexity and x.ai put it."""
    if heard.raw is None:
        return None
    cost, per_dollar = heard.raw.get("cost"), 1
    if type(cost) is dict:
        cost = cost.get("total_cost")
    if cost is None:
        cost, per_dollar = heard.raw.get("cost_in_usd_ticks"), XAI_TICKS
    if not isinstance(cost, int | float | str) or isinstance(cost, bool):
        return None
    try:
        amount = Decimal(str(cost)) * NANO / per_dollar
        return Usd(int(amount.to_integral_value(ROUND_HALF_EVEN))) if 0 <= amount <= ANSWER_AT_MOST else None
    except (ArithmeticError, ValueError):
        return None
