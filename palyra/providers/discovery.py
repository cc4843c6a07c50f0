"""Asking providers for their models, and keeping what they said. Instants are unix ms, durations seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.providers.entries import ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.found import FoundModel, query_for, read_page

MOST_MODELS = 2_000
MOST_PAGES = 50
AGAIN_S = 60.0
"""After a failure it is tried again after so many seconds."""

FetchPage = Callable[[ProviderEntry, Mapping[str, str]], Awaitable[bytes]]
"""(provider, parameters) to the body of one page. Raises ProviderError."""


@value
class Listing:
    """A provider's own list. `at` is when it was read, None before the first time; `stale` since it could not be read
    again, for the reason in `error`."""

    models: tuple[FoundModel, ...] = ()
    at: int | None = None
    stale: bool = False
    error: str = ""


UNREAD = Listing()


class Discovery:
    """The model lists of all providers. `changed` hears of a provider whose list or its standing is another."""

    def __init__(self, clock: Clock, fetch: FetchPage, changed: Callable[[str], None] = lambda _: None) -> None:
        self._clock = clock
        self._fetch = fetch
        self._changed = changed
        self._lists: dict[str, Listing] = {}
        self._under_way: dict[str, asyncio.Future[ProviderError | None]] = {}

    def of(self, provider_id: str) -> Listing:
        """What is known of a provider's own list of models."""
        return self._lists.get(provider_id, UNREAD)

    async def refresh(self, provider: ProviderEntry) -> ProviderError | None:
        """Reads a provider's list now, or joins who is reading it; the error where it cannot be read.

        Of a failure the old list stays and is marked stale. Never raises but CancelledError.
        """
        if (reading := self._under_way.get(provider.id)) is not None:
            return await asyncio.shield(reading)
        reading = self._under_way[provider.id] = asyncio.get_running_loop().create_future()
        error: ProviderError | None = _interrupted(provider)
        try:
            error = await self._read(provider)
        finally:
            del self._under_way[provider.id]
            if not reading.done():
                reading.set_result(error)
        return error

    async def _read(self, provider: ProviderEntry) -> ProviderError | None:
        before = self.of(provider.id)
        try:
            models = await self._pages(provider)
        except ProviderError as error:
            after = Listing(before.models, before.at, stale=True, error=error.message)
            self._keep(provider.id, after)
            return error
        self._keep(provider.id, Listing(models, self._clock.now_ms()))
        return None

    def _keep(self, provider_id: str, listing: Listing) -> None:
        before = self.of(provider_id)
        self._lists[provider_id] = listing
        if (before.models, before.stale) != (listing.models, listing.stale):
            self._changed(provider_id)

    async def _pages(self, provider: ProviderEntry) -> tuple[FoundModel, ...]:
        found: dict[str, FoundModel] = {}
        after = ""
        for _ in range(MOST_PAGES):
            body = await self._fetch(provider, query_for(provider.kind, after))
            try:
                page = read_page(body)
            except ValueError as error:
                message = f"{provider.id} answered with something that is no list of models: {error}"
                raise ProviderError(ErrorClass.MALFORMED_RESPONSE, message) from error
            known = len(found)
            for model in page.models:
                found.setdefault(model.upstream, model)
            # A server that does not know how to go on sends its first page again.
            if not page.after or page.after == after or len(found) == known or len(found) >= MOST_MODELS:
                break
            after = page.after
        return tuple(found.values())[:MOST_MODELS]


def _interrupted(provider: ProviderEntry) -> ProviderError:
    return ProviderError(ErrorClass.NETWORK_UNAVAILABLE, f"Asking {provider.id} for its models was interrupted.")
