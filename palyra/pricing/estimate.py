"""Estimates before a request is sent: what it will probably cost, and what it cannot cost more than."""

from functools import cache
from typing import Any

from palyra.config.choices import BoundEstimator, ModelProviderKind
from palyra.core.money import Usd
from palyra.core.values import value
from palyra.pricing.card import Precision, PriceSource, PriceState, RateCard
from palyra.pricing.charge import bound_of
from palyra.pricing.learn import UNLEARNED, Learned
from palyra.pricing.pricer import half_even
from palyra.pricing.prompt_size import InputTokens, ModelFacts, PromptSize, bound_input, expected_input, uses_bound
from palyra.pricing.rates import (
    AUDIO_INPUT,
    AUDIO_OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CITATION,
    CODE_EXECUTIONS,
    FILE_SEARCHES,
    IMAGE_INPUT,
    INPUT,
    OUTPUT,
    REASONING,
    REQUESTS,
    WEB_SEARCHES,
    joint_unit,
)

__all__ = [
    "BoundRates",
    "InputTokens",
    "ModelFacts",
    "PricingEstimate",
    "PromptSize",
    "bound_rates",
    "estimate_cost_for_model",
]

OUTPUT_EXPECTED = 256
"""Output tokens expected while too few answers are known."""


def _fee_unit(tool: str) -> str | None:
    """The unit a tool of that type is charged in besides its tokens, None where only tokens are charged."""
    if tool.startswith("web_search"):
        return WEB_SEARCHES
    if tool.startswith("file_search"):
        return FILE_SEARCHES
    return CODE_EXECUTIONS if tool.startswith("code_") else None


def _tool_uses(size: PromptSize, *, expected: bool) -> dict[str, int]:
    uses: dict[str, int] = {}
    for tool in size.server_tools:
        unit = _fee_unit(tool.name)
        if unit is not None:
            uses[unit] = uses.get(unit, 0) + (min(1, uses_bound(tool)) if expected else uses_bound(tool))
    return uses


@value
class BoundRates:
    """The dearest rates a request can trigger, so that its bound is one multiplication per kind of token.

    All are numerators over `denominator` nano-dollars: per token, and `fixed` for the request and its tools' fees.
    """

    text: int
    image: int
    audio: int
    output: int
    fixed: int
    denominator: int

    def usd(self, tokens: InputTokens, output_tokens: int) -> Usd:
        """The bound, rounded up."""
        return bound_of(self._input(tokens) + output_tokens * self.output, self.denominator)

    def output_within(self, amount: int, tokens: InputTokens) -> int | None:
        """The most output tokens whose bound is at most `amount` nano-dollars; below 0 when the input alone is over;
        None when output costs nothing."""
        left = amount * self.denominator - self._input(tokens)
        if left < 0:
            return -1
        return left // self.output if self.output else None

    def _input(self, tokens: InputTokens) -> int:
        return self.fixed + tokens.text * self.text + tokens.image * self.image + tokens.audio * self.audio


@value
class _Triggers:
    """The units a request's tokens can be charged in, by kind of token."""

    text: frozenset[str]
    image: frozenset[str]
    audio: frozenset[str]
    output: frozenset[str]


@cache
def _triggers(kind: ModelProviderKind, marks: bool, one_hour: bool, audio_output: bool) -> _Triggers:
    """Reading from a cache can always happen; writing where the request marks a point or the provider caches by
    itself, as OpenAI's kind does."""
    text = {INPUT, CACHE_READ}
    if marks or one_hour or kind is ModelProviderKind.OPENAI_COMPATIBLE:
        text |= {CACHE_WRITE, CACHE_WRITE_5M}
    if one_hour:
        text.add(CACHE_WRITE_1H)
    output = {OUTPUT, REASONING, CITATION}
    if audio_output:
        output |= {AUDIO_OUTPUT} | _joints(AUDIO_OUTPUT, output)
    return _Triggers(
        text=frozenset(text),
        image=frozenset(text | {IMAGE_INPUT} | _joints(IMAGE_INPUT, text)),
        audio=frozenset(text | {AUDIO_INPUT} | _joints(AUDIO_INPUT, text)),
        output=frozenset(output),
    )


def _joints(medium: str, units: set[str]) -> set[str]:
    return {joint for unit in units if (joint := joint_unit(medium, unit)) is not None}


_REQUEST = frozenset({REQUESTS})


def bound_rates(card: RateCard, size: PromptSize, kind: ModelProviderKind, tokens: InputTokens) -> BoundRates:
    """The dearest rates that a request of this size can be charged at, with at most that input.

    Doubled where the request asks for a service tier whose price the card does not list.
    """
    chosen = card.for_context(size.context)
    pricer = chosen.pricer
    units = _triggers(kind, size.cache_marks, size.cache_one_hour, size.audio_output)
    total = tokens.total
    fixed = pricer.dearest(_REQUEST, total)
    if size.server_tools:
        for unit, uses in _tool_uses(size, expected=False).items():
            fixed += uses * pricer.dearest(frozenset({unit}), total)
    times = 2 if chosen.unpriced else 1
    return BoundRates(
        text=times * pricer.dearest(units.text, total),
        image=times * pricer.dearest(units.image, total) if tokens.image else 0,
        audio=times * pricer.dearest(units.audio, total) if tokens.audio else 0,
        output=times * pricer.dearest(units.output, total),
        fixed=times * fixed,
        denominator=pricer.denominator,
    )


@value
class PricingEstimate:
    """What a request may cost with one model. Amounts are nano-dollars, None when the price is unknown; expected is
    never above bound. `at` is the instant (unix ms) the card holds for. `rates` and `input` serve `bound_at` and are
    not part of the JSON."""

    provider: str
    model: str
    at: int
    state: PriceState
    source: PriceSource
    precision: Precision
    expected_usd: Usd | None
    bound_usd: Usd | None
    expected_input: int
    bound_input: int
    expected_output: int
    bound_output: int
    card_id: str
    notes: tuple[str, ...]
    input: InputTokens
    rates: BoundRates | None

    def bound_at(self, output_tokens: int) -> Usd | None:
        """The bound with that many output tokens instead: what a growing stream must have held. None: unknown."""
        return None if self.rates is None else self.rates.usd(self.input, output_tokens)

    def output_within(self, amount: int) -> int | None:
        """The most output tokens that `amount` nano-dollars cover besides the input; below 0: not even the input;
        None: any number, or the price is unknown."""
        return None if self.rates is None else self.rates.output_within(amount, self.input)

    def to_json(self) -> dict[str, Any]:
        """As decisions keep it; amounts in nano-dollars."""
        return {
            "provider": self.provider,
            "model": self.model,
            "at": self.at,
            "state": self.state._value_,
            "source": self.source._value_,
            "precision": self.precision._value_,
            "expected_nano_usd": self.expected_usd,
            "bound_nano_usd": self.bound_usd,
            "expected_input": self.expected_input,
            "bound_input": self.bound_input,
            "expected_output": self.expected_output,
            "bound_output": self.bound_output,
            "card_id": self.card_id,
            "notes": list(self.notes),
        }


def estimate_cost_for_model(
    card: RateCard | None,
    size: PromptSize,
    model: ModelFacts,
    at_ms: int,
    *,
    output_bound: int,
    max_tokens: int | None = None,
    learned: Learned = UNLEARNED,
    estimator: BoundEstimator = BoundEstimator.CALIBRATED,
) -> PricingEstimate:
    """Expected and bound of one request with one model, whose card (None: unknown) holds at `at_ms`.

    `output_bound` are the output tokens to hold, as governance decides them; `max_tokens` what the caller allows.
    An unknown price leaves both amounts None; tokens are estimated all the same.
    """
    tokens = bound_input(size, model, learned, estimator)
    likely_input = min(expected_input(size, model, learned), tokens.total)
    likely_output = min(OUTPUT_EXPECTED if learned.output_p50 is None else learned.output_p50, output_bound)
    if max_tokens is not None:
        likely_output = min(likely_output, max_tokens)
    state, source, precision = PriceState.UNKNOWN, PriceSource.NONE, Precision.UNKNOWN
    expected_usd: Usd | None = None
    bound_usd: Usd | None = None
    rates: BoundRates | None = None
    notes: tuple[str, ...] = ()
    if card is not None:
        source, notes = card.source, card.notes
        chosen = card.for_context(size.context)
        if not chosen.pricer.covers({INPUT: tokens.total, OUTPUT: output_bound}):
            notes = (*notes, "part_unpriced")
        else:
            if chosen.unpriced:
                notes = (*notes, "tier_unpriced")
            state = card.state
            precision = Precision.PARTIAL if chosen.unpriced else card.precision
            rates = bound_rates(card, size, model.kind, tokens)
            bound_usd = rates.usd(tokens, output_bound)
            counts = {INPUT: likely_input, OUTPUT: likely_output, **_tool_uses(size, expected=True)}
            likely, _ = chosen.pricer.price(counts)
            expected_usd = Usd(half_even(likely, chosen.pricer.denominator))
    return PricingEstimate(
        provider=model.provider,
        model=model.model,
        at=at_ms,
        state=state,
        source=source,
        precision=precision,
        expected_usd=expected_usd,
        bound_usd=bound_usd,
        expected_input=likely_input,
        bound_input=tokens.total,
        expected_output=likely_output,
        bound_output=output_bound,
        card_id=card.card_id if card else "",
        notes=notes,
        input=tokens,
        rates=rates,
    )
