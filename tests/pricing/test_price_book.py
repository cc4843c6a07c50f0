"""Where a price comes from: the operator's rows, what is declared free, the package, or nowhere."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ClauseEquals, ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.choices import ModelProviderKind
from palyra.config.pricing_rows import UsagePricingRecord
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.pricing.card import Precision, PriceSource, PriceState, RateCard, ServiceContext
from palyra.pricing.catalogue import Catalogue, Match
from palyra.pricing.charge import charge, cost_of_tokens
from palyra.pricing.rates import INPUT, OUTPUT
from palyra.pricing.usage import NormalisedUsage
from tests.pricing.house import ANTHROPIC, DEEPSEEK, NOON, OPENAI, PRIVATE, at, book, nano, row, sum_of_parts


def input_rate(card: RateCard | None) -> Decimal:
    assert card is not None
    return next(rate.usd for rate in card.rates if rate.unit == INPUT)


def test_an_override_beats_free_beats_the_package_beats_nothing() -> None:
    free = frozenset({(OPENAI, "gpt-4o"), (OPENAI, "gpt-4o-mini")})
    prices = book(row(OPENAI, "gpt-4o", input="9", output="9"), free=free)
    sources = {
        model: card.source if (card := prices.card(OPENAI, model, NOON)) else None
        for model in ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "acme-7b")
    }
    assert sources == {
        "gpt-4o": PriceSource.OVERRIDE,
        "gpt-4o-mini": PriceSource.DECLARED_FREE,
        "gpt-4.1": PriceSource.PACKAGE,
        "acme-7b": None,
    }


def test_the_deterministic_provider_is_free_until_a_row_says_otherwise() -> None:
    card = book().card("echo", "anything", NOON)
    assert card is not None
    assert card.state is PriceState.FREE
    assert cost_of_tokens(card, 10**6, 10**6) == 0
    priced = book(row("echo", "*", input="1", output="1")).card("echo", "anything", NOON)
    assert cost_of_tokens(priced, 10**6, 0) == nano("1")


def test_a_well_known_name_at_a_private_endpoint_stays_unknown() -> None:
    assert book().card(PRIVATE, "gpt-4o-mini", NOON) is None
    assert book().card("nobody", "gpt-4o-mini", NOON) is None


def test_a_model_is_never_looked_for_at_another_vendor() -> None:
    assert book().card(OPENAI, "claude-sonnet-4-5", NOON) is None
    assert book().card(ANTHROPIC, "gpt-4o-mini", NOON) is None


def test_a_fallback_provider_the_package_declares_is_asked_but_without_its_variants() -> None:
    card = book().card("azure", "claude-sonnet-4-5", NOON)
    assert card is not None
    assert card.package_provider == "azure"
    assert input_rate(card) == 3
    assert card.variants == ()
    assert card.for_context(ServiceContext("priority")).unpriced


def test_a_named_pricing_provider_needs_no_address() -> None:
    proxied = PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "http://127.0.0.1:4000/v1", "openai")
    assert input_rate(PriceBook((), {"proxy": proxied}).card("proxy", "gpt-4o-mini", NOON)) == Decimal("0.15")


def test_an_unknown_pricing_provider_leaves_only_overrides() -> None:
    odd = PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "https://api.openai.com/v1", "no-such-vendor")
    prices = PriceBook((row("odd", "gpt-4o", input="1", output="1"),), {"odd": odd})
    assert prices.package_provider("odd") is None
    assert prices.card("odd", "gpt-4o-mini", NOON) is None
    assert input_rate(prices.card("odd", "gpt-4o", NOON)) == 1


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://API.openai.com:443/v1", "openai"),
        ("https://api.openai.com", "openai"),
        ("https://api.openai.com.example.net/v1", None),
        ("https://example.net/https://api.openai.com/v1", None),
        ("http://api.openai.com/v1", None),
        ("https://api.openai.com:8443/v1", None),
        ("https://api.openai.com:port/v1", None),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://api.moonshot.cn/v1", "moonshotai"),
        ("https://api.moonshot.ai/v1", "moonshotai"),
        ("https://api.moonshot.example.net/v1", None),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "google"),
        ("https://example.net/x.googleapis.com", None),
        ("https://api.cloudflare.com/client/v4/accounts/1/ai/v1", "cloudflare"),
        ("https://api.cloudflare.com/", None),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "aws"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://127.0.0.1:8000/v1", None),
        ("", None),
    ],
)
def test_an_address_names_its_vendor_only_by_its_host(base_url: str, expected: str | None) -> None:
    prices = PriceBook((), {"p": PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, base_url)})
    assert prices.package_provider("p") == expected


ROWS = [
    row("*", "*", input="1", output="1"),
    row(OPENAI, "*", input="2", output="2"),
    row("*", "acme-*", input="3", output="3"),
    row(OPENAI, "acme-*", input="4", output="4"),
    row("*", "acme-7*", input="5", output="5"),
    row("*", "acme-7b", input="6", output="6"),
    row("*", "acme-7b", valid_from="2026-03-01T00:00:00Z", input="6.5", output="6.5"),
    row(OPENAI, "acme-7b", input="7", output="7"),
    row(OPENAI, "acme-7b", valid_from="2026-01-01T00:00:00Z", input="8", output="8"),
]


@pytest.mark.parametrize("order", [ROWS, ROWS[::-1]], ids=["as written", "reversed"])
@pytest.mark.parametrize(
    ("provider", "model", "moment", "rate"),
    [
        (PRIVATE, "other", "2026-11-22T00:00:00Z", 1),
        (OPENAI, "other", "2026-11-22T00:00:00Z", 2),
        (PRIVATE, "acme-x", "2026-11-22T00:00:00Z", 3),
        (OPENAI, "acme-x", "2026-11-22T00:00:00Z", 4),
        (OPENAI, "acme-70b", "2026-11-22T00:00:00Z", 5),
        (PRIVATE, "acme-7b", "2026-02-22T00:00:00Z", 6),
        (PRIVATE, "acme-7b", "2026-11-22T00:00:00Z", 6.5),
        (OPENAI, "acme-7b", "2025-11-22T00:00:00Z", 7),
        (OPENAI, "acme-7b", "2026-11-22T00:00:00Z", 8),
    ],
)
def test_the_most_specific_row_wins(
    order: list[UsagePricingRecord], provider: str, model: str, moment: str, rate: float
) -> None:
    assert input_rate(book(*order).card(provider, model, at(moment))) == rate


def test_a_row_can_begin_in_the_middle_of_a_minute() -> None:
    prices = book(
        row(OPENAI, "gpt-4o-mini", valid_from="2026-11-22T12:00:30.500Z", valid_to="2026-11-22T12:00:31Z", input="9")
    )
    seen = [
        input_rate(prices.card(OPENAI, "gpt-4o-mini", at(f"2026-11-22T12:00:{second}Z")))
        for second in ("30.499", "30.500", "30.999", "31.000", "30.500")
    ]
    assert seen == [Decimal("0.15"), 9, 9, Decimal("0.15"), 9]


def test_prices_by_time_of_day_change_on_the_minute_however_often_they_were_asked_for() -> None:
    prices = book()
    moments = ["00:29:59.999", "00:30:00", "16:29:59.999", "16:30:00", "00:29:00"]
    rates = [input_rate(prices.card(DEEPSEEK, "deepseek-chat", at(f"2026-11-22T{moment}Z"))) for moment in moments]
    assert rates == [Decimal("0.135"), Decimal("0.27"), Decimal("0.27"), Decimal("0.135"), Decimal("0.135")]


def test_what_a_book_remembers_never_outlives_a_start_date() -> None:
    """Asked forwards and backwards around every date at which the package changes a price."""
    listed = {provider.id: provider for provider in get_snapshot().providers}
    kind = ModelProviderKind.OPENAI_COMPATIBLE
    old = PriceBook((), {name: PricedProvider(kind, pricing_provider=name) for name in listed})
    fresh = Catalogue()
    checked = 0
    for name, provider in listed.items():
        for model in provider.models:
            match = fresh.match(provider, model.id)
            dates = start_dates(match.model) if match else []
            moments = [begins + shift for begins in dates for shift in (-1, 0)]
            for moment in (*moments, *reversed(moments)):
                assert match is not None
                assert old.card(name, model.id, moment) == fresh.card(match, name, model.id, moment)
                checked += 1
    assert checked > 1_000


def start_dates(model: ModelInfo) -> list[int]:
    prices = [] if isinstance(model.prices, ModelPrice) else model.prices
    constraints = [price.constraint for price in (*prices, *(model.price_variants or ()))]
    dates = {found.start_date for found in constraints if isinstance(found, StartDateConstraint)}
    return [at(f"{found.isoformat()}T00:00:00Z") for found in sorted(dates)]


def test_a_discount_lowers_every_rate_tier_and_variant_of_the_package() -> None:
    card = book(row(ANTHROPIC, "claude-sonnet-4-5", discount="0.15")).card(ANTHROPIC, "claude-sonnet-4-5", NOON)
    assert card is not None
    assert card.source is PriceSource.OVERRIDE
    assert cost_of_tokens(card, 200_000, 1_000) == nano("0.52275")
    assert cost_of_tokens(card, 200_001, 1_000) == nano("1.0391301")
    assert cost_of_tokens(card, 1_000, 0, ServiceContext("batch")) == nano("0.001275")
    assert "discount_0.15" in card.notes


def test_a_discount_on_what_has_no_price_is_no_price() -> None:
    assert book(row(PRIVATE, "acme-7b", discount="0.5")).card(PRIVATE, "acme-7b", NOON) is None


def test_a_row_that_leaves_out_a_side_leaves_its_price_unknown() -> None:
    card = book(row(OPENAI, "acme", input="1")).card(OPENAI, "acme", NOON)
    assert cost_of_tokens(card, 1_000, 0) == nano("0.001")
    assert cost_of_tokens(card, 1_000, 1) is None


def test_cached_audio_of_a_row_costs_the_dearer_of_its_two_rates() -> None:
    card = book(row(OPENAI, "acme", input="1", output="1", cache_read="2", audio_input="8")).card(OPENAI, "acme", NOON)
    assert card is not None
    assert {rate.unit: rate.usd for rate in card.rates}["cache_audio_read_tokens"] == 8


def test_per_request_and_search_fees_of_a_row() -> None:
    card = book(row(OPENAI, "acme", input="0", output="0", per_request="0.002", web_search="10")).card(
        OPENAI, "acme", NOON
    )
    assert cost_of_tokens(card, 5, 5) == nano("0.002")


def test_a_listed_model_without_rates_is_unknown_unless_its_name_says_free() -> None:
    routed = PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "https://openrouter.ai/api/v1")
    prices = PriceBook((), {"router": routed})
    free = prices.card("router", "deepseek/deepseek-chat:free", NOON)
    assert free is not None
    assert free.state is PriceState.FREE
    assert free.notes == ("listed_free",)
    assert prices.card("router", "google/gemini-flash-1.5-8b-exp", NOON) is None


def test_before_its_first_price_a_model_has_that_price_and_says_so() -> None:
    price = ConditionalPrice(
        StartDateConstraint(date(2026, 12, 1)), prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2))
    )
    model = ModelInfo("future", ClauseEquals("future"), prices=[price])
    match = Match(get_snapshot().providers[0], model, own=True)
    early, started = (
        Catalogue().card(match, "ours", "future", moment) for moment in (NOON, at("2026-12-01T00:00:00Z"))
    )
    assert early is not None
    assert started is not None
    assert early.rates == started.rates
    assert (early.precision, early.notes) == (Precision.PARTIAL, ("before_first_price",))
    assert (early.valid_from, early.valid_to) == (None, at("2026-12-01T00:00:00Z"))
    assert (started.precision, started.notes) == (Precision.EXACT, ())
    assert (started.valid_from, started.valid_to) == (at("2026-12-01T00:00:00Z"), None)


def test_the_package_says_how_much_context_a_model_takes() -> None:
    assert book().context_window(ANTHROPIC, "claude-sonnet-4-5") == 200_000
    assert book().context_window(PRIVATE, "acme-7b") is None


def test_the_book_names_the_package_it_prices_from() -> None:
    card = book().card(OPENAI, "gpt-4o-mini", NOON)
    assert card is not None
    assert card.version == book().version == "0.2.3"
    assert (card.package_provider, card.package_model) == ("openai", "gpt-4o-mini")
    assert {rate.unit for rate in card.rates} >= {INPUT, OUTPUT}


NINE_DECIMALS = st.integers(0, 10**12).map(lambda nano: str(Decimal(nano) / 10**9))


@given(
    rates=st.dictionaries(st.sampled_from(["cache_read", "cache_write", "reasoning", "audio_input"]), NINE_DECIMALS),
    both=st.tuples(NINE_DECIMALS, NINE_DECIMALS),
    fee=st.none() | NINE_DECIMALS,
    used=st.tuples(*[st.integers(0, 10**6)] * 6),
)
def test_whatever_a_row_says_its_parts_make_up_the_charge(
    rates: dict[str, str], both: tuple[str, str], fee: str | None, used: tuple[int, ...]
) -> None:
    stated = rates | ({} if fee is None else {"per_request": fee})
    card = book(row(OPENAI, "m", input=both[0], output=both[1], **stated)).card(OPENAI, "m", NOON)
    read, written, rest, reasoning, audio, more = used
    usage = NormalisedUsage(
        read + written + rest + audio, reasoning + more, read, written, reasoning=reasoning, audio_in=audio
    )
    charged = charge(card, usage)
    assert charged.amount is not None
    assert sum_of_parts(charged.parts) == charged.amount
    assert charged.amount >= 0


@given(discount=st.integers(0, 10**9), used=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
def test_a_discount_of_any_size_leaves_parts_that_make_up_the_charge(discount: int, used: tuple[int, int]) -> None:
    share = Decimal(discount) / 10**9
    card = book(row(OPENAI, "gpt-4.1-mini", discount=share)).card(OPENAI, "gpt-4.1-mini", NOON)
    charged = charge(card, NormalisedUsage(*used))
    full = charge(book().card(OPENAI, "gpt-4.1-mini", NOON), NormalisedUsage(*used))
    assert charged.amount is not None
    assert full.amount is not None
    assert sum_of_parts(charged.parts) == charged.amount
    assert abs(Fraction(charged.amount) - full.amount * (1 - Fraction(share))) <= 1
