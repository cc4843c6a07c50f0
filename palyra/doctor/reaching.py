"""Asking over the network: providers for their models, and the services that probes look at."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from palyra.core.clock import Clock
from palyra.doctor.installation import Installation, Online, Reached
from palyra.doctor.reading_secrets import credentials_of

if TYPE_CHECKING:
    from palyra.config.operations import ProbeConfig
    from palyra.providers.discovery import Discovery
    from palyra.providers.entries import ProviderEntry

LONGEST_S = 20.0
"""For the whole list of one provider."""
LISTS_NONE = frozenset({404, 405, 410, 501})
"""Statuses of those who answer and have no list of models."""

Look = Callable[["ProbeConfig"], Awaitable[str]]
"""Makes one check of a probe; why it failed, empty where it did not."""


async def ask_network(found: Installation, clock: Clock, look: Look) -> Online:
    """Raises NothingToReadError where the configuration cannot be had, NotReadError where credentials cannot."""
    from palyra.providers.carrier import ProviderCarrier
    from palyra.providers.discovery import Discovery
    from palyra.providers.registry import Registry
    from palyra.providers.transport import Transport

    config = found.config()
    registry = Registry.from_config(config)
    transport = Transport(clock, registry.refuses_address)
    try:
        carrier = ProviderCarrier(registry, transport, clock, credentials_of(found, config))
        discovery = Discovery(clock, carrier.list_models)
        providers = [one for one in registry.providers.values() if one.enabled and one.on_network]
        probes = [one for one in config.probes if one.enabled]
        reached = await asyncio.gather(*(_listed(one, discovery, clock) for one in providers))
        looked = await asyncio.gather(*(_looked(one, look) for one in probes))
    finally:
        await transport.close()
    return Online(tuple(reached), tuple(looked))


async def _listed(provider: "ProviderEntry", discovery: "Discovery", clock: Clock) -> Reached:
    try:
        async with clock.timeout(LONGEST_S):
            error = await discovery.refresh(provider)
    except TimeoutError:
        return Reached(provider.id, f"no answer within {LONGEST_S:g} s")
    if error is None or error.upstream_status in LISTS_NONE:
        return Reached(provider.id)
    return Reached(provider.id, error.message)


async def _looked(probe: "ProbeConfig", look: Look) -> Reached:
    return Reached(probe.id, await look(probe), critical=probe.critical)
