"""From the body of an answer to its charge: other models, reported costs, service tiers, bodies beyond price."""

from decimal import Decimal
from typing import Any

import pytest

from palyra.config.choices import ModelProviderKind
from palyra.core.money import Usd
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.pricing.card import Precision, PriceSource, PriceState
from palyra.pricing.charge import ANSWER_AT_MOST
from palyra.pricing.dialect import Flavour
from palyra.pricing.estimate import PromptSize
from palyra.pricing.meter import Metered
from palyra.pricing.settle import PricedUsage
from palyra.pricing.usage import UsageSource
from tests.pricing.house import ANTHROPIC, NOON, OPENAI, PRIVATE, book, nano, row, sum_of_parts

METER = Metered(100, 40)
TEXT = PromptSize()


def settle(
    prices: PriceBook,
    body: object,
    provider: str = OPENAI,
    model: str = "gpt-4o-mini",
    *,
    size: PromptSize = TEXT,
    bound: int | None = None,
) -> PricedUsage:
    flavour = Flavour.MESSAGES if provider == ANTHROPIC else Flavour.CHAT
    held = prices.card(provider, model, NOON)
    bound_usd = None if bound is None else Usd(bound)
    return prices.settle(held, provider, model, NOON, flavour, body, METER, size, bound_usd)


def answer(
    model: str = "gpt-4o-mini", *, prompt: int = 1_000, completion: int = 500, **usage: object
) -> dict[str, Any]:
    return {"model": model, "usage": {"prompt_tokens": prompt, "completion_tokens": completion, **usage}}


def test_another_model_is_charged_at_its_own_price() -> None:
    priced = settle(book(), answer("gpt-4.1"))
    assert priced.charge == 1_000 * 2_000 + 500 * 8_000
    assert priced.notes == ("model_substituted",)
    assert priced.card is not None
    assert priced.card.package_model == "gpt-4.1"


@pytest.mark.parametrize("named", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "a-model-nobody-prices", ""])
def test_the_same_model_by_a_longer_name_is_no_substitution(named: str) -> None:
    priced = settle(book(), answer(named))
    assert priced.charge == 450_000
    assert priced.notes == ()


def test_the_operators_price_of_the_asked_model_is_not_displaced_by_the_package() -> None:
    prices = book(row(OPENAI, "gpt-4o", input="1", output="1"), free=frozenset({(OPENAI, "gpt-4.1")}))
    assert settle(prices, answer("gpt-4o-2024-05-13"), model="gpt-4o").charge == 1_500_000
    assert settle(prices, answer("gpt-4o-2024-05-13"), model="gpt-4.1").charge == 0


def test_the_operators_price_of_the_answering_model_counts() -> None:
    prices = book(row(OPENAI, "gpt-4.1", input="7", output="7"), row(PRIVATE, "big", input="1", output="1"))
    assert settle(prices, answer("gpt-4.1")).charge == 1_500 * 7_000
    unpriced = settle(prices, answer("big"), PRIVATE, "small")
    assert unpriced.charge == 1_500_000
    assert unpriced.notes == ("model_substituted",)


def test_half_a_character_names_no_other_model_and_no_tier() -> None:
    prices = book(row(PRIVATE, "*", input="1", output="1"))
    odd = settle(prices, answer("\ud800", service_tier="\udfff"), PRIVATE, "small")
    assert (odd.charge, odd.notes) == (1_500_000, ())


def test_the_tier_the_answer_names_beats_the_one_asked_for() -> None:
    body = {**answer("gpt-5-mini"), "service_tier": "default"}
    asked = PromptSize(service_tier="priority")
    assert settle(book(), body, model="gpt-5-mini", size=asked).charge == 1_000 * 250 + 500 * 2_000
    assert settle(book(), answer("gpt-5-mini"), model="gpt-5-mini", size=asked).charge == 1_000 * 450 + 500 * 3_600


def test_a_tier_the_answer_names_and_nobody_prices_is_flagged() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": "priority"}
    priced = settle(book(), {"usage": usage}, ANTHROPIC, "claude-haiku-4-5")
    assert priced.flags == ("tier_unpriced",)
    assert priced.precision is Precision.PARTIAL
    standard = settle(book(), {"usage": {**usage, "service_tier": "standard"}}, ANTHROPIC, "claude-haiku-4-5")
    assert standard.flags == ()


@pytest.mark.parametrize(
    ("reported", "stored", "flags"),
    [
        ({"cost": 0.00045}, 450_000, ()),
        ({"cost": "0.00045"}, 450_000, ()),
        ({"cost": {"total_cost": 0.00045, "input_tokens_cost": 1}}, 450_000, ()),
        ({"cost_in_usd_ticks": 4_500_000}, 450_000, ()),
        ({"cost": 0.0004545}, 454_500, ()),
        ({"cost": 0.000454501}, 454_501, ("cost_mismatch",)),
        ({"cost": 0.000445}, 445_000, ("cost_mismatch",)),
        ({"cost": 0}, 0, ("cost_mismatch",)),
        ({"cost": -1}, None, ()),
        ({"cost": True}, None, ()),
        ({"cost": "much"}, None, ()),
        ({"cost": float("nan")}, None, ()),
        ({"cost": 1e300}, None, ()),
        ({"cost": 10**5000}, None, ()),
        ({"cost": []}, None, ()),
    ],
)
def test_a_reported_cost_is_kept_beside_the_charge(
    reported: dict[str, Any], stored: int | None, flags: tuple[str, ...]
) -> None:
    priced = settle(book(), answer(**reported))
    assert priced.charge == 450_000
    assert priced.reported_cost == stored
    assert priced.flags == flags


def trusting(trust: bool) -> PriceBook:
    kind = ModelProviderKind.OPENAI_COMPATIBLE
    return PriceBook((), {PRIVATE: PricedProvider(kind, "http://127.0.0.1:9/v1", trust_reported_cost=trust)})


def test_a_reported_cost_is_charged_only_where_no_price_is_known_and_it_is_trusted() -> None:
    body = answer("acme-7b", cost=0.5)
    doubted = settle(trusting(False), body, PRIVATE, "acme-7b")
    assert (doubted.charge, doubted.price_state, doubted.reported_cost) == (None, PriceState.UNKNOWN, nano("0.5"))
    trusted = settle(trusting(True), body, PRIVATE, "acme-7b")
    assert (trusted.charge, trusted.price_state) == (nano("0.5"), PriceState.KNOWN)
    assert trusted.notes == ("reported_cost_charged",)
    assert sum_of_parts(trusted.rates) == trusted.charge
    silent = settle(trusting(True), answer("acme-7b"), PRIVATE, "acme-7b")
    assert silent.charge is None


def test_a_body_beyond_any_price_is_charged_the_bound() -> None:
    prices = book(row(OPENAI, "gold", input="9000000000", output="0"))
    priced = settle(prices, answer("gold", prompt=10**9), model="gold", bound=123_456)
    assert (priced.charge, priced.flags) == (123_456, ("unpriceable_body",))
    assert sum_of_parts(priced.rates) == 123_456
    unbounded = settle(prices, answer("gold", prompt=10**9), model="gold")
    assert (unbounded.charge, unbounded.price_state) == (None, PriceState.UNKNOWN)
    assert settle(prices, answer("gold", prompt=11, completion=0), model="gold").charge == 11 * nano("9000")
    assert 11 * nano("9000") <= ANSWER_AT_MOST < 12 * nano("9000")
    assert settle(prices, answer("gold", prompt=12, completion=0), model="gold", bound=5).charge == 5


def test_tools_that_ran_are_charged_and_one_without_a_fee_is_flagged() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "server_tool_use": {"web_search_requests": 2}}
    body = {"usage": {**usage, "output_tokens": 1}}
    assert settle(book(), body, ANTHROPIC, "claude-haiku-4-5").charge == 2 * nano("0.01") + 5_000
    prices = book(row(ANTHROPIC, "bare", input="1", output="1"))
    bare = settle(prices, body, ANTHROPIC, "bare")
    assert (bare.charge, bare.flags) == (1_000, ("tool_unpriced",))


def test_an_answer_without_usage_is_charged_by_the_meter() -> None:
    priced = settle(book(), {"model": "gpt-4o-mini"})
    assert priced.usage_source is UsageSource.METERED
    assert priced.flags == ("usage_missing",)
    assert priced.charge == 100 * 150 + 40 * 600
    assert priced.raw is None


def test_an_unknown_price_keeps_the_reading_with_most_tokens() -> None:
    priced = settle(book(), answer("acme", prompt=100, prompt_tokens_details={"cached_tokens": 250}), PRIVATE, "acme")
    assert priced.charge is None
    assert priced.normalised.input_total == 350
    assert [reading.amount for reading in priced.readings] == [None, None]


def test_media_that_may_be_cached_are_charged_by_the_dearer_way() -> None:
    prices = book(row(OPENAI, "ears", input="1", output="1", cache_read="0.5", audio_input="10"))
    details = {"cached_tokens": 60, "audio_tokens": 40}
    priced = settle(prices, answer("ears", prompt=100, completion=1, prompt_tokens_details=details), model="ears")
    # Were no audio cached, 60 of text would be: 40 at $10 and 60 at $0.50. With all of it cached: 40 at $10, 20 at
    # $0.50 and 40 at $1.
    assert priced.charge == 40 * 10_000 + 20 * 500 + 40 * 1_000 + 1_000
    assert sum_of_parts(priced.rates) == priced.charge


def test_every_part_of_a_charge_names_its_rate() -> None:
    priced = settle(book(), answer(prompt_tokens_details={"cached_tokens": 400}))
    assert [(part.unit, part.count, part.usd, part.per) for part in priced.rates] == [
        ("cache_read_tokens", 400, Decimal("0.075"), 1_000_000),
        ("input_tokens", 600, Decimal("0.15"), 1_000_000),
        ("output_tokens", 500, Decimal("0.6"), 1_000_000),
    ]
    assert priced.rates_json()[0] == {"unit": "cache_read_tokens", "count": 400, "usd": "0.075", "per": 1_000_000}
    assert priced.card is not None
    assert priced.card.source is PriceSource.PACKAGE


@pytest.mark.parametrize(
    ("bound", "charge", "state"), [(7_000, 7_000, PriceState.KNOWN), (None, None, PriceState.UNKNOWN)]
)
def test_a_count_beyond_all_reason_is_charged_at_the_bound(
    bound: int | None, charge: int | None, state: PriceState
) -> None:
    priced = settle(book(), answer(prompt=2**63), bound=bound)
    assert priced.flags == ("unpriceable_body",)
    assert priced.charge == charge
    assert priced.price_state is state


def test_another_model_of_the_package_is_told_even_at_the_same_price() -> None:
    assert settle(book(), answer("gpt-4o"), model="gpt-4o-2024-11-20").notes == ()
    twin = settle(book(), answer("gpt-5.1"), model="gpt-5")
    assert twin.notes == ("model_substituted",)
    assert twin.charge == settle(book(), answer("gpt-5"), model="gpt-5").charge
