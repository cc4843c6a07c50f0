"""Taking a governed body to the provider of its model, with that provider's address, credential and headers."""

from collections.abc import Mapping

from palyra.core.clock import Clock
from palyra.providers.deterministic import DeterministicProvider
from palyra.providers.entries import ModelEntry, ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.registry import Registry
from palyra.providers.upstream import Progress, Upstream, UpstreamCall, UpstreamReply
from palyra.providers.wires import Wire, passed_headers


class ProviderCarrier:
    """Everybody who can be asked: providers on the network through one transport, the others in this process."""

    def __init__(self, registry: Registry, network: Upstream, clock: Clock) -> None:
        self._registry = registry
        self._network = network
        self._local = {
            entry.id: DeterministicProvider(clock, entry.script)
            for entry in registry.providers.values()
            if not entry.on_network
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
        """The head of the answer to a body that already names the provider's model, whatever its status.

        Of the caller's `headers` only those that may travel do. Raises ProviderError; a provider without a usable
        credential is auth_invalid and nothing is written.
        """
        provider = self._registry.provider_of(entry)
        if provider.missing_auth:
            raise _unusable(provider)
        call = UpstreamCall(
            wire=wire,
            provider=provider.id,
            url=provider.url(wire),
            headers={**passed_headers(headers, wire), **provider.auth_headers()},
            body=body,
            stream=stream,
            timeouts=provider.timeouts,
        )
        upstream = self._network if provider.on_network else self._local[provider.id]
        return await upstream.send(call, progress)


def _unusable(provider: ProviderEntry) -> ProviderError:
    message = f"The provider {provider.id} has no usable credential: {provider.missing_auth}."
    return ProviderError(ErrorClass.AUTH_INVALID, message, written=False)
