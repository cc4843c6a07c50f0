"""The charge for what the package can price is the package's own price, to the nano-dollar."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.money import NANO
from palyra.pricing.card import PriceState, RateCard, ServiceContext
from palyra.pricing.catalogue import Catalogue, Match
from palyra.pricing.charge import charge
from palyra.pricing.pricer import half_even
from palyra.pricing.rates import REQUESTS, UNITS
from palyra.pricing.usage import NormalisedUsage
from tests.pricing.house import NOON, at, sum_of_parts

CATALOGUE = Catalogue()
LISTED = {
    f"{provider.id}/{model.id}": (provider, model) for provider in get_snapshot().providers for model in provider.models
}
INSTANTS = st.integers(at("2023-01-01T00:00:00Z"), at("2027-12-31T00:00:00Z"))
CONTEXTS = st.builds(
    ServiceContext,
    st.sampled_from([None, "default", "flex", "priority", "fast", "batch", "auto"]),
    st.sampled_from([None, "fast"]),
)


@st.composite
def usages(draw: st.DrawFn) -> NormalisedUsage:
    """Counts whose parts fit their wholes, on both sides of the package's tiers."""
    parts = st.integers(0, 150_000)
    read, short, long, audio_in, image_in = (draw(parts) for _ in range(5))
    reasoning, audio_out = draw(parts), draw(parts)
    return NormalisedUsage(
        input_total=draw(st.integers(0, 300_000)) + max(read + short + long, audio_in + image_in),
        output_total=draw(parts) + max(reasoning, audio_out),
        cache_read=read,
        write_5m=short,
        write_1h=long,
        reasoning=reasoning,
        audio_in=audio_in,
        audio_out=audio_out,
        image_in=image_in,
        tools=(("web_searches", draw(st.integers(0, 20))),),
    )


def card_of(provider: Provider, model: ModelInfo, at_ms: int) -> RateCard | None:
    return CATALOGUE.card(Match(provider, model, own=True), "ours", model.id, at_ms)


def package_price(
    provider: Provider, model: ModelInfo, counts: dict[str, int], at_ms: int, context: dict[str, str]
) -> int:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    every = dict.fromkeys(UNITS.keys() - {REQUESTS}, 0) | counts
    price = model.calc_price(Usage(**every), provider, genai_request_timestamp=moment, price_context=context)
    numerator, denominator = (price.total_price * NANO).as_integer_ratio()
    return half_even(numerator, denominator)


@given(name=st.sampled_from(sorted(LISTED)), usage=usages(), at_ms=INSTANTS, context=CONTEXTS)
def test_any_model_usage_instant_and_context(
    name: str, usage: NormalisedUsage, at_ms: int, context: ServiceContext
) -> None:
    provider, model = LISTED[name]
    card = card_of(provider, model, at_ms)
    if card is None:
        assert package_price(provider, model, usage.counts(), at_ms, {}) == 0
        return
    charged = charge(card, usage, context)
    if charged.amount is None:
        # The package lets a side of the use without a rate pass as free.
        assert not {"input_tokens", "output_tokens"} <= {rate.unit for rate in card.rates}
        assert charged.state is PriceState.UNKNOWN
        return
    readings = [usage.counts(), usage.counts(media_cached=True)]
    pairs = dict(context.pairs())
    assert charged.amount == max(package_price(provider, model, counts, at_ms, pairs) for counts in readings)
    assert sum_of_parts(charged.parts) == charged.amount


@pytest.mark.parametrize("provider", get_snapshot().providers, ids=lambda provider: provider.id)
def test_every_model_of_a_provider(provider: Provider) -> None:
    for model in provider.models:
        card = card_of(provider, model, NOON)
        units = {rate.unit for rate in card.rates} if card else set()
        output = 4_567 if "output_tokens" in units else 0
        usage = NormalisedUsage(123_457, output, 10_001, 2_003, 1_009, reasoning=output // 2)
        charged = charge(card, usage)
        assert (charged.amount is not None) == ("input_tokens" in units), model.id
        if charged.amount is not None:
            assert charged.amount == package_price(provider, model, usage.counts(), NOON, {}), model.id


def test_the_package_prices_a_thousand_tokens_of_a_known_model() -> None:
    """The comparison itself compares something: one price known from the vendor's list."""
    provider, model = LISTED["openai/gpt-4o-mini"]
    assert package_price(provider, model, {"input_tokens": 1_000_000}, NOON, {}) == int(Decimal("0.15") * NANO)
