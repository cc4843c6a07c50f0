"""How well each provider does, as far as attempts and probes have shown.

The observed rate is the part of attempts that did not fail, each weighing half as much after 20 further ones or after a
minute. As long as there are few of them, the calls that lack to ten count as if they had succeeded: so one failure
makes no provider degraded, and without new outcomes every rate drifts back to all is well.

A failure is one that says the provider itself is not well. Seconds are monotonic; instants for people are unix ms.
"""

from bisect import bisect_left, insort
from collections import deque
from enum import StrEnum

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.providers.breaker import Breakers, BreakerState
from palyra.providers.credentials import Credentials
from palyra.providers.entries import ProviderEntry
from palyra.providers.errors import ProviderError
from palyra.providers.ways import AttemptEnd

HALVED_AFTER_CALLS = 20
HALVED_AFTER_S = 60.0
DEGRADED_BELOW = 0.90
ASSUMED_CALLS = 10
"""The fewest calls a rate is made of; those that lack count as successes."""

LATENCIES_KEPT = 50
LATENCIES_NEEDED = 5
LOW_MS, STANDARD_MS = 1_000, 4_000
MODELS_KEPT = 1_024
"""Callers may name models that nobody declared: of how many the latency is remembered."""


class HealthState(StrEnum):
    """How a provider does."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"
    MISSING_AUTH = "missing_auth"
    DISABLED = "disabled"


class LatencyLabel(StrEnum):
    """How fast a provider is, in one word."""

    LOW = "low"
    STANDARD = "standard"
    HIGH = "high"
    UNKNOWN = "unknown"


def latency_label(p50_ms: int | None) -> LatencyLabel:
    """low up to a second, standard up to four, high above; unknown where no median is known."""
    if p50_ms is None:
        return LatencyLabel.UNKNOWN
    if p50_ms <= LOW_MS:
        return LatencyLabel.LOW
    return LatencyLabel.STANDARD if p50_ms <= STANDARD_MS else LatencyLabel.HIGH


class Latency:
    """The newest times to a first byte, ms, and their median (the lower one of an even number)."""

    __slots__ = ("_newest", "_sorted")

    def __init__(self) -> None:
        self._newest: deque[int] = deque()
        self._sorted: list[int] = []

    def add(self, took_ms: int) -> None:
        """Counts a call that took so many ms; the oldest of LATENCIES_KEPT makes room."""
        if len(self._newest) == LATENCIES_KEPT:
            del self._sorted[bisect_left(self._sorted, self._newest.popleft())]
        self._newest.append(took_ms)
        insort(self._sorted, took_ms)

    @property
    def p95(self) -> int | None:
        """None while fewer than five are known."""
        return self._sorted[(len(self._sorted) - 1) * 95 // 100] if len(self._sorted) >= LATENCIES_NEEDED else None

    @property
    def p50(self) -> int | None:
        """None while fewer than five are known."""
        return self._sorted[(len(self._sorted) - 1) // 2] if len(self._sorted) >= LATENCIES_NEEDED else None


@value
class HealthReport:
    """One provider. `rate` is the observed part of successes, 0 to 1; `detail` says what is wrong, empty if nothing.
    `seen`: anything was heard of it; `last_message` is what its last error said."""

    state: HealthState
    rate: float
    p50_ms: int | None
    label: LatencyLabel
    last_error: str = ""
    last_error_at: int | None = None
    detail: str = ""
    p95_ms: int | None = None
    last_success_at: int | None = None
    last_message: str = ""
    seen: bool = False


class _Record:
    """What was seen of one provider."""

    __slots__ = (
        "at",
        "calls",
        "cause",
        "last_error",
        "last_error_at",
        "last_message",
        "latency",
        "probe_failed",
        "seen",
        "succeeded_at",
        "successes",
    )

    def __init__(self, now_s: float) -> None:
        self.at = now_s
        """When the weights were true."""
        self.calls = 0.0
        self.successes = 0.0
        self.seen = False
        self.probe_failed = False
        """Whether the newest probe found nobody, and nothing has succeeded since."""
        self.latency = Latency()
        self.cause = ""
        """The class of the newest failure that says the provider is not well."""
        self.last_error = ""
        self.last_error_at: int | None = None
        self.last_message = ""
        self.succeeded_at: int | None = None

    def count(self, success: bool, now_s: float) -> None:
        fade = self._fade(now_s) * 0.5 ** (1 / HALVED_AFTER_CALLS)
        self.calls = self.calls * fade + 1
        self.successes = self.successes * fade + success
        self.at = now_s

    def rate(self, now_s: float) -> float:
        fade = self._fade(now_s)
        calls, successes = self.calls * fade, self.successes * fade
        return (max(0.0, ASSUMED_CALLS - calls) + successes) / max(ASSUMED_CALLS, calls)

    def _fade(self, now_s: float) -> float:
        return float(0.5 ** ((now_s - self.at) / HALVED_AFTER_S))


class Health:
    """The health of every provider. Reading it changes nothing and waits for nobody."""

    def __init__(self, clock: Clock, breakers: Breakers, credentials: Credentials) -> None:
        self._clock = clock
        self._breakers = breakers
        self._credentials = credentials
        self._records: dict[str, _Record] = {}
        self._models: dict[tuple[str, str], Latency] = {}

    def heard(self, end: AttemptEnd) -> None:
        """The end of an attempt. A dispatch counts once, by its last one."""
        record = self._record(end.provider)
        error = end.error
        if error is None:
            record.seen = True
            record.probe_failed = False
            if not end.unknown:
                record.succeeded_at = self._clock.now_ms()
            if end.first_byte_ms is not None:
                record.latency.add(end.first_byte_ms)
                self._latency_of(end.provider, end.model).add(end.first_byte_ms)
        else:
            self._note(record, error)
        if not end.last:
            return
        if error is None or error.counts_for_breaker:
            record.seen = True
            record.count(error is None, self._clock.monotonic())

    def probed(self, provider_id: str, error: ProviderError | None) -> None:
        """What asking for the list of models came to. Any answer that is no failure of its own shows that it lives."""
        record = self._record(provider_id)
        record.seen = record.seen or error is None or error.written
        record.probe_failed = error is not None and error.counts_for_breaker
        if error is not None and record.probe_failed:
            self._note(record, error)

    def state(self, provider: ProviderEntry) -> HealthState:
        """How a provider does by now."""
        now = self._clock.monotonic()
        record = self._records.get(provider.id)
        return self._judged(provider, record, 1.0 if record is None else record.rate(now))[0]

    def healthy(self, provider: ProviderEntry) -> bool:
        """Whether a provider is as good as any; one nobody knows is."""
        return self.state(provider) in (HealthState.OK, HealthState.UNKNOWN)

    def troubled(self, provider_id: str) -> bool:
        """Whether it is degraded or down, so that it is looked at more often."""
        record = self._records.get(provider_id)
        if self._breakers.of(provider_id).state is not BreakerState.CLOSED:
            return True
        return record is not None and (record.probe_failed or record.rate(self._clock.monotonic()) < DEGRADED_BELOW)

    def report(self, provider: ProviderEntry) -> HealthReport:
        """How a provider does and why: success rate in 0 to 1, latency in ms."""
        record = self._record(provider.id)
        rate = record.rate(self._clock.monotonic())
        state, detail = self._judged(provider, record, rate)
        p50 = record.latency.p50
        return HealthReport(
            state,
            rate,
            p50,
            latency_label(p50),
            record.last_error,
            record.last_error_at,
            detail,
            record.latency.p95,
            record.succeeded_at,
            record.last_message,
            record.seen,
        )

    def model_p50(self, provider_id: str, model: str) -> int | None:
        """The median time to the first byte of a model, by its public id; None while fewer than five are known."""
        latency = self._models.get((provider_id, model))
        return None if latency is None else latency.p50

    def _judged(self, provider: ProviderEntry, record: _Record | None, rate: float) -> tuple[HealthState, str]:
        if not provider.enabled:
            return HealthState.DISABLED, "switched off in the configuration"
        if missing := self._credentials.missing(provider.id, self._clock.now_ms()):
            return HealthState.MISSING_AUTH, missing
        if not provider.on_network:
            return HealthState.OK, ""
        breaker = self._breakers.of(provider.id)
        if breaker.state is not BreakerState.CLOSED:
            told = "nothing is sent for a while" if breaker.state is BreakerState.OPEN else "one request tries it out"
            return HealthState.DOWN, f"it failed too often: {told}"
        if record is None:
            return HealthState.UNKNOWN, ""
        if record.probe_failed:
            return HealthState.DEGRADED, f"it did not answer when last asked ({record.cause})"
        if rate < DEGRADED_BELOW:
            return HealthState.DEGRADED, f"{100 * (1 - rate):.0f} % of its latest attempts failed ({record.cause})"
        return (HealthState.OK if record.seen else HealthState.UNKNOWN), ""

    def _record(self, provider_id: str) -> _Record:
        record = self._records.get(provider_id)
        if record is None:
            record = self._records[provider_id] = _Record(self._clock.monotonic())
        return record

    def _latency_of(self, provider_id: str, model: str) -> Latency:
        latency = self._models.get((provider_id, model))
        if latency is None:
            if len(self._models) >= MODELS_KEPT:
                del self._models[next(iter(self._models))]
            latency = self._models[provider_id, model] = Latency()
        return latency

    def _note(self, record: _Record, error: ProviderError) -> None:
        record.last_error = error.error_class.value
        record.last_message = error.message
        if error.counts_for_breaker:
            record.cause = record.last_error
        record.last_error_at = self._clock.now_ms()
