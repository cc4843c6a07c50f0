"""Answers questions about prices with the same book, dialects and arithmetic that charge runs."""

import json
from collections.abc import Mapping
from typing import Any

from palyra.config.choices import ModelProviderKind, ProviderModelRole, UnknownPriceChoice
from palyra.config.model import LoadedConfig
from palyra.config.suggest import nearest
from palyra.control.price_views import part_view, usage_view, with_card
from palyra.control.prices import (
    CostAnswer,
    CostQuery,
    PriceAnswer,
    PriceCheckAnswer,
    PriceFinding,
    PriceQuery,
    PriceView,
    ReadingView,
)
from palyra.core.errors import BadInputError
from palyra.core.plural import plural
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.pricing.card import PriceState, RateCard
from palyra.pricing.dialect import Dialect, Flavour
from palyra.pricing.drift import EstimateDrift
from palyra.pricing.label import tier_label
from palyra.pricing.meter import Metered, output_tokens
from palyra.pricing.normalise import UNPRICEABLE, normalise
from palyra.pricing.prompt_size import PromptSize
from palyra.pricing.rates import INPUT, OUTPUT
from palyra.pricing.settle import PricedUsage, price_response
from palyra.providers.recorded import Shape
from palyra.providers.registry import ModelEntry, Registry
from palyra.runs.attempt import PARTIAL, storable
from palyra.runs.price_book import free_models, priced_providers

STALE_MS = 90 * 86_400_000
INPUT_UNMETERED = "input_unmetered"
"""Nobody told the input, and it could not be metered: what is charged is without it."""

_FLAVOURS: Mapping[Shape, Flavour] = {
    Shape.CHAT: Flavour.CHAT,
    Shape.RESPONSES: Flavour.RESPONSES,
    Shape.EMBEDDINGS: Flavour.EMBEDDINGS,
    Shape.MESSAGES: Flavour.MESSAGES,
}


class PriceDesk:
    """Pure but for its memory of cards; not to be asked by two threads at once."""

    def __init__(self, config: LoadedConfig, registry: Registry) -> None:
        self._registry = registry
        self._config = config
        ours = priced_providers(registry)
        self._ours = frozenset(ours)
        catalogue = PriceBook((), {}).catalogue
        listed = {name: _of_package(name) for name in catalogue.provider_ids if name not in ours}
        self._providers = ours | listed
        self._book = PriceBook(config.pricing, self._providers, free_models(registry))

    # What a model costs

    def price(self, query: PriceQuery, now: int) -> PriceAnswer:
        """Raises BadInputError for a provider nobody knows."""
        at = now if query.at is None else query.at
        found = [self._price_view(provider, model, at) for provider, model in self._meant(query, at)]
        return PriceAnswer(query.model, at, tuple(found))

    def _meant(self, query: PriceQuery, at: int) -> list[tuple[str, str]]:
        """Pairs of provider and upstream name: those configured, else those of the package that the name belongs to."""
        if query.provider:
            provider = self._known(query.provider)
            return [(provider, self._upstream(provider, query.model, at))]
        entries = [
            entry for entry in self._registry.models if query.model in (entry.id, entry.upstream, *entry.aliases)
        ]
        if entries:
            return list(dict.fromkeys((entry.provider, entry.upstream) for entry in entries))
        head, slash, rest = query.model.partition("/")
        if slash and rest and head in self._providers:
            return [(head, rest)]
        on_network = [one for one in sorted(self._ours) if self._registry.providers[one].on_network]
        pairs = [(one, query.model) for one in on_network]
        priced = [pair for pair in pairs if self._book.card(*pair, at) is not None]
        vendors = self._book.catalogue.vendors(query.model)
        listed = [(one, query.model) for one in vendors if one not in self._ours]
        return priced or [pair for pair in listed if self._book.card(*pair, at) is not None]

    def _known(self, provider: str) -> str:
        if provider in self._providers:
            return provider
        near = nearest(provider, [*sorted(self._ours), *sorted(self._providers)])
        fix = (
            f"Did you mean {' or '.join(near)}?" if near else "Name a configured provider or one of the price package."
        )
        raise BadInputError(f"No provider {provider!r} is known.", fix=fix)

    def _upstream(self, provider: str, model: str, at: int) -> str:
        """The provider's own name of a model that may be given by a public id, an alias or after its provider."""
        for entry in self._registry.models:
            if entry.provider == provider and model in (entry.id, *entry.aliases):
                return entry.upstream
        inner = model.removeprefix(f"{provider}/")
        return model if inner == model or self._book.card(provider, model, at) is not None else inner

    def _entry(self, provider: str, upstream: str) -> ModelEntry | None:
        same = (entry for entry in self._registry.models if (entry.provider, entry.upstream) == (provider, upstream))
        return next(same, None)

    def _price_view(self, provider: str, upstream: str, at: int) -> PriceView:
        card = self._book.card(provider, upstream, at)
        entry = self._entry(provider, upstream)
        label = tier_label(card, entry.tier if entry else None)
        view = PriceView(
            provider=provider,
            model=upstream,
            model_id=entry.id if entry else "",
            configured=provider in self._ours,
            state=PriceState.UNKNOWN.value,
            source="none",
            precision="unknown",
            label=str(label),
            next_change=self._book.next_change(provider, upstream, at),
        )
        return view if card is None else with_card(view, card)

    # What an answer costs

    def cost(self, query: CostQuery, now: int) -> CostAnswer:
        """Raises BadInputError for a provider nobody knows or an answer that is none."""
        at = now if query.at is None else query.at
        provider = self._known(query.provider)
        upstream = self._upstream(provider, query.model, at)
        answer = _object(query.answer)
        card = self._book.card(provider, upstream, at)
        flavour = self._flavour(query, provider, card, answer)
        dialect = self._book.dialect(provider, flavour)
        output = output_tokens(query.visible_bytes)
        if not query.complete:
            answer = _delivered_only(answer, dialect, output)
        expected = 0 if query.prompt_bytes is None else -(-query.prompt_bytes // 4)
        metered = Metered(expected, output)
        priced = price_response(
            card,
            dialect,
            answer,
            metered,
            PromptSize(service_tier=query.service_tier or None),
            model=upstream,
            substitute=lambda named: self._book.card(provider, named, at),
        )
        unmetered = query.prompt_bytes is None and _needs_the_meter(dialect, answer, metered)
        return self._cost_answer(query, priced, provider, upstream, at, flavour, unmetered=unmetered)

    def _flavour(self, query: CostQuery, provider: str, card: RateCard | None, answer: Mapping[str, Any]) -> Flavour:
        try:
            shape = Shape(query.shape)
        except ValueError:
            raise BadInputError(f"{query.shape!r} is no shape of an answer.") from None
        if shape is Shape.INPUT_OUTPUT:
            anthropic = self._providers[provider].kind is ModelProviderKind.ANTHROPIC
            return Flavour.MESSAGES if anthropic else Flavour.RESPONSES
        usage = answer.get("usage")
        if shape is Shape.CHAT and type(usage) is dict and not query.visible_bytes and "completion_tokens" not in usage:
            # A usage object alone: that of an embedding never has an output.
            if card is None:
                embeds = "prompt_tokens" in usage and usage.get("total_tokens") == usage["prompt_tokens"]
            else:
                embeds = not card.for_context().pricer.has(OUTPUT)
            return Flavour.EMBEDDINGS if embeds else Flavour.CHAT
        return _FLAVOURS[shape]

    def _cost_answer(
        self,
        query: CostQuery,
        priced: PricedUsage,
        provider: str,
        upstream: str,
        at: int,
        flavour: Flavour,
        *,
        unmetered: bool,
    ) -> CostAnswer:
        rule = self._config.governance.on_unknown_price
        card = priced.card
        broke_off = not query.complete and priced.raw is not None
        flags = tuple(dict.fromkeys([*priced.flags, *([PARTIAL] if broke_off else [])]))
        # A price may be known where the use is not: of an impossible body, or of one that tells nothing.
        unpriced = priced.charge is None and (card is None or UNPRICEABLE not in priced.flags)
        nothing = unmetered and not priced.charge and priced.price_state is PriceState.KNOWN
        return CostAnswer(
            provider=provider,
            model=upstream,
            priced_model=card.model if card else "",
            configured=provider in self._ours,
            at=at,
            flavour=flavour.value,
            usage=usage_view(priced.normalised),
            usage_source=priced.usage_source.value,
            parts=tuple(part_view(part) for part in priced.rates),
            total_nano_usd=None if nothing else priced.charge,
            price_state=priced.price_state.value if unpriced or card is None else card.state.value,
            source=card.source.value if card else "none",
            precision="partial" if unmetered and not unpriced else priced.precision.value,
            flags=flags,
            notes=(*priced.notes, *((INPUT_UNMETERED,) if unmetered else ())),
            readings=tuple(ReadingView(one.name, usage_view(one.usage), one.amount) for one in priced.readings),
            reported_cost_nano_usd=priced.reported_cost,
            on_unknown_price=str(rule),
            flat_nano_usd=rule.flat if unpriced and rule.choice is UnknownPriceChoice.FLAT else None,
            card_id=card.card_id if card else "",
            version=card.version if card else "",
            raw=json.dumps(storable(priced.raw)),
        )

    # What is wrong

    def check(self, drifts: tuple[EstimateDrift, ...], now: int) -> PriceCheckAnswer:
        """What an operator should look at: models nobody prices, rows that have ended, old data, estimates off."""
        newest = self._book.catalogue.newest_start(now)
        findings = [*self._misnamed(), *self._unpriced(now), *self._rows(now)]
        if now - newest > STALE_MS:
            days = (now - newest) // 86_400_000
            findings.append(
                PriceFinding(
                    "package_old",
                    f"genai-prices {self._book.version}",
                    f"Its newest price has held for {plural(days, 'day')}.",
                    "Upgrade the genai-prices package.",
                )
            )
        findings += [_drift_finding(drift) for drift in drifts if drift.drifting]
        return PriceCheckAnswer(now, self._book.version, newest, len(self._registry.models), tuple(findings))

    def _misnamed(self) -> list[PriceFinding]:
        listed = self._book.catalogue.provider_ids
        return [
            PriceFinding(
                "unknown_pricing_provider",
                one.id,
                f"The price package has no provider {one.pricing_provider!r}.",
                f"Name one it has: {' or '.join(nearest(one.pricing_provider, listed)) or ', '.join(listed)}.",
            )
            for one in self._registry.providers.values()
            if one.pricing_provider and one.pricing_provider not in listed
        ]

    def _unpriced(self, now: int) -> list[PriceFinding]:
        findings: list[PriceFinding] = []
        for entry in self._registry.models:
            card = self._book.card(entry.provider, entry.upstream, now)
            counts = {INPUT: 1} if entry.role is ProviderModelRole.EMBEDDINGS else {INPUT: 1, OUTPUT: 1}
            if card is None or not card.for_context().pricer.covers(counts):
                what = (
                    "Nobody has said what it costs." if card is None else "Its price leaves a side of its tokens out."
                )
                fix = f'Add a [[pricing]] row with provider = "{entry.provider}", model = "{entry.upstream}".'
                findings.append(PriceFinding("unpriced_model", entry.id, what, fix))
        return findings

    def _rows(self, now: int) -> list[PriceFinding]:
        return [
            PriceFinding(
                "override_ended",
                f"pricing[{index}]",
                f"The row for {row.provider}/{row.model} ended and applies to nothing any more.",
                "Remove it, or give it another `to`.",
            )
            for index, row in enumerate(self._config.pricing)
            if row.valid_to is not None and row.valid_to <= now
        ]


def _of_package(name: str) -> PricedProvider:
    kind = ModelProviderKind.ANTHROPIC if name == "anthropic" else ModelProviderKind.OPENAI_COMPATIBLE
    return PricedProvider(kind, pricing_provider=name)


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if type(data) is not dict:
        raise BadInputError("The answer is no JSON object.", fix="Give a response body or its usage object.")
    return data


def _delivered_only(answer: dict[str, Any], dialect: Dialect, metered: int) -> dict[str, Any]:
    """An answer that broke off is charged for what was delivered, whatever was reported before."""
    usage = answer.get("usage")
    if type(usage) is not dict or dialect.output is None or len(dialect.output) != 1:
        return answer
    reported = usage.get(dialect.output[0])
    delivered = max(metered, reported if type(reported) is int else 0)
    kept = {name: value for name, value in usage.items() if name != "total_tokens"}
    return {**answer, "usage": {**kept, dialect.output[0]: delivered}}


def _needs_the_meter(dialect: Dialect, answer: Mapping[str, Any], metered: Metered) -> bool:
    """Whether the meter's input would count: then another meter gives another reading."""
    other = Metered(metered.input_tokens + 1, metered.output_tokens)
    return normalise(dialect, answer, metered).readings != normalise(dialect, answer, other).readings


def _drift_finding(drift: EstimateDrift) -> PriceFinding:
    ratio = "nothing was expected" if drift.ratio is None else f"{float(drift.ratio):.2f} of what was expected"
    return PriceFinding(
        "estimate_drift",
        f"{drift.provider}: {drift.model}",
        f"Over its last {plural(drift.samples, 'attempt')}, input used was {ratio}; "
        f"{drift.overruns} went over their bound.",
        'Estimates follow by themselves; until then use bound_estimator = "proven" where a budget must hold.',
    )
