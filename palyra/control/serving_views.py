"""Providers and models as consoles see them, made from what the engine knows or, without one, from what is kept."""

from palyra.control.serving import BreakerView, CredentialView, DiscoveryView, LeaseView, ModelView, ProviderView
from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.pricing.book import PriceBook
from palyra.pricing.card import PriceState, RateCard
from palyra.pricing.label import tier_label
from palyra.pricing.rates import INPUT, MILLION, OUTPUT
from palyra.providers.breaker import Breakers, BreakerState
from palyra.providers.care import ProviderCare
from palyra.providers.credentials import CredentialHealth, Credentials, CredentialStanding
from palyra.providers.entries import ModelEntry, ModelSource, ProviderEntry
from palyra.providers.expiry import expiry_bucket
from palyra.providers.health import latency_label
from palyra.providers.leases import Leases
from palyra.providers.registry import Registry

STALE = "stale"
"""The source of a model that was found, when nobody knows whether it is still there."""


@value
class Present:
    """What only a running engine knows of its providers."""

    care: ProviderCare
    leases: Leases
    breakers: Breakers


class ServingViews:
    """Makes views of one registry. `present` is None where no engine runs."""

    def __init__(
        self, registry: Registry, credentials: Credentials, book: PriceBook, clock: Clock, present: Present | None
    ) -> None:
        self._registry = registry
        self._credentials = credentials
        self._book = book
        self._clock = clock
        self._present = present
        self._models: dict[str, _Shown] = {}
        """The views made last, with what they were made of: most models are what they were a moment ago."""

    def providers(self) -> tuple[ProviderView, ...]:
        """Every provider of the configuration, in its order."""
        declared: dict[str, int] = {}
        for model in self._registry.models:
            declared[model.provider] = declared.get(model.provider, 0) + 1
        return tuple(self._provider(one, declared.get(one.id, 0)) for one in self._registry.providers.values())

    def _provider(self, one: ProviderEntry, models: int) -> ProviderView:
        if self._present is None:
            health, detail = self._unasked(one)
            credentials = self._of_credentials(one)
            discovery = DiscoveryView(one.discover and one.on_network)
            return ProviderView(
                provider_id=one.id,
                kind=one.kind.value,
                health=health,
                models=models,
                base_url=one.base_url,
                detail=detail,
                credentials=credentials,
                discovery=discovery,
            )
        report = self._present.care.health.report(one)
        return ProviderView(
            provider_id=one.id,
            kind=one.kind.value,
            health=report.state.value,
            models=models,
            base_url=one.base_url,
            detail=report.detail,
            breaker=self._breaker(one, self._present.breakers),
            leases=self._leases(one, self._present.leases),
            credentials=self._of_credentials(one),
            success_percent=round(100 * report.rate, 1),
            p50_ms=report.p50_ms,
            latency=report.label.value,
            last_error=report.last_error,
            last_error_at=report.last_error_at,
            discovery=self._discovery(one, self._present.care),
        )

    def _unasked(self, one: ProviderEntry) -> tuple[str, str]:
        """The health of a provider that nobody asks, and why."""
        if not one.enabled:
            return "disabled", "switched off in the configuration"
        if missing := self._credentials.missing(one.id, self._clock.now_ms()):
            return "missing_auth", missing
        return ("unknown" if one.on_network else "ok"), ""

    def _breaker(self, one: ProviderEntry, breakers: Breakers) -> BreakerView:
        breaker = breakers.of(one.id)
        state = breaker.state
        retry_at = None
        if state is BreakerState.OPEN:
            retry_at = self._clock.now_ms() + round(1000 * breaker.retry_after_s)
        return BreakerView(state.value, breaker.failures, retry_at)

    def _leases(self, one: ProviderEntry, leases: Leases) -> LeaseView | None:
        if not one.on_network:
            return None
        count = leases.of_provider(one.id)
        return LeaseView(count.in_use, count.limit, leases.waiting(one.id))

    def _discovery(self, one: ProviderEntry, care: ProviderCare) -> DiscoveryView:
        listing = care.discovery.of(one.id)
        return DiscoveryView(
            one.discover and one.on_network, len(listing.models), listing.stale, listing.at, listing.error
        )

    def _of_credentials(self, one: ProviderEntry) -> tuple[CredentialView, ...]:
        now = self._clock.now_ms()
        return tuple(self._credential(one, standing, now) for standing in self._credentials.standings(one.id, now))

    def _credential(self, one: ProviderEntry, standing: CredentialStanding, now: int) -> CredentialView:
        leases = LeaseView(0, 0)
        if self._present is not None:
            count = self._present.leases.of_credential(one.id, standing.id)
            leases = LeaseView(count.in_use, count.limit)
        return CredentialView(
            credential_id=standing.id,
            state=standing.state,
            cooling_until=standing.until,
            expires_at=standing.expires_at,
            expiring=standing.health is CredentialHealth.EXPIRING,
            expiry=expiry_bucket(standing, now).value,
            last_used=standing.last_used,
            last_error=standing.last_error,
            last_error_at=standing.last_error_at,
            detail=standing.detail,
            leases=leases,
        )

    def models(self) -> tuple[ModelView, ...]:
        """Every model callers can name, then those that are switched off."""
        now = self._clock.now_ms()
        registry = self._registry
        routed = {model.id for model in registry.routed}
        defaults = {one.id for one in (registry.default_chat, registry.default_embeddings) if one is not None}
        shown: dict[str, _Shown] = {}
        for entry in (*registry.listed, *registry.disabled):
            made_of = _MadeOf(
                entry,
                self._book.card(entry.provider, entry.upstream, now),
                self._source(entry),
                None if self._present is None else self._present.care.health.model_p50(entry.provider, entry.id),
                entry.id in routed,
                entry.id in defaults,
            )
            before = self._models.get(entry.id)
            same = before is not None and before.made_of.same(made_of)
            shown[entry.id] = before if before is not None and same else _shown(made_of)
        self._models = shown
        return tuple(one.view for one in shown.values())

    def _source(self, entry: ModelEntry) -> str:
        if entry.source is not ModelSource.DISCOVERY or self._present is None:
            return entry.source.value
        return STALE if self._present.care.discovery.of(entry.provider).stale else entry.source.value


@value
class _MadeOf:
    """All that a model's view is made of."""

    entry: ModelEntry
    card: RateCard | None
    source: str
    p50_ms: int | None
    routed: bool
    is_default: bool

    def same(self, other: "_MadeOf") -> bool:
        told = (self.source, self.p50_ms, self.routed, self.is_default)
        return (
            self.entry is other.entry
            and self.card is other.card
            and told == (other.source, other.p50_ms, other.routed, other.is_default)
        )


@value
class _Shown:
    made_of: _MadeOf
    view: ModelView


def _shown(made_of: _MadeOf) -> _Shown:
    entry, card = made_of.entry, made_of.card
    label = tier_label(card, entry.tier)
    enabled = made_of.routed or entry.source is ModelSource.DISCOVERY
    view = ModelView(
        model_id=entry.id,
        provider_id=entry.provider,
        upstream=entry.upstream,
        role=entry.role.value,
        source=made_of.source,
        aliases=entry.aliases,
        failover=entry.failover,
        streaming=entry.streaming,
        tools=entry.tools,
        json=entry.json,
        vision=entry.vision,
        reasoning=entry.reasoning,
        responses=entry.responses,
        max_context=entry.max_context,
        max_output=entry.max_output,
        tier=label.tier.value,
        price=str(label),
        priced=card is not None,
        free=card is not None and card.state is PriceState.FREE,
        input_usd=_per_million(card, INPUT),
        output_usd=_per_million(card, OUTPUT),
        latency=latency_label(made_of.p50_ms).value,
        p50_ms=made_of.p50_ms,
        enabled=enabled,
        routed=made_of.routed,
        is_default=made_of.is_default,
    )
    return _Shown(made_of, view)


def _per_million(card: RateCard | None, unit: str) -> str:
    """Dollars for a million of a unit, at the lowest tier, as an exact decimal; empty where it has no rate."""
    rates = () if card is None else card.rates
    return next((f"{rate.usd * MILLION / rate.per:f}" for rate in rates if rate.unit == unit), "")
