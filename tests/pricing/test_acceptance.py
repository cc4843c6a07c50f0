"""The agreed examples of what is extracted, held and charged."""

from fractions import Fraction

import pytest

from palyra.config.choices import BoundEstimator
from palyra.pricing.card import Precision, PriceState
from palyra.pricing.charge import cost_of_tokens
from palyra.pricing.dialect import Flavour
from palyra.pricing.estimate import InputTokens, PromptSize, estimate_cost_for_model
from palyra.pricing.learn import Learned
from palyra.pricing.meter import Metered, output_tokens
from tests.pricing.examples import EXAMPLES, Example
from tests.pricing.house import ANTHROPIC, NOON, OPENAI, at, book, facts, row, sum_of_parts

BOOK = book(
    row(OPENAI, "dated", valid_to="2026-07-01T00:00:00Z", input="1", output="1"),
    row(OPENAI, "dated", valid_from="2026-07-01T00:00:00Z", input="2", output="2"),
    row(OPENAI, "tiny", input="0.0365", output="0"),
)
UNMETERED = Metered(0, 0)
TEXT = PromptSize()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.number)
def test_what_an_answer_is_charged(example: Example) -> None:
    flavour = Flavour.MESSAGES if example.provider == ANTHROPIC else Flavour.CHAT
    held = at(example.at)
    metered = Metered(0, output_tokens(len(example.text)))
    card = BOOK.card(example.provider, example.model, held)
    priced = BOOK.settle(card, example.provider, example.model, held, flavour, example.body, metered, TEXT)
    assert priced.charge == example.charge
    assert priced.flags == example.flags
    assert priced.precision.value == example.precision
    if example.input is not None:
        assert priced.normalised.input_total == example.input
    if example.output is not None:
        assert priced.normalised.output_total == example.output
    if example.charge is None:
        assert (priced.price_state, priced.rates) == (PriceState.UNKNOWN, ())
    else:
        assert sum_of_parts(priced.rates) == priced.charge


def test_10_both_readings_are_priced() -> None:
    (example,) = (one for one in EXAMPLES if one.number == "10")
    card = BOOK.card(OPENAI, example.model, NOON)
    priced = BOOK.settle(card, OPENAI, example.model, NOON, Flavour.CHAT, example.body, UNMETERED, TEXT)
    assert sorted(reading.amount or 0 for reading in priced.readings) == [10_000, 65_000]


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


def test_15_a_tier_nobody_priced_is_held_twice() -> None:
    size = PromptSize(service_tier="scale")
    card = BOOK.card(OPENAI, "gpt-5-mini", NOON)
    twice, once = (
        estimate_cost_for_model(card, asked, facts("gpt-5-mini"), NOON, output_bound=100)
        for asked in (size, PromptSize())
    )
    assert twice.bound_usd == 2 * (once.bound_usd or 0)
    assert twice.precision is Precision.PARTIAL
    assert twice.notes == ("tier_unpriced",)
