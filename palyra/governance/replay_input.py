"""Plans read back: what the planner was given, with the prices of then or with others."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from palyra.config.choices import CostTier, ModelProviderKind, RoutingMode
from palyra.core.money import Usd
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.governance.candidates import Candidate, Course, OutputLimits, OutputTerms, PlanInput, TaskClass
from palyra.pricing.card import Precision, PriceSource, PriceState, RateCard, ServiceContext
from palyra.pricing.estimate import BoundRates, InputTokens, PricingEstimate, PromptSize, bound_rates
from palyra.pricing.overrides import Overrides, card_of_row, discounted
from palyra.pricing.pricer import half_even
from palyra.pricing.rates import INPUT, OUTPUT


class Names(Protocol):
    """Where texts are kept by name."""

    def name(self, name: int) -> str:
        """The text of a number that rows hold in its place."""
        ...


@value
class ModelShape:
    """One model as it was looked at."""

    model: str
    provider: str
    upstream: str
    kind: ModelProviderKind
    tier: CostTier
    excluded: tuple[str, ...]
    card_name: int | None


@value
class Shape:
    """What many requests have in common. `repriced`: a price that is tried may apply to one of the models.

    `guessed` of the models, the last ones, were not looked at then: their numbers are made from those of the first.
    """

    requested: str
    explicit: str
    default: str
    streaming: bool
    choices: int
    task_class: TaskClass
    mode: RoutingMode | None
    models: tuple[ModelShape, ...]
    repriced: bool
    course: Course = Course.FIRST
    order: tuple[str, ...] = ()
    guessed: int = 0


@value
class Tool:
    """A server tool as estimates see it."""

    name: str
    max_uses: int | None


@value
class Option:
    """One model's numbers: `rates` None where nobody knew the price."""

    index: int
    tokens: InputTokens
    rates: BoundRates | None
    expected_usd: int | None
    expected: tuple[int, int]
    terms: OutputTerms
    p50_ms: float | None
    state: PriceState

    @property
    def expected_tokens(self) -> int:
        """Input and output together."""
        return sum(self.expected)


@value
class Recorded:
    """One plan as it was made, its numbers priced anew where prices are tried."""

    given: PlanInput
    awaited: frozenset[str]
    options: Mapping[str, Option]
    output_bound: int
    send_max_tokens: int | None


@dataclass(slots=True)
class Decoder:
    """Reads plans. `prices` are rows tried in place of what was known."""

    names: Names
    prices: Overrides | None = None
    _shapes: dict[int, Shape] = field(default_factory=dict)
    _scopes: dict[int, Scope] = field(default_factory=dict)
    _cards: dict[int, RateCard] = field(default_factory=dict)
    _widened: list[Shape] = field(default_factory=list)

    def scope(self, name: int) -> Scope:
        """Whom a request is for."""
        found = self._scopes.get(name)
        if found is None:
            if len(self._scopes) > _KEPT:
                self._scopes.clear()
            found = self._scopes[name] = Scope(*json.loads(self.names.name(name)))
        return found

    def widened(self, name: int, others: Sequence[ModelShape]) -> int:
        """The name of a shape with further models, able to serve as far as anybody knows."""
        shape = self.shape(name)
        models = (*shape.models, *(replace(one, excluded=()) for one in others))
        self._widened.append(replace(shape, models=models, repriced=self._tries(models), guessed=len(others)))
        return -len(self._widened)

    def shape(self, name: int) -> Shape:
        """What of a request its price depends on."""
        if name < 0:
            return self._widened[-name - 1]
        found = self._shapes.get(name)
        if found is None:
            if len(self._shapes) > _KEPT:
                self._shapes.clear()
            found = self._shapes[name] = self._read_shape(json.loads(self.names.name(name)))
        return found

    def card(self, model: ModelShape, at: int) -> RateCard | None:
        """The card of a model at an instant, as it was then or as it is tried."""
        known = None if model.card_name is None else self._known_card(model.card_name)
        row = self.prices and self.prices.find(model.provider, model.upstream, at)
        if not row:
            return known
        if row.discount is None:
            return card_of_row(row, model.provider, model.upstream)
        return known if known is None else discounted(known, row, row.discount)

    def plan(self, scope: int, shape_name: int, at: int, run: str, limits: OutputLimits, body: str) -> Recorded:
        """A plan; its run goes by the name given."""
        shape = self.shape(shape_name)
        complexity, max_tokens, denied, awaited, rows, (output_bound, send), prompt = json.loads(body)
        size = _size(prompt)
        options = [_option(row) for row in rows]
        if shape.repriced:
            options = [self._repriced(one, shape.models[one.index], size, at) for one in options]
        if shape.guessed and options:
            options += [self._guessed(options[0], shape, index, size, at) for index in _guesses(shape)]
        by_index = {one.index: one for one in options}
        candidates = tuple(_candidate(model, by_index.get(index), at) for index, model in enumerate(shape.models))
        given = PlanInput(
            decision_id="",
            run_id=run,
            scope=self.scope(scope),
            requested_model=shape.requested,
            explicit=shape.explicit,
            default_model=shape.default,
            candidates=candidates,
            streaming=shape.streaming,
            complexity=complexity,
            max_tokens=max_tokens,
            choices=shape.choices,
            task_class=shape.task_class,
            requested_mode=shape.mode,
            denied=frozenset(denied),
            limits=limits,
            course=shape.course,
            order=shape.order,
        )
        named = {shape.models[one.index].model: one for one in options}
        return Recorded(given, frozenset(awaited), named, output_bound, send)

    def option(self, shape_name: int, model: int, at: int, body: str) -> Option:
        """The numbers of one model in a plan."""
        shape = self.shape(shape_name)
        numbers = json.loads(body)
        if model in _guesses(shape):
            return self._guessed(_option(numbers[4][0]), shape, model, _size(numbers[6]), at)
        option = _option(next(row for row in numbers[4] if row[0] == model))
        return self._repriced(option, shape.models[model], _size(numbers[6]), at) if shape.repriced else option

    def context(self, body: str) -> ServiceContext:
        """The service a request asked for."""
        return _size(json.loads(body)[6]).context

    def _known_card(self, name: int) -> RateCard:
        found = self._cards.get(name)
        if found is None:
            found = self._cards[name] = RateCard.from_json(json.loads(self.names.name(name)))
        return found

    def _read_shape(self, data: list[Any]) -> Shape:
        requested, explicit, default, streaming, choices, task, mode, rows, *later = data
        course, order = later or ("", ())
        models = tuple(
            ModelShape(model, provider, upstream, ModelProviderKind(kind), CostTier(tier), tuple(excluded), card)
            for model, provider, upstream, kind, tier, excluded, card in rows
        )
        return Shape(
            requested,
            explicit,
            default,
            streaming,
            choices,
            TaskClass(task),
            RoutingMode(mode) if mode else None,
            models,
            self._tries(models),
            Course(course),
            tuple(order),
        )

    def _tries(self, models: Iterable[ModelShape]) -> bool:
        prices = self.prices
        return prices is not None and any(prices.names(one.provider, one.upstream) for one in models)

    def _guessed(self, first: Option, shape: Shape, index: int, size: PromptSize, at: int) -> Option:
        """A model that was not looked at: the tokens of the first, at its own price."""
        model = shape.models[index]
        option = replace(first, index=index, p50_ms=None)
        card = self.card(model, at)
        return _replaced(option, None, None, PriceState.UNKNOWN) if card is None else _priced(option, model, card, size)

    def _repriced(self, option: Option, model: ModelShape, size: PromptSize, at: int) -> Option:
        if self.prices is None or not self.prices.find(model.provider, model.upstream, at):
            return option
        card = self.card(model, at)
        return option if card is None else _priced(option, model, card, size)


def _priced(option: Option, model: ModelShape, card: RateCard, size: PromptSize) -> Option:
    chosen = card.for_context(size.context)
    if not chosen.pricer.covers({INPUT: option.tokens.total, OUTPUT: option.terms.bound}):
        return _replaced(option, None, None, PriceState.UNKNOWN)
    rates = bound_rates(card, size, model.kind, option.tokens)
    exact, _ = chosen.pricer.price({INPUT: option.expected[0], OUTPUT: option.expected[1]})
    return _replaced(option, rates, half_even(exact, chosen.pricer.denominator), card.state)


def _guesses(shape: Shape) -> range:
    return range(len(shape.models) - shape.guessed, len(shape.models))


_KEPT = 50_000


def _size(prompt: list[Any]) -> PromptSize:
    if not prompt:
        return _PLAIN
    marks, one_hour, audio, tier, speed, tools = prompt
    return PromptSize(
        cache_marks=bool(marks),
        cache_one_hour=bool(one_hour),
        audio_output=bool(audio),
        service_tier=tier,
        speed=speed,
        server_tools=tuple(Tool(name, uses) for name, uses in tools),
    )


_PLAIN = PromptSize()


def _option(row: list[Any]) -> Option:
    index, (text, image, audio), price, expected_usd, expected, terms, p50, state = row
    bound, per_choice, send, sliced = terms
    tokens = InputTokens(text, image, audio)
    # The input's price is one number by now, so that the rates of its kinds are nothing.
    rates = BoundRates(0, 0, 0, price[1], price[0], price[2]) if price else None
    return Option(
        index,
        tokens,
        rates,
        expected_usd,
        (expected[0], expected[1]),
        OutputTerms(bound, per_choice, send, bool(sliced)),
        p50,
        PriceState(state),
    )


def _replaced(option: Option, rates: BoundRates | None, expected_usd: int | None, state: PriceState) -> Option:
    return Option(
        option.index,
        option.tokens,
        rates,
        expected_usd,
        option.expected,
        option.terms,
        option.p50_ms,
        state,
    )


def _candidate(model: ModelShape, option: Option | None, at: int) -> Candidate:
    return Candidate(
        model=model.model,
        provider=model.provider,
        estimate=partial(_estimate, model, option, at),
        tier=model.tier,
        p50_ms=None if option is None else option.p50_ms,
        excluded=model.excluded,
        terms=None if option is None else option.terms,
    )


def _estimate(model: ModelShape, option: Option | None, at: int, output_bound: int) -> PricingEstimate:
    """As recorded, with that much output."""
    if option is None:
        raise ValueError(f"nothing is known of {model.model}, which was excluded")
    rates, tokens = option.rates, option.tokens
    return PricingEstimate(
        provider=model.provider,
        model=model.upstream,
        at=at,
        state=option.state,
        source=PriceSource.NONE,
        precision=Precision.UNKNOWN,
        expected_usd=None if option.expected_usd is None else Usd(option.expected_usd),
        bound_usd=None if rates is None else rates.usd(tokens, output_bound),
        expected_input=option.expected[0],
        bound_input=tokens.total,
        expected_output=option.expected[1],
        bound_output=output_bound,
        card_id="",
        notes=(),
        input=tokens,
        rates=rates,
    )
