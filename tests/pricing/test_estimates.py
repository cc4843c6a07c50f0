"""What is held and shown before a request is sent."""

from decimal import Decimal
from fractions import Fraction

import pytest

from palyra.config.choices import BoundEstimator, ModelProviderKind
from palyra.pricing.card import Precision, PriceSource, PriceState, RateCard
from palyra.pricing.estimate import InputTokens, ModelFacts, PricingEstimate, PromptSize, estimate_cost_for_model
from palyra.pricing.learn import UNLEARNED, Learned
from palyra.pricing.prompt_size import bound_input, expected_input
from palyra.pricing.rates import AUDIO_OUTPUT, CACHE_READ, CITATION, INPUT, MILLION, OUTPUT, REASONING, Rate
from tests.pricing.house import ANTHROPIC, NOON, OPENAI, PRIVATE, Piece, Tool, book, facts, nano, row

BOOK = book()
OVERHEAD = 30


def tokens(size: PromptSize, model: ModelFacts | None = None) -> tuple[int, int]:
    """(bound, expected) input beyond what the empty text itself takes."""
    about = model or facts()
    bound = bound_input(size, about, UNLEARNED, BoundEstimator.CALIBRATED).total - OVERHEAD
    return bound, expected_input(size, about, UNLEARNED)


def estimate(
    model: str = "gpt-4o-mini", provider: str = OPENAI, size: PromptSize | None = None, **more: object
) -> PricingEstimate:
    options: dict[str, object] = {"output_bound": 100, **more}
    card = BOOK.card(provider, model, NOON)
    return estimate_cost_for_model(card, size or PromptSize(4_000), facts(model, provider), NOON, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "bound", "expected"),
    [
        (PromptSize(media=(Piece("image"),)), 5_000, 1_000),
        (PromptSize(media=(Piece("image", 900_000),)), 5_000, 1_000),
        (PromptSize(media=(Piece("document", 1_000),)), 5_000, 2_500),
        (PromptSize(media=(Piece("document", 40_001),)), 10_001, 5_001),
        (PromptSize(media=(Piece("document"),)), 50_000, 10_000),
        (PromptSize(media=(Piece("audio", 5_001),)), 101, 51),
        (PromptSize(media=(Piece("audio"),)), 50_000, 10_000),
        (PromptSize(media=(Piece("image"), Piece("document"), Piece("audio", 500))), 55_010, 11_005),
        (PromptSize(server_tools=(Tool("web_search"),)), 50_000, 10_000),
        (PromptSize(server_tools=(Tool("web_search", 2), Tool("mcp", 1))), 30_000, 20_000),
        (PromptSize(server_tools=(Tool("web_search", 0),)), 0, 0),
        (PromptSize(continues=True, previous_tokens=1_234), 1_234, 1_234),
        (PromptSize(continues=True), 200_000, 100_000),
    ],
)
def test_media_and_hidden_input(size: PromptSize, bound: int, expected: int) -> None:
    assert tokens(size) == (bound, expected)


def test_a_models_own_image_bound_and_context() -> None:
    assert tokens(PromptSize(media=(Piece("image"),)), facts(image=300)) == (300, 300)
    assert tokens(PromptSize(continues=True), facts(context=8_193)) == (8_193, 4_097)


@pytest.mark.parametrize(
    ("size_bytes", "c", "expected"),
    [(4_000, Fraction(1), 1_000), (4_001, Fraction(1), 1_001), (4_000, Fraction(4, 3), 1_334), (0, Fraction(1), 0)],
)
def test_expected_input_is_a_quarter_of_the_bytes_corrected(size_bytes: int, c: Fraction, expected: int) -> None:
    assert expected_input(PromptSize(size_bytes), facts(), Learned(c=c)) == expected


def test_expected_input_is_never_above_the_bound() -> None:
    shown = estimate(learned=Learned(c=Fraction(4)))
    assert (shown.expected_input, shown.bound_input) == (2_030, 2_030)


def test_media_are_not_raised_and_do_not_count_as_bytes() -> None:
    size = PromptSize(4_000, media=(Piece("image"),))
    raised = bound_input(size, facts(), Learned(r=Fraction(2)), BoundEstimator.CALIBRATED)
    assert raised == InputTokens(text=4_060, image=5_000)


@pytest.mark.parametrize(
    ("p50", "max_tokens", "output_bound", "expected"),
    [
        (None, None, 1_000, 256),
        (None, 64, 1_000, 64),
        (None, None, 100, 100),
        (700, None, 1_000, 700),
        (700, 64, 64, 64),
    ],
)
def test_expected_output(p50: int | None, max_tokens: int | None, output_bound: int, expected: int) -> None:
    shown = estimate(max_tokens=max_tokens, output_bound=output_bound, learned=Learned(output_p50=p50))
    assert shown.expected_output == expected
    assert shown.bound_output == output_bound


def test_a_plain_estimate_has_both_numbers() -> None:
    shown = estimate()
    assert shown.expected_usd == 1_000 * 150 + 100 * 600
    assert shown.bound_usd == 2_030 * 150 + 100 * 600
    assert (shown.state, shown.source, shown.precision) == (PriceState.KNOWN, PriceSource.PACKAGE, Precision.EXACT)


def test_an_unknown_price_still_has_tokens() -> None:
    shown = estimate("acme-7b", PRIVATE)
    assert (shown.expected_usd, shown.bound_usd, shown.state) == (None, None, PriceState.UNKNOWN)
    assert (shown.source, shown.precision, shown.card_id) == (PriceSource.NONE, Precision.UNKNOWN, "")
    assert (shown.expected_input, shown.bound_input, shown.bound_output) == (1_000, 2_030, 100)
    assert shown.bound_at(10**6) is None
    assert shown.output_within(10**6) is None


def test_a_free_price_is_known_and_zero() -> None:
    shown = estimate("echo", "echo")
    assert (shown.expected_usd, shown.bound_usd, shown.state) == (0, 0, PriceState.FREE)


def test_a_card_without_a_rate_for_output_prices_only_what_has_none() -> None:
    card = book(row(OPENAI, "embed", input="0.02")).card(OPENAI, "embed", NOON)
    embeds = estimate_cost_for_model(card, PromptSize(4_000), facts("embed"), NOON, output_bound=0)
    assert embeds.bound_usd == 2_030 * 20
    chats = estimate_cost_for_model(card, PromptSize(4_000), facts("embed"), NOON, output_bound=1)
    assert (chats.bound_usd, chats.state, chats.notes) == (None, PriceState.UNKNOWN, ("part_unpriced",))


def haiku(kind: ModelProviderKind = ModelProviderKind.ANTHROPIC, **marks: bool) -> int:
    card = BOOK.card(ANTHROPIC, "claude-haiku-4-5", NOON)
    model = ModelFacts(ANTHROPIC, "claude-haiku-4-5", kind)
    held = estimate_cost_for_model(card, PromptSize(4_000, **marks), model, NOON, output_bound=0)  # type: ignore[arg-type]
    assert held.bound_usd is not None
    return held.bound_usd


def test_the_input_rate_held_is_the_dearest_the_request_can_trigger() -> None:
    assert haiku() == 2_030 * 1_000
    assert haiku(cache_marks=True) == 2_030 * 1_250
    assert haiku(cache_marks=True, cache_one_hour=True) == 2_030 * 2_000


def test_a_wire_that_caches_by_itself_is_held_at_the_write_rate() -> None:
    assert haiku(ModelProviderKind.OPENAI_COMPATIBLE) == 2_030 * 1_250


def test_a_cache_read_dearer_than_input_is_held() -> None:
    card = book(row(OPENAI, "odd", input="1", output="1", cache_read="3")).card(OPENAI, "odd", NOON)
    held = estimate_cost_for_model(card, PromptSize(4_000), facts("odd"), NOON, output_bound=0)
    assert held.bound_usd == 2_030 * 3_000


def test_output_is_held_at_the_dearer_of_answer_and_reasoning_and_audio_only_if_asked() -> None:
    card = book(row(OPENAI, "odd", input="0", output="2", reasoning="3", audio_output="50")).card(OPENAI, "odd", NOON)
    quiet, loud = (
        estimate_cost_for_model(card, PromptSize(audio_output=audio), facts("odd"), NOON, output_bound=10)
        for audio in (False, True)
    )
    assert quiet.bound_usd == 10 * 3_000
    assert loud.bound_usd == 10 * 50_000


def made(*rates: tuple[str, str]) -> RateCard:
    listed = tuple(Rate(unit, Decimal(usd), MILLION) for unit, usd in rates)
    return RateCard(OPENAI, "made", PriceSource.PACKAGE, listed)


BASE_RATES = ((INPUT, "1"), (OUTPUT, "1"))


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_media_in_the_cache_are_held_at_the_rate_for_both_at_once(kind: str) -> None:
    card = made(*BASE_RATES, (CACHE_READ, "1"), (f"input_{kind}_tokens", "1"), (f"cache_{kind}_read_tokens", "9"))
    size = PromptSize(media=(Piece(kind, 50_000),))
    held = estimate_cost_for_model(card, size, facts("made", image=1_000), NOON, output_bound=0)
    assert held.bound_usd == 1_000 * 9_000 + OVERHEAD * 1_000


def test_thought_aloud_is_held_at_the_rate_for_both_at_once() -> None:
    card = made(*BASE_RATES, (REASONING, "1"), (AUDIO_OUTPUT, "1"), ("output_audio_reasoning_tokens", "9"))
    held = estimate_cost_for_model(card, PromptSize(audio_output=True), facts("made"), NOON, output_bound=10)
    assert held.bound_usd == 10 * 9_000 + OVERHEAD * 1_000


def test_citations_dearer_than_output_are_held() -> None:
    card = made(*BASE_RATES, (CITATION, "9"))
    held = estimate_cost_for_model(card, PromptSize(), facts("made"), NOON, output_bound=10)
    assert held.bound_usd == 10 * 9_000 + OVERHEAD * 1_000


def test_audio_sent_is_held_at_its_own_rate_and_text_is_not() -> None:
    card = book(row(OPENAI, "ears", input="1", output="1", audio_input="40")).card(OPENAI, "ears", NOON)
    size = PromptSize(4_000, media=(Piece("audio", 50_000),))
    held = estimate_cost_for_model(card, size, facts("ears"), NOON, output_bound=0)
    assert held.bound_usd == 2_030 * 1_000 + 1_000 * 40_000


@pytest.mark.parametrize(("size_bytes", "rate"), [(399_940, 3_000), (399_942, 6_000)])
def test_a_tier_counts_once_the_bound_input_is_above_its_start(size_bytes: int, rate: int) -> None:
    held = estimate("claude-sonnet-4-5", ANTHROPIC, PromptSize(size_bytes), output_bound=0)
    assert held.bound_input == size_bytes // 2 + OVERHEAD
    assert held.bound_usd == held.bound_input * rate


def test_a_cheaper_tier_above_does_not_lower_the_bound() -> None:
    held = estimate("claude-sonnet-4-5", ANTHROPIC, PromptSize(500_000, service_tier="batch"), output_bound=0)
    assert held.bound_usd == held.bound_input * 3_000


def test_a_service_tier_is_held_at_its_own_rates() -> None:
    shown = estimate("gpt-5-mini", size=PromptSize(4_000, service_tier="priority"))
    assert shown.bound_usd == 2_030 * 450 + 100 * 3_600
    assert shown.notes == ()


def test_server_tools_add_their_tokens_and_fees() -> None:
    size = PromptSize(server_tools=(Tool("web_search_20250305", 3), Tool("mcp", 1)))
    shown = estimate("claude-haiku-4-5", ANTHROPIC, size, output_bound=0)
    assert shown.bound_usd == (40_000 + OVERHEAD) * 1_000 + 3 * nano("0.01")
    assert shown.expected_usd == 20_000 * 1_000 + nano("0.01")


def test_a_growing_stream_asks_for_the_bound_with_more_output() -> None:
    shown = estimate()
    assert shown.bound_at(100) == shown.bound_usd
    assert shown.bound_at(612) == 2_030 * 150 + 612 * 600
    assert shown.output_within(2_030 * 150 + 64 * 600) == 64
    assert shown.output_within(2_030 * 150 - 1) == -1


def test_what_is_remembered_of_an_estimate_is_plain_data() -> None:
    assert estimate().to_json() == {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "at": NOON,
        "state": "known",
        "source": "package",
        "precision": "exact",
        "expected_nano_usd": 210_000,
        "bound_nano_usd": 364_500,
        "expected_input": 1_000,
        "bound_input": 2_030,
        "expected_output": 100,
        "bound_output": 100,
        "card_id": estimate().card_id,
        "notes": [],
    }


@pytest.mark.parametrize(
    ("size", "plain"),
    [
        (PromptSize(5, has_tools=True, cache_marks=True), True),
        (PromptSize(5, media=(Piece("image"),)), False),
        (PromptSize(5, server_tools=(Tool("mcp"),)), False),
        (PromptSize(5, continues=True), False),
    ],
)
def test_only_plain_prompts_teach(size: PromptSize, plain: bool) -> None:
    assert size.plain is plain


def test_rates_finer_than_a_nano_dollar_are_summed_exactly() -> None:
    card = book(row(OPENAI, "fine", input="0.000000001", output="0.000000001")).card(OPENAI, "fine", NOON)
    held = estimate_cost_for_model(card, PromptSize(2_000_000), facts("fine"), NOON, output_bound=0)
    assert Decimal(held.bound_input) / 10**6 == Decimal("1.00003")
    assert held.bound_usd == 2
