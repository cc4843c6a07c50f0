"""The price book of a configuration."""

from palyra.config.model import LoadedConfig
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.providers.registry import Registry


def price_book(config: LoadedConfig, registry: Registry) -> PriceBook:
    """The operator's rows, what is declared free, and the package, for the providers of a configuration."""
    return PriceBook(config.pricing, priced_providers(registry), free_models(registry))


def priced_providers(registry: Registry) -> dict[str, PricedProvider]:
    """What pricing needs to know of every provider, by id."""
    return {
        one.id: PricedProvider(
            one.kind, one.base_url or None, one.pricing_provider, one.usage_dialect, one.trust_reported_cost
        )
        for one in registry.providers.values()
    }


def free_models(registry: Registry) -> frozenset[tuple[str, str]]:
    """Pairs of provider id and upstream name of the models that are declared free."""
    return frozenset((entry.provider, entry.upstream) for entry in registry.models if entry.free)
