"""Providers and models in one answer, with what a person should look at."""

from collections.abc import Iterable

from palyra.config.model import LoadedConfig
from palyra.control.serving import ModelView, ProviderView
from palyra.control.serving_queries import ServingAnswer, ServingIssue
from palyra.providers.cache import ResponseCache
from palyra.providers.errors import ErrorClass
from palyra.providers.expiry import ExpiryBucket, expiry_counts
from palyra.providers.registry import Registry
from palyra.runs.cached import KeptAnswer

_REMEDIES = {
    "down": "It is tried again by itself; `palyra models test-connection` asks it now.",
    "degraded": "Look at its last error; `palyra models test-connection` asks it now.",
    "missing_auth": "Set one of its credentials, or switch it off.",
}
"""What to do about a provider's health."""
SPENT = ErrorClass.QUOTA_EXCEEDED.value
_CREDENTIALS = {
    "rejected": "Put a valid one in its place; one that is good again is cleared with c on the Models screen.",
    "expired": "Renew it.",
    "unreadable": "Open the vault with its key.",
}
"""What to do about a credential that cannot be used."""


def serving_answer(
    config: LoadedConfig,
    registry: Registry,
    providers: tuple[ProviderView, ...],
    models: tuple[ModelView, ...],
    *,
    live: bool,
    kept: ResponseCache[KeptAnswer] | None = None,
) -> ServingAnswer:
    """`kept` has the answers that a running engine keeps, where it does."""
    chat, embeddings = registry.default_chat, registry.default_embeddings
    issues = [issue for one in providers for issue in _issues(one)]
    if chat is None:
        issues.append(ServingIssue("defaults.chat", "No model can be chosen for `auto`.", "Declare one in [[models]]."))
    return ServingAnswer(
        live=live,
        providers=providers,
        models=models,
        default_chat="" if chat is None else chat.id,
        default_embeddings="" if embeddings is None else embeddings.id,
        failover=config.failover.enabled,
        failover_candidates=config.failover.max_candidates,
        cache_ttl_ms=config.cache.ttl if config.cache.enabled else None,
        cache_entries=config.cache.entries if config.cache.enabled else 0,
        cache_kept=0 if kept is None else len(kept),
        cache_hits=0 if kept is None else kept.hits,
        cache_misses=0 if kept is None else kept.misses,
        issues=tuple(issues),
        credential_expiry=expiry_counts(ExpiryBucket(own.expiry) for one in providers for own in one.credentials),
    )


def _issues(provider: ProviderView) -> Iterable[ServingIssue]:
    if provider.health == "disabled":
        return
    if provider.health in _REMEDIES:
        told = f": {provider.detail}" if provider.detail else ""
        message = f"is {provider.health.replace('_', ' ')}{told}"
        yield ServingIssue(provider.provider_id, message, _REMEDIES[provider.health])
    if provider.health != "missing_auth":
        for one in provider.credentials:
            if not one.usable and one.state != "missing":
                why = f": {one.detail}" if one.detail else ""
                yield ServingIssue(
                    provider.provider_id,
                    f"credential {one.credential_id} is {one.state}{why}",
                    _CREDENTIALS.get(one.state, "Put a valid one in its place."),
                )
        spent = [one for one in provider.credentials if one.state == "cooling_down" and one.last_error == SPENT]
        if spent and len(spent) == len(provider.credentials):
            names = ", ".join(one.credential_id for one in spent)
            yield ServingIssue(
                provider.provider_id, f"its account is spent ({names})", "Top up the provider's account."
            )
    if provider.discovery.stale:
        yield ServingIssue(
            provider.provider_id,
            f"its list of models could not be read: {provider.discovery.detail}",
            "`palyra providers discover` asks for it now; discover = false where it has none.",
        )
