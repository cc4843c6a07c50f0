"""Ways to providers: who can be asked now, what an attempt needs to be sent, and who hears of its end.

An attempt needs leave of its provider's breaker, a credential, and a place at both. All of it is taken in one step or
none, and given back with the attempt, whatever the outcome.
"""

from collections.abc import Callable

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.providers.breaker import Breakers, Permit
from palyra.providers.credentials import Choice, Credential, Credentials, Room, Unavailable, Why
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.leases import Lease, Leases, Outcome

BREAKER_OPEN, CREDENTIAL_COOLING, UNHEALTHY = "breaker_open", "credential_cooling", "unhealthy"
PROBE_TAKES_MS = 1_000
"""When to ask again while somebody tries a provider out."""
LIMITED = frozenset({429, 529})


@value
class Obstacle:
    """Why a provider cannot be asked now, as a reason code. `retry_after_ms` is None where waiting does not help, and
    then `detail` tells in words what has to be done."""

    code: str
    retry_after_ms: int | None = None
    detail: str = ""


@value
class AttemptEnd:
    """How an attempt ended, for whoever keeps count.

    `error` None: it succeeded, unless `unknown`: it was stopped before its provider had answered, or never sent.
    `first_byte_ms` is how long the first byte took, None where none came. `last`: its dispatch ends with it, otherwise
    the same model is asked once more. `model` is its public id; `number` says which attempt of its run it was.
    """

    provider: str
    credential: str = ""
    error: ProviderError | None = None
    first_byte_ms: int | None = None
    unknown: bool = False
    last: bool = True
    model: str = ""
    run_id: str = ""
    number: int = 0


def conclude(permit: Permit, end: AttemptEnd) -> None:
    """Tells a breaker what a dispatch came to, by its last attempt."""
    error = end.error
    if end.unknown or (error is not None and _never_sent(error)):
        permit.free()
    elif error is not None and error.counts_for_breaker:
        permit.fail()
    else:
        permit.succeed()


def _never_sent(error: ProviderError) -> bool:
    """Whether the provider had no part in it: no credential could be used."""
    return not error.written and error.error_class in (ErrorClass.AUTH_INVALID, ErrorClass.RATE_LIMITED)


class Way:
    """What one attempt was given. Ends once."""

    __slots__ = ("_ways", "came_to", "lease", "permit", "provider")

    def __init__(self, ways: "Ways", provider: str, lease: Lease, permit: Permit) -> None:
        self._ways = ways
        self.provider = provider
        self.lease = lease
        self.permit = permit
        self.came_to: AttemptEnd | None = None
        """How its attempt ended; None while it goes on."""

    @property
    def credential(self) -> Credential | None:
        """What the call goes out with; None where the provider wants nothing."""
        return self.lease.credential

    def reached(self) -> None:
        """Its provider answers, and the answer may go on for long. Where this tried the provider out, others may be
        sent there from now on, and what comes of the rest counts as of any other attempt."""
        if self.permit.probe and self.came_to is None:
            self.permit.succeed()
            self.permit = self._ways.breakers.of(self.provider).enter() or self.permit

    def end(self, end: AttemptEnd) -> None:
        """Gives everything back. The breaker hears of it where the dispatch ends with this attempt."""
        if self.came_to is None:
            self.came_to = end
            self._ways.hear(self, end)

    def unsent(self) -> None:
        """Nothing was sent this way."""
        self.end(AttemptEnd(self.provider, unknown=True))

    def leave(self) -> None:
        """The dispatch ends with the attempt that was made this way."""
        self.unsent()
        if self.came_to is not None:
            conclude(self.permit, self.came_to)


class Ways:
    """All ways of one engine. `local` tells which providers need no place; `heard` is told of every end, and
    `healthy` asked whether a provider may be chosen where others would do."""

    def __init__(
        self,
        *,
        breakers: Breakers,
        credentials: Credentials,
        leases: Leases,
        clock: Clock,
        local: Callable[[str], bool],
        healthy: Callable[[str], bool] = lambda provider: True,
        heard: Callable[[AttemptEnd], None] = lambda end: None,
    ) -> None:
        self.breakers = breakers
        self._credentials = credentials
        self._leases = leases
        self._clock = clock
        self._local = local
        self._healthy = healthy
        self._heard = heard

    def healthy(self, provider: str) -> bool:
        """Whether it may be chosen where others would do."""
        return self._healthy(provider)

    def obstacle(self, provider: str) -> Obstacle | None:
        """Why a provider cannot be asked now."""
        breaker = self.breakers.of(provider)
        if not breaker.admits:
            return Obstacle(BREAKER_OPEN, round(breaker.retry_after_s * 1000) or PROBE_TAKES_MS)
        now = self._clock.now_ms()
        unavailable = self._credentials.unavailable(provider, now)
        if unavailable is not None:
            if unavailable.until is not None:
                return Obstacle(CREDENTIAL_COOLING, max(0, unavailable.until - now))
            return Obstacle(UNHEALTHY, None, f"The provider {provider} has no usable credential: {unavailable.detail}.")
        return None

    def others(self, used: Credential | None) -> bool:
        """Whether a provider has another credential that may be used now."""
        return used is not None and self._credentials.spare(used, self._clock.now_ms())

    def take(
        self,
        provider: str,
        task_class: str,
        *,
        lease: Lease | None = None,
        permit: Permit | None = None,
        same: Credential | None = None,
    ) -> Way | Unavailable | None:
        """A way that is free now; None where a place has to be waited for, or somebody else tries the provider out.

        `lease` was waited for. A retry goes on with its dispatch's `permit`, and where every credential cools down with
        the `same` as before: cooling keeps others away from it.
        """
        if permit is None and not self.breakers.of(provider).admits:
            if lease is not None:
                lease.release()
            return None
        if lease is None:
            granted = self._granted(provider, task_class, same)
            if not isinstance(granted, Lease):
                return granted
            lease = granted
        entered = permit or self.breakers.of(provider).enter()
        assert entered is not None
        return Way(self, provider, lease, entered)

    async def wait(self, provider: str, task_class: str, *, same: Credential | None = None) -> Lease | Unavailable:
        """A place once it is this one's turn; Unavailable once the task class has waited long enough."""
        return await self._leases.acquire(provider, task_class, self._choice(provider, same))

    def _granted(self, provider: str, task_class: str, same: Credential | None) -> Lease | Unavailable | None:
        if self._local(provider):
            return Lease(None, provider, None, background=False)
        return self._leases.take(provider, task_class, self._choice(provider, same))

    def _choice(self, provider: str, same: Credential | None) -> Choice:
        def choose(room: Room) -> Credential | Unavailable | None:
            chosen = self._credentials.choose(provider, self._clock.now_ms(), room)
            if same is not None and isinstance(chosen, Unavailable) and chosen.why is Why.COOLING_DOWN:
                return same if room(same.id) else Unavailable(Why.NO_ROOM)
            return chosen

        return choose

    def hear(self, way: Way, end: AttemptEnd) -> None:
        """The end of a way, told once by the way itself."""
        error, credential = end.error, way.credential
        if credential is not None and not end.unknown:
            wait = None if error is None else error.retry_after_ms
            self._credentials.report(credential, None if error is None else error.error_class, wait)
        # The place goes on to who waits, who is not to get the credential that just failed.
        way.lease.release(_outcome(end))
        if not end.unknown:
            self._heard(end)
        if end.last:
            conclude(way.permit, end)


def _outcome(end: AttemptEnd) -> Outcome:
    if end.unknown:
        return Outcome.OTHER
    if end.error is None:
        return Outcome.SUCCESS
    return Outcome.LIMITED if end.error.upstream_status in LIMITED else Outcome.OTHER
