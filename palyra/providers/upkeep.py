"""Looking after providers in the background: their model lists, and probes of those that are unwell or idle.

Both are the same question, for which no provider charges: what models are there?
"""

import asyncio
from collections.abc import Callable, Collection

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.providers.breaker import Breakers, BreakerState, Permit
from palyra.providers.discovery import AGAIN_S, Discovery
from palyra.providers.entries import ProviderEntry
from palyra.providers.errors import ProviderError
from palyra.providers.health import Health, HealthState
from palyra.providers.ways import AttemptEnd, conclude

FIRST_S = 1.0
"""How long after the start providers are first asked: who only looks in briefly asks nobody."""
TROUBLED_S = 60.0
IDLE_S = 300.0
GRACE_S = 5.0
"""For so long a breaker that lets one try waits for a request before a model list is its probe."""
KEEP_S = 60.0
"""How often it is written down when each credential was used last."""


@value
class Asked:
    """What came of asking a provider for its models: when (unix ms), how long it took, and what failed."""

    at: int
    took_ms: int
    error: ProviderError | None


class Upkeep:
    """Asks providers when it is time to. `moved` hears of a provider whose health is another."""

    def __init__(
        self,
        *,
        clock: Clock,
        providers: Callable[[], Collection[ProviderEntry]],
        breakers: Breakers,
        health: Health,
        discovery: Discovery,
        keep: Callable[[], None],
        moved: Callable[[str, HealthState], None] = lambda provider, state: None,
    ) -> None:
        self._clock = clock
        self._providers = providers
        self._breakers = breakers
        self._health = health
        self._discovery = discovery
        self._keep = keep
        self._moved = moved
        self._asked: dict[str, float] = {}
        """When each was asked last, monotonic seconds."""
        self.newest: dict[str, Asked] = {}
        """What each was last found to be when it was asked."""
        self._failed: dict[str, bool] = {}
        """Whether it could not be asked then."""
        self._heard: dict[str, float] = {}
        """When an attempt at each ended last."""
        self._shut: dict[str, float] = {}
        """Until when its breaker was seen to keep everybody out, and the grace after it."""
        self._states: dict[str, HealthState] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled; whoever is being asked then is let go."""
        try:
            await self._clock.sleep(FIRST_S)
            while True:
                self._ask_due()
                self._tell_moved()
                await self._nap()
                self._keep()
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def heard(self, end: AttemptEnd) -> None:
        """The end of an attempt: who serves is not idle, and who fails is looked at soon."""
        self._heard[end.provider] = self._clock.monotonic()
        if end.error is not None and end.error.counts_for_breaker:
            self._wake.set()

    async def ask(self, provider: ProviderEntry) -> ProviderError | None:
        """Asks a provider for its models now: what it says is its list, that it says anything a sign of life."""
        permit = self._breakers.of(provider.id).enter()
        began = self._asked[provider.id] = self._clock.monotonic()
        try:
            error = await self._discovery.refresh(provider)
        except BaseException:
            if permit is not None:
                permit.free()
            raise
        self._asked[provider.id] = self._clock.monotonic()
        self._failed[provider.id] = error is not None
        took = round((self._clock.monotonic() - began) * 1000)
        self.newest[provider.id] = Asked(self._clock.now_ms(), took, error)
        self._health.probed(provider.id, error)
        if permit is not None:
            _conclude(permit, provider.id, error)
        self._tell_moved()
        return error

    def due(self, provider: ProviderEntry, now: float) -> float | None:
        """At which monotonic second, seen from `now`, a provider is to be asked next; None for one that is never asked.

        A breaker that is open lets nobody through, so its provider is asked once it lets one try and nobody came.
        """
        if not provider.enabled or not provider.on_network or not (provider.probe or provider.discover):
            return None
        asked = self._asked.get(provider.id)
        breaker = self._breakers.of(provider.id)
        if not breaker.admits:
            self._shut[provider.id] = now + breaker.retry_after_s + GRACE_S
            return self._shut[provider.id]
        waits = self._shut.get(provider.id, now)
        if asked is None or (provider.probe and breaker.state is not BreakerState.CLOSED):
            return waits
        times: list[float] = []
        if provider.discover:
            times.append(asked + (AGAIN_S if self._failed.get(provider.id) else provider.discovery_ttl_s))
        if provider.probe:
            quiet = max(asked, self._heard.get(provider.id, asked))
            times.append(asked + TROUBLED_S if self._health.troubled(provider.id) else quiet + IDLE_S)
        return min(times)

    def _ask_due(self) -> None:
        now = self._clock.monotonic()
        for provider in self._providers():
            due = self.due(provider, now)
            if due is None or due > now or provider.id in self._asking:
                continue
            if self._health.state(provider) is HealthState.MISSING_AUTH:
                self._asked[provider.id] = now
                continue
            task = asyncio.create_task(self._asked_once(provider), name=f"palyra:ask:{provider.id}")
            self._asking[provider.id] = task

    async def _asked_once(self, provider: ProviderEntry) -> None:
        try:
            await self.ask(provider)
        finally:
            del self._asking[provider.id]
            self._wake.set()

    async def _nap(self) -> None:
        """Sleeps until somebody is due, or something happened that may change who is."""
        now = self._clock.monotonic()
        waiting = (one for one in self._providers() if one.id not in self._asking)
        dues = [due for one in waiting if (due := self.due(one, now)) is not None]
        self._wake.clear()
        seconds = max(0.0, min([now + KEEP_S, *dues]) - now)
        timer = self._clock.call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _tell_moved(self) -> None:
        for provider in self._providers():
            state = self._health.state(provider)
            before = self._states.get(provider.id)
            self._states[provider.id] = state
            if before is not None and before is not state:
                self._moved(provider.id, state)


def _conclude(permit: Permit, provider_id: str, error: ProviderError | None) -> None:
    """A model list says something to a breaker that is trying its provider out, and else nothing."""
    if permit.probe:
        conclude(permit, AttemptEnd(provider_id, error=error))
    else:
        permit.free()
