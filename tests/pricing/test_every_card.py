"""Every price the package lists, asked with bodies as they come from the wire: the package's own extractor and
arithmetic give the same nano-dollars, and the stored parts make up the charge."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider

from palyra.config.choices import ModelProviderKind, UsageDialect
from palyra.core.money import NANO
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.pricing.card import RateCard, ServiceContext
from palyra.pricing.charge import charge
from palyra.pricing.dialect import Flavour, dialect_of
from palyra.pricing.estimate import PromptSize
from palyra.pricing.meter import Metered
from palyra.pricing.pricer import half_even
from palyra.pricing.settle import PricedUsage, price_response
from palyra.pricing.usage import NormalisedUsage
from tests.pricing.house import NOON, at, sum_of_parts

PROVIDERS = {provider.id: provider for provider in get_snapshot().providers}
SPOKEN = {
    "chat": Flavour.CHAT,
    "responses": Flavour.RESPONSES,
    "embeddings": Flavour.EMBEDDINGS,
    "anthropic": Flavour.MESSAGES,
}
INSTANTS = [at("2024-06-01T00:00:00Z"), at("2026-11-22T00:29:59.999Z"), NOON, at("2026-12-31T16:30:00Z")]
SIZES = [0, 1, 7, 999, 31_999, 128_001, 199_990, 272_001, 1_000_003]
"""Below, between and above the starts of the package's tiers."""


def flavours(provider: Provider) -> list[tuple[str, Flavour]]:
    """The package's names of the dialects that we speak too."""
    spoken = {extractor.api_flavor for extractor in provider.extractors or () if extractor.root == "usage"}
    found = [(name, SPOKEN[name]) for name in spoken & SPOKEN.keys()]
    if "default" in spoken and provider.id == "anthropic":
        found.append(("default", Flavour.MESSAGES))
    return sorted(found)


def a_body(chance: random.Random, flavour: Flavour) -> dict[str, Any]:
    """A body whose parts fit their wholes, without a total, so that the dialect alone says what lies in what."""
    whole = chance.choice(SIZES) + chance.randrange(5)
    output = chance.choice(SIZES[:5]) + chance.randrange(5)
    cached = chance.randint(0, whole) if chance.random() < 0.5 else 0
    written = chance.randint(0, whole - cached) if chance.random() < 0.3 else 0
    reasoning = chance.randint(0, output) if chance.random() < 0.5 else 0
    if flavour is Flavour.MESSAGES:
        long = chance.randint(0, written)
        return {
            "input_tokens": whole,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written,
            "cache_creation": {"ephemeral_5m_input_tokens": written - long, "ephemeral_1h_input_tokens": long},
            "output_tokens": output,
            "server_tool_use": {"web_search_requests": chance.randrange(3)},
        }
    if flavour is Flavour.EMBEDDINGS:
        return {"prompt_tokens": whole}
    inside = {"cached_tokens": cached, "cache_write_tokens": written}
    thought = {"reasoning_tokens": reasoning}
    if flavour is Flavour.RESPONSES:
        return {
            "input_tokens": whole,
            "input_tokens_details": inside,
            "output_tokens": output,
            "output_tokens_details": thought,
        }
    return {
        "prompt_tokens": whole,
        "prompt_tokens_details": inside,
        "completion_tokens": output,
        "completion_tokens_details": thought,
    }


def bodies(chance: random.Random, flavour: Flavour) -> Iterator[dict[str, Any]]:
    return (a_body(chance, flavour) for _ in range(20))


def by_the_package(
    provider: Provider, model: ModelInfo, usage: dict[str, Any], flavour: str, moment: int, context: dict[str, str]
) -> int:
    extracted = provider.extract_usage({"model": model.id, "usage": usage}, api_flavor=flavour)[1]
    price = model.calc_price(
        extracted,
        provider,
        genai_request_timestamp=datetime.fromtimestamp(moment / 1000, UTC),
        price_context=context,
    )
    return half_even(*(price.total_price * NANO).as_integer_ratio())


def ours(
    card: RateCard | None, provider: Provider, flavour: Flavour, usage: dict[str, Any], tier: str | None
) -> PricedUsage:
    dialect = dialect_of(flavour, provider, UsageDialect.AUTO)
    size = PromptSize(service_tier=tier)
    return price_response(card, dialect, {"usage": usage}, Metered(0, 0), size)


def knows(provider: Provider, flavour: str, usage: dict[str, Any]) -> bool:
    """Whether the package's extractor reads every part of this body: what it leaves out it prices as the whole."""
    (extractor,) = (one for one in provider.extractors or () if one.api_flavor == flavour)
    paths: set[tuple[Any, ...]] = {
        (path,) if isinstance(path := mapping.path, str) else tuple(path) for mapping in extractor.mappings
    }
    given: dict[tuple[str, ...], Any] = {(name,): value for name, value in usage.items() if not isinstance(value, dict)}
    given |= {
        (name, inner): count for name, held in usage.items() if isinstance(held, dict) for inner, count in held.items()
    }
    return all(not count or path in paths for path, count in given.items())


def compared(name: str, book: PriceBook, chance: random.Random) -> int:
    """How many pairs of a model and a body of one provider cost the same by the package and by us."""
    provider, count = PROVIDERS[name], 0
    for model in provider.models:
        for api_flavour, flavour in flavours(provider):
            moment = chance.choice(INSTANTS)
            card = book.card(name, model.id, moment)
            usage = next((body for body in bodies(chance, flavour) if knows(provider, api_flavour, body)), None)
            if card is None or card.package_model != model.id or usage is None:
                continue
            conditions: list[dict[str, str]] = [{}, *(dict(variant.when) for variant in card.variants)]
            asked = chance.choice([one for one in conditions if one.keys() <= {"service_tier"}])
            priced = ours(card, provider, flavour, usage, asked.get("service_tier"))
            if priced.charge is None:
                # A side of the use without a rate is unknown to us; the package lets it pass as free.
                assert not card.for_context().pricer.covers({"input_tokens": 1, "output_tokens": 1})
                continue
            assert set(priced.flags) <= {"tool_unpriced"}, (name, model.id, usage)
            theirs = by_the_package(provider, model, usage, api_flavour, moment, asked)
            assert priced.charge == theirs, (name, model.id, usage, asked)
            assert sum_of_parts(priced.rates) == priced.charge, (name, model.id, usage)
            count += 1
    return count


def test_thousands_of_pairs_of_a_model_and_a_body_cost_what_the_package_says() -> None:
    spoken = sorted(name for name, provider in PROVIDERS.items() if flavours(provider))
    kind = ModelProviderKind.OPENAI_COMPATIBLE
    book = PriceBook((), {name: PricedProvider(kind, pricing_provider=name) for name in spoken})
    chance = random.Random(17)
    assert sum(compared(name, book, chance) for name in spoken) > 2_000


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_parts_make_up_the_charge_on_every_card_variant_and_tier(name: str) -> None:
    book = PriceBook((), {name: PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, pricing_provider=name)})
    for model in PROVIDERS[name].models:
        card = book.card(name, model.id, NOON)
        if card is None:
            continue
        units = {rate.unit for rate in card.rates}
        starts = {tier.start for rate in card.rates for tier in rate.tiers}
        contexts = [ServiceContext(), *(ServiceContext(when) for variant in card.variants for _, when in variant.when)]
        for context in contexts:
            for whole in {0, 1, 123_457} | starts | {start + 1 for start in starts}:
                output = 4_567 if "output_tokens" in units else 0
                parts = (whole // 3, whole // 7, whole // 11)
                usage = NormalisedUsage(whole, output, *parts, reasoning=output // 2, tools=(("web_searches", 3),))
                charged = charge(card, usage, context)
                if charged.amount is None:
                    assert "input_tokens" not in units
                    continue
                assert sum_of_parts(charged.parts) == charged.amount, (model.id, context, whole)
                assert charged.amount >= 0
                assert all(part.count > 0 for part in charged.parts)
