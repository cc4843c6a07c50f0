"""A provider's breaker: after failures in a row nobody is sent there for a while, then one request tries it out.

A dispatch counts once, by its last attempt. Only what says that the provider itself is not well is a failure; any
answer, whatever its status below 500, shows that it can be reached.
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from palyra.core.clock import Clock
from palyra.core.values import value


class BreakerState(StrEnum):
    """Closed lets calls through, open none, half-open one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@value
class BreakerSettings:
    """The `[breaker]` keys. Seconds; `ratio` is the part of all dispatches in the window that failures must make up."""

    failures: int = 3
    ratio: float = 0.5
    window_s: float = 30.0
    cooldown_s: float = 30.0
    cooldown_cap_s: float = 300.0


class Permit:
    """Leave to send one dispatch. Ends once: by what it came to, or freed where that says nothing of the provider."""

    __slots__ = ("_breaker", "ended", "era", "probe")

    def __init__(self, breaker: "Breaker", era: int, *, probe: bool) -> None:
        self._breaker = breaker
        self.era = era
        self.probe = probe
        self.ended = False

    @property
    def good(self) -> bool:
        """Whether the same dispatch may be tried once more: a probe may not, nor may one the breaker has cut off."""
        return not self.ended and not self.probe and self._breaker.era == self.era

    def succeed(self) -> None:
        """The provider was reached."""
        self._end(failed=False)

    def fail(self) -> None:
        """The provider is not well."""
        self._end(failed=True)

    def free(self) -> None:
        """It was cancelled, or nothing was sent: the next request may go in its place."""
        self._end(failed=None)

    def _end(self, *, failed: bool | None) -> None:
        if not self.ended:
            self.ended = True
            self._breaker.hear(self, failed)


class Breaker:
    """One provider's. Every question is answered for this instant of the monotonic clock; nothing waits.

    `changed` hears of every change of state, when it is first noticed.
    """

    def __init__(self, clock: Clock, settings: BreakerSettings, changed: Callable[[BreakerState], None]) -> None:
        self._clock = clock
        self._settings = settings
        self._changed = changed
        self._state = BreakerState.CLOSED
        self._cooldown_s = settings.cooldown_s
        self._open_until = 0.0
        self._probing = False
        self._ended: deque[tuple[float, bool]] = deque()
        """When dispatches ended, and whether they failed; those within the window."""
        self._failures = 0
        self.opened_total = 0
        self.opened_since_s: float | None = None
        """When it opened last without having closed since, monotonic seconds."""
        self.era = 0
        """Grows with every change of state: what was sent in an earlier one says nothing of this one."""

    @property
    def state(self) -> BreakerState:
        """Its state by now: an open one turns half-open once its time is over."""
        if self._state is BreakerState.OPEN and self._clock.monotonic() >= self._open_until:
            self._turn(BreakerState.HALF_OPEN)
        return self._state

    @property
    def failures(self) -> int:
        """Dispatches within the window that failed."""
        self._forget()
        return self._failures

    @property
    def retry_after_s(self) -> float:
        """Seconds until it lets a request try; 0 where one may go now, or where a probe is under way."""
        return max(0.0, self._open_until - self._clock.monotonic()) if self.state is BreakerState.OPEN else 0.0

    @property
    def admits(self) -> bool:
        """Whether a request may be sent now."""
        state = self.state
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not self._probing)

    def enter(self) -> Permit | None:
        """Leave to send a dispatch; None where nobody may. A half-open breaker lets exactly one through."""
        if not self.admits:
            return None
        probe = self._state is BreakerState.HALF_OPEN
        self._probing = probe
        return Permit(self, self.era, probe=probe)

    @property
    def probing(self) -> bool:
        """Whether a request tries the provider out."""
        return self._probing

    @property
    def cooldown_s(self) -> float:
        """For how long it opens next, or is open."""
        return self._cooldown_s

    @property
    def settings(self) -> BreakerSettings:
        """When it opens and for how long."""
        return self._settings

    def configure(self, settings: BreakerSettings) -> None:
        """Other `[breaker]` keys. A breaker that is open stays so for as long as it was going to."""
        self._settings = settings
        if self._state is BreakerState.CLOSED:
            self._cooldown_s = settings.cooldown_s

    def hear(self, permit: Permit, failed: bool | None) -> None:
        """How a permit ended, told once by the permit itself."""
        if permit.era != self.era:
            return
        if permit.probe:
            self._probing = False
            if failed:
                self._cooldown_s = min(self._cooldown_s * 2, self._settings.cooldown_cap_s)
                self._open()
            elif failed is not None:
                self._cooldown_s = self._settings.cooldown_s
                self._turn(BreakerState.CLOSED)
        elif failed is not None:
            self._count(failed)

    def _count(self, failed: bool) -> None:
        self._forget()
        self._ended.append((self._clock.monotonic(), failed))
        self._failures += failed
        settings = self._settings
        enough = self._failures >= settings.failures and self._failures >= settings.ratio * len(self._ended)
        if failed and enough:
            self._open()

    def _open(self) -> None:
        self._open_until = self._clock.monotonic() + self._cooldown_s
        self.opened_total += 1
        if self.opened_since_s is None:
            self.opened_since_s = self._clock.monotonic()
        self._turn(BreakerState.OPEN)

    def _turn(self, state: BreakerState) -> None:
        self._state = state
        self.era += 1
        if state is BreakerState.CLOSED:
            self._ended.clear()
            self._failures = 0
            self.opened_since_s = None
        self._changed(state)

    def _forget(self) -> None:
        since = self._clock.monotonic() - self._settings.window_s
        while self._ended and self._ended[0][0] <= since:
            _, failed = self._ended.popleft()
            self._failures -= failed


class Breakers:
    """Every provider's breaker, made when it is first asked for. `changed` hears of which provider's state, and what it
    is."""

    def __init__(self, clock: Clock, settings: BreakerSettings, changed: Callable[[str, BreakerState], None]) -> None:
        self._clock = clock
        self._settings = settings
        self._changed = changed
        self._breakers: dict[str, Breaker] = {}

    def of(self, provider_id: str) -> Breaker:
        """The breaker of a provider, made where there is none."""
        breaker = self._breakers.get(provider_id)
        if breaker is None:
            breaker = Breaker(self._clock, self._settings, partial(self._changed, provider_id))
            self._breakers[provider_id] = breaker
        return breaker

    def configure(self, settings: BreakerSettings) -> None:
        """Other `[breaker]` keys, for all of them."""
        self._settings = settings
        for breaker in self._breakers.values():
            breaker.configure(settings)
