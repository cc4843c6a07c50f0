"""Who answers, what it costs, and what budgets speak of."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Installation, NothingToReadError, NotReadError
from palyra.doctor.reading_secrets import credentials_of

if TYPE_CHECKING:
    from palyra.config.budgets import BudgetConfig
    from palyra.providers.registry import ModelEntry


def coverage(found: Installation) -> Iterator[Finding]:
    """Models that money is counted for have a price."""
    from palyra.config.choices import MetricKind
    from palyra.providers.registry import Registry
    from palyra.runs.price_book import price_book

    config = found.config()
    budgets = [row for row in config.budgets if row.enabled and row.metric_kind is MetricKind.ESTIMATED_COST_USD]
    if not budgets:
        return
    registry = Registry.from_config(config)
    book = price_book(config, registry)
    for model in registry.models:
        covering = [row.policy_id for row in budgets if _covers(row, model)]
        if covering and book.card(model.provider, model.upstream, found.now_ms) is None:
            yield Finding(
                "pricing.coverage",
                Severity.WARNING,
                model.id,
                f"No price is known for {model.id}, which budgets in dollars cover.",
                tuple(f"budget {name}" for name in covering),
                manual="Give its rates in a [[pricing]] row, or set free = true where it costs nothing.",
            )


def _covers(row: "BudgetConfig", model: "ModelEntry") -> bool:
    from palyra.config.choices import ScopeKind

    if row.scope_kind is ScopeKind.MODEL and row.scope_id != "*":
        return row.scope_id == model.id
    if row.scope_kind is ScopeKind.PROVIDER and row.scope_id != "*":
        return row.scope_id == model.provider
    return True


def scope(found: Installation) -> Iterator[Finding]:
    """Budgets are about something that exists."""
    from palyra.providers.registry import Registry

    config = found.config()
    registry = Registry.from_config(config)
    known = {
        "provider": set(registry.providers),
        "model": {model.id for model in (*registry.models, *registry.disabled)},
        "key": _keys(found),
        "job": {row.name for row in config.jobs} | _jobs(found),
    }
    for row in config.budgets:
        names = known.get(row.scope_kind.value)
        if names is None or row.scope_id == "*" or row.scope_id in names:
            continue
        yield Finding(
            "budgets.scope",
            Severity.INFO,
            row.policy_id,
            f"The budget {row.policy_id} is for the {row.scope_kind.value} {row.scope_id}, which is not known.",
            manual="Correct scope_id, or leave it if that is still to come.",
        )


def _keys(found: Installation) -> set[str]:
    try:
        data = found.access.get().data or {}
    except (NothingToReadError, NotReadError):
        return set()
    return {str(key.get("key_id")) for key in data.get("gateway_keys", []) if isinstance(key, dict)}


def _jobs(found: Installation) -> set[str]:
    try:
        examined = found.journal.get().examined
    except (NothingToReadError, NotReadError):
        return set()
    return set() if examined is None else set(examined.job_names)


def usable(found: Installation) -> Iterator[Finding]:
    """Some model can answer."""
    from palyra.config.choices import ProviderModelRole
    from palyra.providers.registry import Registry

    config = found.config()
    registry = Registry.from_config(config)
    credentials = credentials_of(found, config)
    reasons = []
    for provider in registry.providers.values():
        if not provider.enabled:
            reasons.append(f"{provider.id}: switched off")
            continue
        if missing := credentials.missing(provider.id, found.now_ms):
            reasons.append(f"{provider.id}: {missing}")
            continue
        own = [model for model in registry.models if model.provider == provider.id]
        if any(model.role is ProviderModelRole.CHAT for model in own) or (provider.on_network and not own):
            return
        reasons.append(f"{provider.id}: no chat model is enabled")
    yield Finding(
        "providers.usable",
        Severity.BLOCKING,
        "providers",
        "No enabled provider can serve chat.",
        tuple(reasons),
        manual="Give one of them a credential and a chat model, or enable one.",
    )


def reachable(found: Installation) -> Iterator[Finding]:
    """Providers answer."""
    for one in found.online.get().providers:
        if one.fault:
            message = f"The provider {one.id} does not list its models: {one.fault}."
            manual = f"Check base_url, its credential and the way: palyra models test-connection --provider {one.id}"
            yield Finding("providers.reachable", Severity.WARNING, one.id, message, manual=manual)


def probes(found: Installation) -> Iterator[Finding]:
    """What probes look at answers."""
    for one in found.online.get().probes:
        if one.fault:
            yield Finding(
                f"probes.{one.id}",
                Severity.BLOCKING if one.critical else Severity.WARNING,
                one.id,
                f"The probe {one.id} is down: {one.fault}.",
                manual="Look at the service it names.",
            )


CHECKS = (
    Check("pricing.coverage", Severity.WARNING, coverage),
    Check("budgets.scope", Severity.INFO, scope),
    Check("providers.usable", Severity.BLOCKING, usable),
    Check("providers.reachable", Severity.WARNING, reachable),
)
