"""The agreed examples of what is extracted, held and charged, one test per example."""

from fractions import Fraction

import pytest

from palyra.config.choices import BoundEstimator
from palyra.pricing.card import Precision, PriceState
from palyra.pricing.charge import cost_of_tokens
from palyra.pricing.dialect import Flavour
from palyra.pricing.estimate import InputTokens, PromptSize, estimate_cost_for_model
from palyra.pricing.learn import Learned
from palyra.pricing.meter import Metered, output_tokens
from palyra.pricing.settle import PricedUsage
from tests.pricing.house import ANTHROPIC, DEEPSEEK, NOON, OPENAI, PRIVATE, at, book, facts, nano, row, sum_of_parts

BOOK = book()
UNMETERED = Metered(0, 0)
TEXT = PromptSize()


def settle(
    provider: str,
    model: str,
    usage: dict[str, object],
    *,
    at_ms: int = NOON,
    metered: Metered = UNMETERED,
    size: PromptSize = TEXT,
) -> PricedUsage:
    flavour = Flavour.MESSAGES if provider == ANTHROPIC else Flavour.CHAT
    card = BOOK.card(provider, model, at_ms)
    return BOOK.settle(card, provider, model, at_ms, flavour, {"usage": usage}, metered, size)


def chat(prompt: int, completion: int, **more: object) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def claude(read: int = 0, write: int = 0, **counts: int) -> dict[str, object]:
    return {"cache_read_input_tokens": read, "cache_creation_input_tokens": write, **counts}


def test_1_plain_prompt_and_answer() -> None:
    assert settle(OPENAI, "gpt-4o-mini", chat(1_000, 500)).charge == 450_000


def test_2_cached_prompt_is_part_of_the_prompt() -> None:
    usage = chat(5_000, 250, prompt_tokens_details={"cached_tokens": 4_000})
    assert settle(OPENAI, "gpt-4.1-mini", usage).charge == 1_200_000


def test_3_cached_prompt_beside_the_input_is_added_once() -> None:
    usage = claude(read=30_000, write=2_000, input_tokens=1_200, output_tokens=800)
    usage["cache_creation"] = {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 0}
    priced = settle(ANTHROPIC, "claude-sonnet-4-5", usage)
    assert priced.normalised.input_total == 33_200
    assert priced.charge == 32_100_000
    assert priced.flags == ()


@pytest.mark.parametrize(("prompt", "dollars"), [(200_000, "0.615"), (200_001, "1.222506")])
def test_4_a_tier_is_a_cliff(prompt: int, dollars: str) -> None:
    priced = settle(ANTHROPIC, "claude-sonnet-4-5", claude(input_tokens=prompt, output_tokens=1_000))
    assert priced.charge == nano(dollars)


@pytest.mark.parametrize(("held", "dollars"), [("2026-11-22T00:29:59Z", "0.0019"), ("2026-11-22T00:30:00Z", "0.0038")])
def test_5_the_price_is_that_of_the_holds_instant(held: str, dollars: str) -> None:
    assert settle(DEEPSEEK, "deepseek-chat", chat(10_000, 1_000), at_ms=at(held)).charge == nano(dollars)


@pytest.mark.parametrize(("moment", "rate"), [("2026-06-30T23:59:59.999Z", "1"), ("2026-07-01T00:00:00Z", "2")])
def test_6_a_row_ends_where_the_next_begins(moment: str, rate: str) -> None:
    dated = book(
        row(OPENAI, "acme", valid_to="2026-07-01T00:00:00Z", input="1", output="1"),
        row(OPENAI, "acme", valid_from="2026-07-01T00:00:00Z", input="2", output="2"),
    )
    assert cost_of_tokens(dated.card(OPENAI, "acme", at(moment)), 1_000_000, 0) == nano(rate)


def test_7_an_unknown_price_leaves_the_usage_known_and_the_charge_null() -> None:
    priced = settle(PRIVATE, "acme-7b", chat(1, 2))
    assert (priced.normalised.input_total, priced.normalised.output_total) == (1, 2)
    assert priced.charge is None
    assert priced.price_state is PriceState.UNKNOWN
    assert priced.rates == ()


def test_8_a_total_reveals_that_reasoning_is_beside_the_output() -> None:
    usage = chat(40, 60, total_tokens=400, completion_tokens_details={"reasoning_tokens": 300})
    priced = settle(OPENAI, "gpt-4.1-mini", usage)
    assert priced.normalised.output_total == 360
    assert priced.flags == ()


def test_9_a_total_that_fits_nothing_raises_the_output() -> None:
    usage = chat(40, 60, total_tokens=130, completion_tokens_details={"reasoning_tokens": 10})
    priced = settle(OPENAI, "gpt-4.1-mini", usage)
    assert priced.normalised.output_total == 90
    assert priced.flags == ("identity_U5",)


def test_10_more_cached_than_prompt_is_charged_by_the_dearest_reading() -> None:
    priced = settle(OPENAI, "gpt-4.1-mini", chat(100, 0, prompt_tokens_details={"cached_tokens": 250}))
    assert priced.flags == ("identity_U2",)
    assert priced.charge == 65_000
    assert sorted(reading.amount or 0 for reading in priced.readings) == [10_000, 65_000]


def test_11_text_without_output_tokens_is_metered() -> None:
    usage = chat(10, 0)
    priced = settle(OPENAI, "gpt-4.1-mini", usage, metered=Metered(10, output_tokens(1_000)))
    assert priced.normalised.output_total == 250
    assert priced.flags == ("usage_zero",)


@pytest.mark.parametrize(
    ("provider", "tools", "estimator", "raised", "tokens"),
    [
        (OPENAI, False, BoundEstimator.CALIBRATED, Fraction(1), 2_030),
        (ANTHROPIC, True, BoundEstimator.CALIBRATED, Fraction(1), 2_700),
        (OPENAI, False, BoundEstimator.PROVEN, Fraction(1), 4_030),
        (ANTHROPIC, True, BoundEstimator.PROVEN, Fraction(1), 4_700),
        (ANTHROPIC, True, BoundEstimator.CALIBRATED, Fraction(6, 5), 3_240),
    ],
)
def test_12_bounds_on_four_thousand_bytes(
    provider: str, tools: bool, estimator: BoundEstimator, raised: Fraction, tokens: int
) -> None:
    size = PromptSize(4_000, has_tools=tools)
    estimate = estimate_cost_for_model(
        None, size, facts(provider=provider), NOON, output_bound=1, learned=Learned(r=raised), estimator=estimator
    )
    assert estimate.bound_input == tokens


def test_13_a_one_hour_cache_point_is_held_at_its_rate() -> None:
    card = BOOK.card(ANTHROPIC, "claude-haiku-4-5", NOON)
    size = PromptSize(4_000, cache_marks=True, cache_one_hour=True)
    estimate = estimate_cost_for_model(
        card, size, facts("claude-haiku-4-5", ANTHROPIC), NOON, output_bound=64, max_tokens=64
    )
    assert estimate.bound_usd == 4_380_000


@pytest.mark.parametrize(("rate", "charged"), [("0.0365", 36), ("0.0375", 38), ("0.0374", 37), ("0.0366", 37)])
def test_14_charges_round_half_to_even(rate: str, charged: int) -> None:
    priced = book(row(OPENAI, "tiny", input=rate, output="0"))
    assert cost_of_tokens(priced.card(OPENAI, "tiny", NOON), 1, 0) == charged


def test_14_bounds_round_up() -> None:
    card = book(row(OPENAI, "tiny", input="0.0365", output="0")).card(OPENAI, "tiny", NOON)
    estimate = estimate_cost_for_model(card, PromptSize(), facts("tiny"), NOON, output_bound=0)
    assert estimate.rates is not None
    assert estimate.rates.usd(InputTokens(text=1), 0) == 37


def test_15_a_tier_nobody_priced_is_charged_as_standard_and_said() -> None:
    size = PromptSize(service_tier="scale")
    priced = settle(OPENAI, "gpt-5-mini", chat(900, 1_500), size=size)
    assert priced.charge == nano("0.003225")
    assert priced.precision is Precision.PARTIAL
    assert priced.flags == ("tier_unpriced",)
    card = BOOK.card(OPENAI, "gpt-5-mini", NOON)
    twice, once = (
        estimate_cost_for_model(card, asked, facts("gpt-5-mini"), NOON, output_bound=100)
        for asked in (size, PromptSize())
    )
    assert twice.bound_usd == 2 * (once.bound_usd or 0)
    assert twice.precision is Precision.PARTIAL
    assert twice.notes == ("tier_unpriced",)


def test_every_charge_is_reproduced_by_its_stored_parts() -> None:
    usage = claude(read=30_000, write=2_000, input_tokens=1_200, output_tokens=800)
    usage["cache_creation"] = {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1_500}
    usage["server_tool_use"] = {"web_search_requests": 3}
    priced = settle(ANTHROPIC, "claude-sonnet-4-5", usage)
    assert sum_of_parts(priced.rates) == priced.charge
    assert {part.unit for part in priced.rates} == {
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "web_searches",
    }
