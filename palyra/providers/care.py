"""Care for the providers of one engine: their health, their own lists of models, and who asks for them when."""

import logging

from palyra.core.clock import Clock
from palyra.core.events import Event, EventHub
from palyra.providers.breaker import Breakers
from palyra.providers.credentials import Credentials
from palyra.providers.discovery import Discovery, FetchPage
from palyra.providers.health import Health, HealthState
from palyra.providers.registry import Registry
from palyra.providers.upkeep import Upkeep
from palyra.providers.ways import AttemptEnd

log = logging.getLogger(__name__)


class ProviderCare:
    """Hears how attempts end and reads model lists with `fetch`; what it learns is in the registry and in events."""

    def __init__(
        self,
        registry: Registry,
        breakers: Breakers,
        credentials: Credentials,
        fetch: FetchPage,
        events: EventHub,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._events = events
        self._clock = clock
        self.health = Health(clock, breakers, credentials)
        self.discovery = Discovery(clock, fetch, self._listed)
        self.upkeep = Upkeep(
            clock=clock,
            providers=registry.providers.values,
            breakers=breakers,
            health=self.health,
            discovery=self.discovery,
            keep=credentials.keep,
            moved=self._moved,
        )

    def heard(self, end: AttemptEnd) -> None:
        """The end of an attempt at a provider."""
        self.health.heard(end)
        self.upkeep.heard(end)

    def healthy(self, provider_id: str) -> bool:
        """Whether a provider may be chosen where others would do."""
        return self.health.healthy(self._registry.providers[provider_id])

    def state(self, provider_id: str) -> HealthState:
        """How a provider does. Raises KeyError for one that is not configured."""
        return self.health.state(self._registry.providers[provider_id])

    def _listed(self, provider_id: str) -> None:
        if self._registry.providers[provider_id].discover:
            self._registry.learn(provider_id, self.discovery.of(provider_id).models)
        self._events.publish(Event("provider.models", self._clock.now_ms(), provider_id))

    def _moved(self, provider_id: str, state: HealthState) -> None:
        log.info("provider %s is %s", provider_id, state.value)
        self._events.publish(Event("provider.health", self._clock.now_ms(), provider_id, {"state": state.value}))
