"""Which way a call takes: over the network with the provider's credential, or to the built-in echo."""

from collections.abc import Mapping

from palyra.providers.entries import ModelEntry, ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.registry import Registry
from palyra.providers.upstream import Progress, Timeouts, Upstream, UpstreamCall, UpstreamReply
from palyra.providers.wires import Wire


class Carriers:
    """Every provider of a registry. `echoes` answer for the deterministic ones, by provider id."""

    def __init__(self, registry: Registry, network: Upstream, echoes: Mapping[str, Upstream]) -> None:
        self._registry = registry
        self._network = network
        self._echoes = echoes
        self._auth = {one.id: one.auth_headers() for one in registry.providers.values()}
        self._plain = {
            one.id: Timeouts(one.timeouts.connect, None, None, one.timeouts.total)
            for one in registry.providers.values()
        }

    async def send(
        self,
        entry: ModelEntry,
        wire: Wire,
        body: bytes,
        headers: Mapping[str, str],
        *,
        stream: bool,
        progress: Progress,
    ) -> UpstreamReply:
        """Raises ProviderError; auth_invalid, without network, where the provider has no usable credential."""
        provider = self._registry.provider_of(entry)
        if provider.missing_auth:
            raise ProviderError(
                ErrorClass.AUTH_INVALID,
                f"The provider {provider.id} has no credential: {provider.missing_auth}.",
                written=False,
            )
        call = UpstreamCall(
            wire=wire,
            provider=provider.id,
            url=provider.url(wire),
            headers={**headers, **self._auth[provider.id]},
            body=body,
            stream=stream,
            timeouts=provider.timeouts if stream else self._plain[provider.id],
        )
        return await self._carrier(provider).send(call, progress)

    def _carrier(self, provider: ProviderEntry) -> Upstream:
        return self._network if provider.on_network else self._echoes[provider.id]
