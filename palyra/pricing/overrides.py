"""Dated prices of the operator's own: which row applies, and the rate card it makes."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext

from palyra.config.pricing_rows import UsagePricingRecord
from palyra.core.money import NANO, Usd
from palyra.pricing.card import PriceSource, RateCard
from palyra.pricing.catalogue import ALWAYS
from palyra.pricing.rates import (
    AUDIO_INPUT,
    AUDIO_OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    IMAGE_INPUT,
    INPUT,
    MILLION,
    OUTPUT,
    REASONING,
    REQUESTS,
    WEB_SEARCHES,
    Rate,
    Tier,
    Variant,
    joint_unit,
)


class Overrides:
    """The rows in order of precedence: exact before prefix, longer before shorter prefix, named provider before `*`,
    then the newest `from`."""

    def __init__(self, rows: Iterable[UsagePricingRecord]) -> None:
        self._rows: Sequence[UsagePricingRecord] = sorted(rows, key=_precedence, reverse=True)
        edges = {edge for row in self._rows for edge in (row.valid_from, row.valid_to)}
        self._borders = sorted(edge for edge in edges if edge is not None)

    def steady(self, at_ms: int) -> tuple[int, int]:
        """The period [start, end) around an instant in which no row begins or ends, unix ms."""
        after = bisect_right(self._borders, at_ms)
        start = self._borders[after - 1] if after else ALWAYS[0]
        end = self._borders[after] if after < len(self._borders) else ALWAYS[1]
        return start, end

    def edges(self, at_ms: int) -> list[int]:
        """Instants after `at_ms` (unix ms) at which a row begins or ends."""
        return self._borders[bisect_right(self._borders, at_ms) :]

    def find(self, provider: str, model: str, at_ms: int) -> UsagePricingRecord | None:
        """The row that applies, or None."""
        return next((row for row in self._rows if _applies(row, provider, model, at_ms)), None)

    def names(self, provider: str, model: str) -> bool:
        """Whether a row applies at any time."""
        return any(_fits(row, provider, model) for row in self._rows)


def _precedence(row: UsagePricingRecord) -> tuple[bool, int, bool, float]:
    begins = float("-inf") if row.valid_from is None else row.valid_from
    return not row.is_prefix, len(row.model), row.provider != "*", begins


def _fits(row: UsagePricingRecord, provider: str, model: str) -> bool:
    if row.provider not in ("*", provider):
        return False
    return model.startswith(row.model[:-1]) if row.is_prefix else model == row.model


def _applies(row: UsagePricingRecord, provider: str, model: str, at_ms: int) -> bool:
    return row.covers(at_ms) and _fits(row, provider, model)


def _usd(nano: Usd) -> Decimal:
    return Decimal(nano) / NANO


def card_of_row(row: UsagePricingRecord, provider: str, model: str) -> RateCard:
    """The card of a row that states rates."""
    stated = {
        INPUT: row.input,
        OUTPUT: row.output,
        CACHE_READ: row.cache_read,
        CACHE_WRITE: row.cache_write,
        CACHE_WRITE_1H: row.cache_write_1h,
        REASONING: row.reasoning,
        AUDIO_INPUT: row.audio_input,
        AUDIO_OUTPUT: row.audio_output,
        IMAGE_INPUT: row.image_input,
    }
    rates = {unit: Rate(unit, _usd(nano), MILLION) for unit, nano in stated.items() if nano is not None}
    rates.update(_joint_rates(rates))
    if row.web_search is not None:
        rates[WEB_SEARCHES] = Rate(WEB_SEARCHES, _usd(row.web_search), 1000)
    if row.per_request is not None:
        rates[REQUESTS] = Rate(REQUESTS, _usd(row.per_request), 1)
    return RateCard(
        provider=provider,
        model=model,
        source=PriceSource.OVERRIDE,
        rates=tuple(sorted(rates.values(), key=lambda rate: rate.unit)),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )


def _joint_rates(rates: dict[str, Rate]) -> dict[str, Rate]:
    """A row cannot price what is in two of its units at once (cached audio): the dearer of the two is taken."""
    joints: dict[str, Rate] = {}
    for first in (AUDIO_INPUT, IMAGE_INPUT, AUDIO_OUTPUT):
        for second in (CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, REASONING):
            unit = joint_unit(first, second)
            if unit is not None and first in rates and second in rates:
                joints[unit] = Rate(unit, max(rates[first].usd, rates[second].usd), MILLION)
    return joints


def discounted(card: RateCard, row: UsagePricingRecord, discount: Decimal) -> RateCard:
    """The package's card with every rate, tier and variant lowered by the row's discount (0.15 leaves 85 %)."""
    with localcontext(prec=80):
        kept = 1 - discount

        def lower(rates: tuple[Rate, ...]) -> tuple[Rate, ...]:
            return tuple(
                replace(
                    rate, usd=rate.usd * kept, tiers=tuple(Tier(tier.start, tier.usd * kept) for tier in rate.tiers)
                )
                for rate in rates
            )

        return replace(
            card,
            source=PriceSource.OVERRIDE,
            rates=lower(card.rates),
            variants=tuple(Variant(variant.when, lower(variant.rates)) for variant in card.variants),
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            notes=(*card.notes, f"discount_{discount.normalize():f}"),
        )
