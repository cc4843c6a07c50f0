"""Prices and usage as consoles see them: exact decimals in text."""

from fractions import Fraction

from palyra.control.prices import PartView, PriceView, RateTier, RateView, UsageView, VariantView
from palyra.core.money import NANO
from palyra.pricing.card import RateCard
from palyra.pricing.rates import Rate, RatePart
from palyra.pricing.usage import NormalisedUsage


def with_card(view: PriceView, card: RateCard) -> PriceView:
    """The same with the rates of a card."""
    return PriceView(
        provider=view.provider,
        model=view.model,
        model_id=view.model_id,
        configured=view.configured,
        state=card.state.value,
        source=card.source.value,
        precision=card.precision.value,
        label=view.label,
        card_id=card.card_id,
        version=card.version,
        package_provider=card.package_provider,
        package_model=card.package_model,
        valid_from=card.valid_from,
        valid_to=card.valid_to,
        rates=tuple(_rate_view(rate) for rate in card.rates),
        variants=tuple(
            VariantView(dict(variant.when), tuple(_rate_view(rate) for rate in variant.rates))
            for variant in card.variants
        ),
        notes=card.notes,
        next_change=view.next_change,
    )


def _rate_view(rate: Rate) -> RateView:
    tiers = tuple(RateTier(tier.start, f"{tier.usd:f}") for tier in rate.tiers)
    return RateView(rate.unit, f"{rate.usd:f}", rate.per, tiers)


def usage_view(used: NormalisedUsage) -> UsageView:
    """What was used, as consoles see it; all in tokens."""
    return UsageView(
        input_total=used.input_total,
        cache_read=used.cache_read,
        cache_write=used.cache_write,
        write_5m=used.write_5m,
        write_1h=used.write_1h,
        output_total=used.output_total,
        reasoning=used.reasoning,
        citation=used.citation,
        audio_in=used.audio_in,
        audio_out=used.audio_out,
        image_in=used.image_in,
        tool_uses=used.tool_uses,
        tools=dict(used.tools),
    )


def part_view(part: RatePart) -> PartView:
    """One part of a charge: what was counted, at which rate, in nano-dollars to the last digit."""
    return PartView(
        part.unit, part.count, f"{part.usd:f}", part.per, _exact(Fraction(part.usd) * part.count * NANO / part.per)
    )


def _exact(amount: Fraction) -> str:
    """A fraction whose denominator has no factors but 2 and 5, in full."""
    whole, rest = divmod(amount.numerator, amount.denominator)
    digits = ""
    while rest:
        digit, rest = divmod(rest * 10, amount.denominator)
        digits += str(digit)
    return f"{whole}.{digits}" if digits else str(whole)
