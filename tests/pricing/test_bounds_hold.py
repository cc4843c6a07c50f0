"""The proven bound is never below the charge, whatever the answer reports within the bound's tokens."""

from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from palyra.config.choices import BoundEstimator, ModelProviderKind
from palyra.core.money import Usd
from palyra.pricing.card import PriceSource, RateCard
from palyra.pricing.charge import charge
from palyra.pricing.estimate import ModelFacts, PricingEstimate, PromptSize, estimate_cost_for_model
from palyra.pricing.learn import Learned
from palyra.pricing.rates import (
    AUDIO_INPUT,
    AUDIO_OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CITATION,
    IMAGE_INPUT,
    INPUT,
    MILLION,
    OUTPUT,
    REASONING,
    REQUESTS,
    WEB_SEARCHES,
    Rate,
    Tier,
    joint_unit,
)
from palyra.pricing.usage import NormalisedUsage
from tests.pricing.house import NOON, Piece, Tool, book

USD = st.decimals("0", "600", places=4)
BOOK = book()
KNOWN = [
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5.6-luna"),
    ("openai", "gpt-realtime"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("perplexity", "sonar-deep-research"),
    ("xai", "grok-4"),
]


OPTIONAL = [CACHE_READ, CACHE_WRITE, REASONING, CITATION, AUDIO_INPUT, IMAGE_INPUT]


@st.composite
def rates(draw: st.DrawFn, unit: str, per: int = MILLION) -> Rate:
    starts = draw(st.lists(st.integers(0, 20_000), max_size=2, unique=True))
    return Rate(unit, draw(USD), per, tuple(Tier(start, draw(USD)) for start in sorted(starts)))


@st.composite
def cards(draw: st.DrawFn) -> RateCard:
    """A card of the package, or one with any rates whatever, dearer cache reads and falling tiers included."""
    if draw(st.booleans()):
        card = BOOK.card(*draw(st.sampled_from(KNOWN)), NOON)
        assert card is not None
        return card
    units = [INPUT, OUTPUT]
    units += draw(st.lists(st.sampled_from(OPTIONAL), unique=True))
    if CACHE_WRITE in units and draw(st.booleans()):
        units.append(CACHE_WRITE_1H)
    if draw(st.booleans()):
        units.append(AUDIO_OUTPUT)
    for first in (AUDIO_INPUT, IMAGE_INPUT, AUDIO_OUTPUT):
        for second in (CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, REASONING, CITATION):
            both = joint_unit(first, second)
            if both is not None and first in units and second in units:
                units.append(both)
    listed = [draw(rates(unit)) for unit in units]
    if draw(st.booleans()):
        listed += [draw(rates(WEB_SEARCHES, 1000)), draw(rates(REQUESTS, 1))]
    return RateCard("ours", "any", PriceSource.OVERRIDE, tuple(listed))


@st.composite
def sizes(draw: st.DrawFn) -> PromptSize:
    pieces = st.builds(Piece, st.sampled_from(["image", "document", "audio"]), st.none() | st.integers(0, 400_000))
    tools = st.builds(
        Tool, st.sampled_from(["web_search_20250305", "code_execution", "mcp"]), st.none() | st.integers(0, 3)
    )
    one_hour = draw(st.booleans())
    return PromptSize(
        prompt_bytes=draw(st.integers(0, 60_000)),
        media=tuple(draw(st.lists(pieces, max_size=3))),
        server_tools=tuple(draw(st.lists(tools, max_size=2))),
        has_tools=draw(st.booleans()),
        cache_marks=one_hour or draw(st.booleans()),
        cache_one_hour=one_hour,
        audio_output=draw(st.booleans()),
        service_tier=draw(st.sampled_from([None, "auto", "priority", "flex", "scale"])),
    )


def share(draw: st.DrawFn, whole: int) -> int:
    return draw(st.integers(0, whole)) if whole else 0


@st.composite
def usages_within(
    draw: st.DrawFn, estimate: PricingEstimate, size: PromptSize, kind: ModelProviderKind
) -> NormalisedUsage:
    """What an answer may report: no more tokens of a kind than are bounded, and only what the request can trigger."""
    total = share(draw, estimate.bound_input)
    audio = share(draw, min(total, estimate.input.audio))
    image = share(draw, min(total - audio, estimate.input.image))
    audio_out_allowed = size.audio_output
    writes = size.cache_marks or kind is ModelProviderKind.OPENAI_COMPATIBLE
    read = share(draw, total)
    short = share(draw, total - read) if writes else 0
    long = share(draw, total - read - short) if size.cache_one_hour else 0
    output = share(draw, estimate.bound_output)
    reasoning = share(draw, output)
    allowed = sum(
        5 if tool.max_uses is None else tool.max_uses for tool in size.server_tools if tool.name.startswith("web")
    )
    return NormalisedUsage(
        input_total=total,
        output_total=output,
        cache_read=read,
        write_5m=short,
        write_1h=long,
        reasoning=reasoning,
        citation=share(draw, output - reasoning),
        audio_in=audio,
        image_in=image,
        audio_out=share(draw, output) if audio_out_allowed else 0,
        tools=((WEB_SEARCHES, share(draw, allowed)),),
    )


KINDS = st.sampled_from([ModelProviderKind.OPENAI_COMPATIBLE, ModelProviderKind.ANTHROPIC])


@given(card=cards(), size=sizes(), kind=KINDS, output=st.integers(0, 20_000), data=st.data())
def test_no_usage_within_the_bound_costs_more(
    card: RateCard, size: PromptSize, kind: ModelProviderKind, output: int, data: st.DataObject
) -> None:
    model = ModelFacts("ours", "any", kind)
    estimate = estimate_cost_for_model(card, size, model, NOON, output_bound=output, estimator=BoundEstimator.PROVEN)
    assert estimate.bound_usd is not None
    usage = data.draw(usages_within(estimate, size, kind))
    charged = charge(card, usage, size.context).amount
    assert charged is not None
    assert 0 <= charged <= estimate.bound_usd


@given(
    card=cards(),
    size=sizes(),
    kind=KINDS,
    output=st.integers(0, 20_000),
    learned=st.builds(
        Learned,
        c=st.fractions("0.25", 4, max_denominator=100),
        r=st.fractions(1, 8, max_denominator=100),
        output_p50=st.none() | st.integers(0, 5_000),
    ),
    estimator=st.sampled_from(BoundEstimator),
)
def test_expected_is_never_above_bound(
    card: RateCard, size: PromptSize, kind: ModelProviderKind, output: int, learned: Learned, estimator: BoundEstimator
) -> None:
    model = ModelFacts("ours", "any", kind)
    estimate = estimate_cost_for_model(
        card, size, model, NOON, output_bound=output, learned=learned, estimator=estimator
    )
    assert estimate.expected_input <= estimate.bound_input
    assert estimate.expected_output <= estimate.bound_output
    assert estimate.expected_usd is not None
    assert estimate.bound_usd is not None
    assert 0 <= estimate.expected_usd <= estimate.bound_usd


@given(card=cards(), size=sizes(), kind=KINDS, amount=st.integers(0, 10**11))
def test_the_output_an_amount_covers_is_the_most_that_fits(
    card: RateCard, size: PromptSize, kind: ModelProviderKind, amount: int
) -> None:
    estimate = estimate_cost_for_model(card, size, ModelFacts("ours", "any", kind), NOON, output_bound=0)
    assert estimate.bound_usd is not None
    fits = estimate.output_within(amount)
    if fits is None:
        assert estimate.bound_at(10**9) == estimate.bound_usd
        return
    if fits < 0:
        assert estimate.bound_usd > amount
        return
    assume(fits < 10**12)
    within, beyond = estimate.bound_at(fits), estimate.bound_at(fits + 1)
    assert within is not None
    assert beyond is not None
    assert within <= amount < beyond


@given(card=cards(), usage_output=st.integers(0, 10**6), more=st.integers(0, 10**6), total=st.integers(0, 10**6))
def test_more_output_never_costs_less(card: RateCard, usage_output: int, more: int, total: int) -> None:
    less = charge(card, NormalisedUsage(total, usage_output)).amount
    dearer = charge(card, NormalisedUsage(total, usage_output + more)).amount
    assert less is not None
    assert dearer is not None
    assert 0 <= less <= dearer


@given(
    known=st.sampled_from(KNOWN), total=st.integers(0, 10**6), more=st.integers(0, 10**6), read=st.integers(0, 10**6)
)
def test_more_input_never_costs_less_at_listed_prices(known: tuple[str, str], total: int, more: int, read: int) -> None:
    card = BOOK.card(*known, NOON)
    less = charge(card, NormalisedUsage(max(total, read), 10, cache_read=read)).amount
    dearer = charge(card, NormalisedUsage(max(total, read) + more, 10, cache_read=read)).amount
    assert less is not None
    assert dearer is not None
    assert less <= dearer


@given(usd=USD, count=st.integers(0, 10**9))
def test_a_bound_is_the_exact_amount_rounded_up(usd: Decimal, count: int) -> None:
    card = RateCard("ours", "any", PriceSource.OVERRIDE, (Rate(INPUT, Decimal(0), MILLION), Rate(OUTPUT, usd, MILLION)))
    model = ModelFacts("ours", "any", ModelProviderKind.ANTHROPIC)
    estimate = estimate_cost_for_model(card, PromptSize(), model, NOON, output_bound=count)
    assert estimate.bound_usd is not None
    exact = usd * count * 1000
    assert Usd(int(exact)) <= estimate.bound_usd < exact + 1
