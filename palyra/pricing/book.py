"""The price book: which rate card holds for a provider's model at an instant, and how that provider counts."""

from collections.abc import Collection, Iterable, Mapping

from genai_prices.types import Provider

from palyra.config.choices import ModelProviderKind, UsageDialect
from palyra.config.pricing_rows import UsagePricingRecord
from palyra.core.money import Usd
from palyra.core.values import value
from palyra.pricing.card import PriceSource, RateCard
from palyra.pricing.catalogue import ZERO_RATES, Catalogue, Match
from palyra.pricing.dialect import Dialect, Flavour, dialect_of
from palyra.pricing.estimate import PromptSize
from palyra.pricing.meter import Metered
from palyra.pricing.overrides import Overrides, card_of_row, discounted
from palyra.pricing.settle import PricedUsage, price_response

CARDS_AT_MOST = 4096


@value
class PricedProvider:
    """What pricing needs of a provider entry. `pricing_provider` None means: found by `base_url`."""

    kind: ModelProviderKind
    base_url: str | None = None
    pricing_provider: str | None = None
    usage_dialect: UsageDialect = UsageDialect.AUTO
    trust_reported_cost: bool = False


@value
class _Resolved:
    """What a lookup gave, and from when until when (unix ms) it would give the same."""

    card: RateCard | None
    start: int
    end: int


class PriceBook:
    """Answers from the operator's rows, what is declared free, and the bundled package, in that order.

    `providers` are our entries by id, `free_models` pairs of provider id and upstream model name. Models are always
    named as upstream names them. Lookups are pure: a card is remembered only for a period in which no price changes,
    the UTC minute where prices depend on the time of day.
    """

    def __init__(
        self,
        overrides: Iterable[UsagePricingRecord],
        providers: Mapping[str, PricedProvider],
        free_models: Collection[tuple[str, str]] = (),
    ) -> None:
        self._overrides = Overrides(overrides)
        self._providers = dict(providers)
        self._free = frozenset(free_models)
        self._catalogue = Catalogue()
        self._package: dict[str, Provider | None] = {
            provider_id: self._catalogue.provider(provider.pricing_provider, provider.base_url)
            for provider_id, provider in self._providers.items()
        }
        self._cards: dict[tuple[str, str], _Resolved] = {}
        self._dialects: dict[tuple[str, Flavour], Dialect] = {}

    def configure(self, overrides: Iterable[UsagePricingRecord]) -> None:
        """Other rows of the operator's, for every lookup from now on; a card that was handed out stays as it is."""
        self._overrides = Overrides(overrides)
        self._cards.clear()

    @property
    def version(self) -> str:
        """The version of the price package."""
        return self._catalogue.version

    @property
    def catalogue(self) -> Catalogue:
        """The package's data."""
        return self._catalogue

    def package_provider(self, provider_id: str) -> str | None:
        """The package's id for one of our providers; None when only overrides can price it."""
        found = self._package.get(provider_id)
        return found.id if found else None

    def card(self, provider_id: str, model: str, at_ms: int) -> RateCard | None:
        """The rates of a model at an instant (unix ms); None when nobody has said what it costs."""
        found = self._cards.get((provider_id, model))
        if found is None or not found.start <= at_ms < found.end:
            if len(self._cards) >= CARDS_AT_MOST:
                self._cards.clear()
            found = self._cards[provider_id, model] = self._resolve(provider_id, model, at_ms)
        return found.card

    def next_change(self, provider_id: str, model: str, at_ms: int) -> int | None:
        """The first instant after `at_ms` (unix ms) from which a model costs something else; None: none is known."""
        now = self.card(provider_id, model, at_ms)
        match = self._match(provider_id, model)
        edges = {*self._overrides.edges(at_ms), *(self._catalogue.edges(match, at_ms) if match else ())}
        return next((edge for edge in sorted(edges) if _differ(self.card(provider_id, model, edge), now)), None)

    def _resolve(self, provider_id: str, model: str, at_ms: int) -> _Resolved:
        start, end = self._overrides.steady(at_ms)
        listed: RateCard | None = None
        if (match := self._match(provider_id, model)) is not None:
            begins, ends = self._catalogue.steady(match, at_ms)
            start, end = max(start, begins), min(end, ends)
            listed = self._catalogue.card(match, provider_id, model, at_ms)
        return _Resolved(self._strongest(provider_id, model, at_ms, listed), start, end)

    def _strongest(self, provider_id: str, model: str, at_ms: int, listed: RateCard | None) -> RateCard | None:
        row = self._overrides.find(provider_id, model, at_ms)
        if row is not None:
            if row.discount is None:
                return card_of_row(row, provider_id, model)
            if listed is not None:
                return discounted(listed, row, row.discount)
        provider = self._providers.get(provider_id)
        deterministic = provider is not None and provider.kind is ModelProviderKind.DETERMINISTIC
        if deterministic or (provider_id, model) in self._free:
            return RateCard(provider_id, model, PriceSource.DECLARED_FREE, ZERO_RATES)
        return listed

    def _match(self, provider_id: str, model: str) -> Match | None:
        provider = self._package.get(provider_id)
        return self._catalogue.match(provider, model) if provider else None

    def context_window(self, provider_id: str, model: str) -> int | None:
        """The most input tokens the package lists for a model; None when it does not say."""
        match = self._match(provider_id, model)
        return match.model.context_window if match else None

    def dialect(self, provider_id: str, flavour: Flavour) -> Dialect:
        """How this provider reports usage on a wire of that flavour."""
        key = (provider_id, flavour)
        found = self._dialects.get(key)
        if found is None:
            provider = self._providers.get(provider_id, PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE))
            found = self._dialects[key] = dialect_of(
                flavour,
                self._package.get(provider_id),
                provider.usage_dialect,
                trust_reported_cost=provider.trust_reported_cost,
            )
        return found

    def settle(
        self,
        card: RateCard | None,
        provider_id: str,
        model: str,
        at_ms: int,
        flavour: Flavour,
        usage_body: object,
        metered: Metered,
        size: PromptSize,
        bound_usd: Usd | None = None,
    ) -> PricedUsage:
        """`price_response` with this provider's dialect; `card` and `at_ms` are those of the attempt's hold.

        An answer that names another model is priced as that one when it has a price from a source at least as
        strong as the card's: the operator's word on a model is never displaced by the package's.
        """
        return price_response(
            card,
            self.dialect(provider_id, flavour),
            usage_body,
            metered,
            size,
            model=model,
            bound_usd=bound_usd,
            substitute=lambda named: self.card(provider_id, named, at_ms),
        )


def _differ(one: RateCard | None, other: RateCard | None) -> bool:
    if one is None or other is None:
        return one is not other
    return (one.rates, one.variants) != (other.rates, other.variants)
