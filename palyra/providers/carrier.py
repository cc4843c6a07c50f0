"""Taking a governed body to the provider of its model, with that provider's address, credential and headers."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from palyra.config.choices import ModelProviderKind
from palyra.core.clock import Clock
from palyra.providers.credentials import Credential, Credentials, Unavailable
from palyra.providers.deterministic import DeterministicProvider
from palyra.providers.entries import ModelEntry, ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError, upstream_error
from palyra.providers.registry import Registry
from palyra.providers.upstream import Progress, Upstream, UpstreamCall, UpstreamReply
from palyra.providers.wires import ANTHROPIC_VERSION, Wire, passed_headers

MAX_LIST = 8 * 1024 * 1024
"""Bytes of the largest page of a model list that is read."""
LIST_S = 15.0
"""Seconds within which a page has to be there."""


class ProviderCarrier:
    """Everybody who can be asked: providers on the network through one transport, the others in this process."""

    def __init__(self, registry: Registry, network: Upstream, clock: Clock, credentials: Credentials) -> None:
        self._registry = registry
        self._network = network
        self._clock = clock
        self._credentials = credentials
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
        credential: Credential | None = None,
    ) -> UpstreamReply:
        """The head of the answer to a body that already names the provider's model, whatever its status.

        Of the caller's `headers` only those that may travel do. Without a `credential` the provider's next one is used.
        Raises ProviderError; a provider without a usable credential is auth_invalid, one whose credentials all rest
        after an error is rate_limited, and nothing is written.
        """
        provider = self._registry.provider_of(entry)
        chosen = credential or self._chosen(provider)
        url = provider.url(wire)
        return await self._sent(provider, wire, url, body, headers, chosen, stream=stream, progress=progress)

    async def count(self, entry: ModelEntry, body: bytes, headers: Mapping[str, str]) -> UpstreamReply | None:
        """The head of the answer to a prompt that is only to be counted; None where the provider counts nothing.

        Raises ProviderError.
        """
        provider = self._registry.provider_of(entry)
        url = provider.counting_url
        if not url:
            return None
        chosen = self._chosen(provider)
        return await self._sent(provider, Wire.MESSAGES, url, body, headers, chosen, stream=False, progress=Progress())

    async def list_models(self, provider: ProviderEntry, query: Mapping[str, str]) -> bytes:
        """One page of a provider's models; `query` says which. Raises ProviderError, also for an error status."""
        headers = {"accept": "application/json", **provider.auth_headers(self._chosen(provider))}
        if provider.kind is ModelProviderKind.ANTHROPIC:
            headers["anthropic-version"] = ANTHROPIC_VERSION
        within = min(LIST_S, provider.timeouts.total or LIST_S)
        call = UpstreamCall(
            wire=Wire.CHAT,
            provider=provider.id,
            url=f"{provider.models_url}?{urlencode(query)}" if query else provider.models_url,
            headers=headers,
            body=b"",
            stream=False,
            timeouts=replace(provider.timeouts, total=within),
            method="GET",
        )
        reply = await self._network.send(call, Progress())
        try:
            data = await reply.read(MAX_LIST)
        finally:
            reply.close()
        if not 200 <= reply.status < 300:
            raise upstream_error(reply.status, reply.headers, data, self._clock.now_ms(), provider.id)
        return data

    def _chosen(self, provider: ProviderEntry) -> Credential | None:
        chosen = self._credentials.choose(provider.id, self._clock.now_ms())
        if isinstance(chosen, Unavailable):
            raise _unusable(provider, chosen, self._clock.now_ms())
        return chosen

    async def _sent(
        self,
        provider: ProviderEntry,
        wire: Wire,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        credential: Credential | None,
        *,
        stream: bool,
        progress: Progress,
    ) -> UpstreamReply:
        call = UpstreamCall(
            wire=wire,
            provider=provider.id,
            url=url,
            headers={**passed_headers(headers, wire), **provider.auth_headers(credential)},
            body=body,
            stream=stream,
            timeouts=provider.timeouts,
        )
        upstream = self._network if provider.on_network else self._local[provider.id]
        return await upstream.send(call, progress)


def _unusable(provider: ProviderEntry, unavailable: Unavailable, now: int) -> ProviderError:
    """Why nothing was sent: somebody has to set a credential, or they rest until an instant that comes by itself."""
    if unavailable.until is None:
        message = f"The provider {provider.id} has no usable credential: {unavailable.detail}."
        return ProviderError(ErrorClass.AUTH_INVALID, message, written=False)
    message = f"Every credential of {provider.id} rests after an error."
    wait = max(0, unavailable.until - now)
    return ProviderError(ErrorClass.RATE_LIMITED, message, written=False, retry_after_ms=wait)
