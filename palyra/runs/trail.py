"""What a run has tried so far, and what it may try next. Decides; sends and waits for nothing itself."""

from collections.abc import Mapping
from dataclasses import field

from palyra.core.values import value
from palyra.governance.candidates import Course
from palyra.governance.decision import ReasonCode, RoutingDecision
from palyra.journal.changes import Change
from palyra.providers.breaker import Permit
from palyra.providers.credentials import Credential
from palyra.providers.errors import ProviderError
from palyra.providers.leases import Lease
from palyra.providers.registry import ModelEntry
from palyra.providers.retry import TRANSPORT, RetryRule
from palyra.providers.ways import BREAKER_OPEN, CREDENTIAL_COOLING, UNHEALTHY, Way

ALREADY_TRIED = "already_tried"
LEASE_DEFERRED = ReasonCode.LEASE_DEFERRED.value
OUT_OF_REACH = frozenset({BREAKER_OPEN, CREDENTIAL_COOLING, UNHEALTHY, LEASE_DEFERRED})
"""Why a model that could serve cannot be asked now: another one may answer in its place."""


@value
class Traced:
    """One attempt that ended. `credential` is an id; `status` what the provider answered with, None where it did not;
    `error_class` is empty for one that succeeded or was stopped; `course` says why it was made, empty for a first."""

    number: int
    hold_id: str
    provider: str
    model: str
    credential: str
    error_class: str
    status: int | None
    first_byte_ms: int | None
    ms: int
    course: str

    def to_json(self) -> dict[str, str | int | None]:
        """As the journal keeps it with the run; times in ms."""
        return {
            "number": self.number,
            "hold_id": self.hold_id,
            "provider": self.provider,
            "model": self.model,
            "credential": self.credential,
            "class": self.error_class,
            "status": self.status,
            "first_byte_ms": self.first_byte_ms,
            "ms": self.ms,
            "course": self.course,
        }


@value
class Steer:
    """How the next plan is bound by what was tried: `only` this model on a retry; on a failover none that is `barred`
    (model ids, with the reason), and where an operator lists an `order`, only those. `shunned` providers could not be
    reached a moment ago: others are asked first."""

    course: Course = Course.FIRST
    only: ModelEntry | None = None
    barred: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    shunned: frozenset[str] = frozenset()


FREE = Steer()


def out_of_reach(decision: RoutingDecision, named: ModelEntry) -> str | None:
    """Why the model that was asked for cannot be asked now, where nothing but that keeps it from serving."""
    asked = next((one for one in decision.candidates if one.model == named.id), None)
    if asked is None or not asked.reasons or not OUT_OF_REACH.issuperset(asked.reasons):
        return None
    return asked.reasons[0]


@value
class FailoverSettings:
    """The `[failover]` keys."""

    enabled: bool = True
    max_candidates: int = 3


class Trail:
    """One run's. `failover`: whether another model may answer in the place of the one asked for."""

    def __init__(self, rule: RetryRule, settings: FailoverSettings, *, failover: bool) -> None:
        self._rule = rule
        self._settings = settings
        self._failover = failover and settings.enabled
        self.steer = FREE
        self.entry: ModelEntry | None = None
        """The model that is being tried."""
        self.error: ProviderError | None = None
        """What became of the last attempt."""
        self.dispatches = 0
        """Models that were asked."""
        self.retries = 0
        """On this model."""
        self.waited_s = 0.0
        self.unwritten: list[Change] = []
        """How attempts ended that nothing has written down so far."""
        self._order: tuple[str, ...] | None = None
        self._way: Way | None = None
        self._lease: Lease | None = None

    @property
    def retrying(self) -> bool:
        """Whether the next attempt goes where the last one went."""
        return self.steer.only is not None

    @property
    def permit(self) -> Permit | None:
        """The breaker's leave that a retry goes on with."""
        return self._way.permit if self.retrying and self._way is not None else None

    @property
    def credential(self) -> Credential | None:
        """What the attempt before used, for a retry."""
        return self._way.credential if self.retrying and self._way is not None else None

    # Places

    def keep(self, lease: Lease) -> None:
        """A place that was waited for."""
        self._lease = lease

    def claim(self, provider: str) -> Lease | None:
        """The place that was waited for, if it is at that provider; one elsewhere is given back."""
        lease, self._lease = self._lease, None
        if lease is not None and lease.provider_id != provider:
            lease.release()
            return None
        return lease

    def give_back(self) -> None:
        """The place that was waited for is not taken."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    # Attempts

    def goes(self, entry: ModelEntry, way: Way) -> None:
        """An attempt is made this way."""
        if not self.retrying:
            if self._way is not None:
                self._way.leave()
            self.entry = entry
            self.dispatches += 1
            if self._order is None:
                self._order = entry.failover
        self._way = way

    def next(self, error: ProviderError, *, elsewhere: bool) -> float | None:
        """Seconds until the next attempt is to be made; None: none is. `elsewhere`: another credential is there."""
        self.error = error
        assert self.entry is not None
        assert self._way is not None
        if error.upstream_status is not None and not error.counts_for_breaker:
            self._way.reached()
        delay = None
        if self._way.permit.good:
            delay = self._rule.delay_s(error, self.retries, self.waited_s, elsewhere=elsewhere)
        if delay is not None:
            self.retries += 1
            self.waited_s += delay
            second = self.steer.course in (Course.FAILOVER, Course.FAILOVER_RETRY)
            course = Course.FAILOVER_RETRY if second else Course.RETRY
            self.steer = Steer(course, self.entry, self.steer.barred, shunned=self.steer.shunned)
            return delay
        if error.failover and self.turn_from(self.entry, ALREADY_TRIED):
            return 0.0
        return None

    def turn_from(self, entry: ModelEntry, reason: str) -> bool:
        """Has the next plan look at other models than this one; False where no other may answer."""
        if not self._failover or self.dispatches >= self._settings.max_candidates:
            return False
        self.retries = 0
        order = entry.failover if self._order is None else self._order
        barred, shunned = {**self.steer.barred, entry.id: reason}, self.steer.shunned
        if reason == ALREADY_TRIED and self.error is not None and self.error.error_class in TRANSPORT:
            shunned |= {entry.provider}
        self.steer = Steer(Course.FAILOVER, None, barred, order, shunned)
        return True

    def leave(self) -> None:
        """The dispatch under way ends, by what its last attempt came to, and a place that nobody took is given back."""
        if self._way is not None:
            self._way.leave()
        self._way = None
        self.give_back()

    # Writing

    def endings(self) -> list[Change]:
        """What is unwritten, to be written now."""
        endings, self.unwritten = self.unwritten, []
        return endings
