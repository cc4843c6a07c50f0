"""Providers, credentials, the gateway and what lies outside, as diagnostics tell of them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from palyra.config.choices import ModelProviderKind, ProviderModelRole
from palyra.config.providers import ProviderConfig
from palyra.core.conditions import Domain
from palyra.diagnostics.failure import Source
from palyra.diagnostics.house import DoorFigures, GatewayData, NotificationsData, WebhookData
from palyra.diagnostics.outside import FailureData, ObservabilityData, WebhookSum
from palyra.diagnostics.serving import (
    AuthProfilesData,
    BreakerData,
    CacheData,
    DiscoveryData,
    LastError,
    LeaseData,
    ModelProviderData,
    ProbeSeen,
    ProfileData,
    ProviderData,
    auth_profiles_data,
)
from palyra.healing.notices.notice import WEBHOOK_KEY
from palyra.providers.auth_profiles import AuthProfile
from palyra.providers.breaker import BreakerState
from palyra.providers.credentials import CredentialStanding
from palyra.providers.entries import ModelSource, ProviderEntry
from palyra.providers.expiry import expiry_bucket

if TYPE_CHECKING:
    from palyra.engine.engine import Engine


async def model_provider(engine: "Engine") -> ModelProviderData:
    """Models and providers: health, breakers, leases, credentials."""
    registry, kept, cache = engine.registry, engine.kept, engine.config.cache
    chat, embeddings = registry.default_chat, registry.default_embeddings
    roles: dict[str, set[ProviderModelRole]] = {}
    discovered = 0
    for model in registry.models:
        roles.setdefault(model.provider, set()).add(model.role)
        discovered += model.source is ModelSource.DISCOVERY
    return ModelProviderData(
        default_chat=None if chat is None else chat.id,
        default_embeddings=None if embeddings is None else embeddings.id,
        failover_enabled=engine.config.failover.enabled,
        models_enabled=len(registry.models),
        models_discovered=discovered,
        cache=CacheData(
            cache.enabled,
            0 if kept is None else len(kept),
            0 if kept is None else kept.hits,
            0 if kept is None else kept.misses,
        ),
        providers=tuple(_provider(engine, one, roles.get(one.id, set())) for one in registry.providers.values()),
    )


def _provider(engine: "Engine", one: ProviderEntry, roles: set[ProviderModelRole]) -> ProviderData:
    report = engine.care.health.report(one)
    traced = engine.runner.traced
    attempts = {kind: count for (provider, kind), count in traced.attempts.items() if provider == one.id}
    known = report.seen or not one.on_network
    error = None
    if report.last_error and report.last_error_at is not None:
        error = LastError(report.last_error, report.last_message, report.last_error_at)
    return ProviderData(
        id=one.id,
        kind=one.kind.value,
        enabled=one.enabled,
        base_url=one.base_url,
        health=report.state.value,
        credential_source=_credential_source(one, engine.config.providers.get(one.id)),
        success_ewma=round(report.rate, 4) if known else None,
        first_byte_p50_ms=report.p50_ms,
        first_byte_p95_ms=report.p95_ms,
        requests_total=sum(attempts.values()),
        errors_total={kind: count for kind, count in sorted(attempts.items()) if kind},
        retries_total=traced.retries[one.id],
        failovers_total=traced.failovers[one.id],
        last_success_at=report.last_success_at,
        last_error=error,
        breaker=_breaker(engine, one),
        leases=_leases(engine, one),
        probe=_probe(engine, one),
        discovery=_discovery(engine, one),
        chat=not roles or ProviderModelRole.CHAT in roles,
    )


def _credential_source(one: ProviderEntry, config: ProviderConfig | None) -> str:
    """Where its credential comes from; the first that is set."""
    if config is None or one.kind is ModelProviderKind.DETERMINISTIC:
        return "none_needed"
    for source, given in (
        ("profile", config.auth_profiles),
        ("vault", config.api_key_vault_ref),
        ("env", config.api_key_env),
        ("inline", config.api_key),
    ):
        if given:
            return source
    return "none" if one.at_vendor else "none_needed"


def _breaker(engine: "Engine", one: ProviderEntry) -> BreakerData:
    breaker, clock = engine.breakers.of(one.id), engine.clock
    state, settings, since = breaker.state, breaker.settings, breaker.opened_since_s
    now = clock.now_ms()
    waits = round(1000 * breaker.retry_after_s)
    return BreakerData(
        state=state.value,
        failures_in_window=breaker.failures,
        threshold=settings.failures,
        window_ms=round(1000 * settings.window_s),
        cooldown_ms=round(1000 * breaker.cooldown_s),
        opened_at=None if since is None else now - round(1000 * (clock.monotonic() - since)),
        retry_at=now + waits if state is BreakerState.OPEN else None,
        probe_in_flight=breaker.probing,
        opened_total=breaker.opened_total,
    )


def _leases(engine: "Engine", one: ProviderEntry) -> LeaseData | None:
    if not one.on_network:
        return None
    count, queue = engine.leases.of_provider(one.id), engine.leases.queue(one.id)
    return LeaseData(count.in_use, count.limit, queue.ceiling, queue.foreground, queue.background)


def _probe(engine: "Engine", one: ProviderEntry) -> ProbeSeen | None:
    asked = engine.care.upkeep.newest.get(one.id)
    if asked is None:
        return None
    error = asked.error
    return ProbeSeen(asked.at, error is None, asked.took_ms, None if error is None else error.error_class.value)


def _discovery(engine: "Engine", one: ProviderEntry) -> DiscoveryData:
    listing = engine.care.discovery.of(one.id)
    off = not (one.discover and one.on_network)
    return DiscoveryData("off" if off else "stale" if listing.stale else "fresh", listing.at, len(listing.models))


async def auth_profiles(engine: "Engine") -> AuthProfilesData:
    """Every record that can be read, whether a provider uses it or not."""
    now = engine.clock.now_ms()
    declared = engine.sources.profiles.profiles
    standings = {
        (provider, standing.id): standing
        for provider, config in engine.config.providers.items()
        if config.auth_profiles
        for standing in engine.credentials.standings(provider, now)
    }
    found = [_profile(engine, one, standings.get((one.provider, one.id)), now) for one in declared.values()]
    needing = {
        name: one.auth_profiles for name, one in engine.config.providers.items() if one.enabled and one.auth_profiles
    }
    return auth_profiles_data(tuple(found), needing)


def _profile(engine: "Engine", one: AuthProfile, standing: CredentialStanding | None, now: int) -> ProfileData:
    if standing is None:
        standing = engine.sources.unused(one, now)
    return ProfileData(
        id=one.id,
        provider=one.provider,
        type=one.type.value,
        health=standing.health.value,
        eligible=standing.state == "eligible",
        cooling_until=standing.until,
        expires_at=standing.expires_at,
        expiry=expiry_bucket(standing, now).value,
        last_used_at=standing.last_used,
        last_error_class=standing.last_error or None,
        vault_ref=one.vault_ref,
        fingerprint=standing.fingerprint or None,
    )


async def gateway(engine: "Engine", doors: DoorFigures | None) -> GatewayData:
    """`doors` None: nobody serves, which is wanted where only a command runs."""
    figures = doors or DoorFigures()
    live = list(engine.runner.live)
    return GatewayData(
        listening=figures.listening,
        address=figures.address,
        tls=figures.tls,
        connections=figures.connections,
        active_runs=len(live),
        streams=sum(run.row.streaming for run in live),
        parked=len(engine.parking),
        waiting_lease=engine.leases.waiting(),
        requests_5m=figures.requests_5m,
        status_5m=figures.status_5m,
        overhead_p50_ms=_ms(figures.overhead_p50_s),
        overhead_p99_ms=_ms(figures.overhead_p99_s),
        first_byte_p50_ms=_ms(figures.first_byte_p50_s),
        refused_hosts_total=figures.refused_hosts_total,
        draining=engine.phase == "draining",
        own_5xx_5m=figures.own_5xx_5m,
        wanted=doors is not None and engine.phase == "ready",
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)


_INCIDENTS = {
    Source.PROVIDER: (Domain.PROVIDER, "provider:"),
    Source.PROBE: (Domain.CONNECTOR, "probe:"),
    Source.COLLECTOR: (Domain.ENGINE, "engine:collector:"),
    Source.WEBHOOK: (Domain.NOTIFICATION, WEBHOOK_KEY),
}
"""Where the incident of what failed is found, by its subject."""


def _with_incident(engine: "Engine", failure: FailureData) -> FailureData:
    """With the incident that is open about it, if any."""
    if failure.source not in _INCIDENTS:
        return failure
    domain, key = _INCIDENTS[failure.source]
    found = engine.healing.book.of(domain, key + failure.subject)
    if found is None or not found.live:
        return failure
    return replace(failure, correlation={**failure.correlation, "incident": found.incident_id})


async def observability(engine: "Engine") -> ObservabilityData:
    """Probes, failures of late, webhooks."""
    parts, courier = engine.diagnosing, engine.notices.courier
    probes = parts.prober.data()
    states = courier.states()
    troubled = [one.row for one in states if one.row.error and one.failing]
    newest = max(troubled, key=lambda row: row.failed_at or 0, default=None)
    return ObservabilityData(
        probes=probes,
        components=parts.prober.components(probes),
        recent_failures=tuple(_with_incident(engine, one) for one in parts.failures.recent()),
        failure_classes=parts.failures.classes(),
        webhooks=WebhookSum(
            sum(one.pending for one in states), len(courier.dead()), None if newest is None else newest.error
        ),
    )


async def notifications(engine: "Engine") -> NotificationsData:
    """How operators are told, and whether it arrives."""
    config = engine.config.notifications
    hooks = tuple(
        WebhookData(one.row.name, not one.failing, one.pending, one.dead) for one in engine.notices.courier.states()
    )
    return NotificationsData(config.bell.value, config.osc9.value, hooks)
