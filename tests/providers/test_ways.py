"""Ways to providers: all of a way or nothing of it, given back whatever happens, and everybody hears of its end."""

import pytest

from palyra.core.clock import ManualClock
from palyra.core.redact import Secret
from palyra.journal.changes import Change
from palyra.providers.breaker import Breakers, BreakerSettings, BreakerState
from palyra.providers.credentials import Credentials, Offer, Pool, Unavailable, Why
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.leases import FOREGROUND, Lease, Leases, LeaseSettings
from palyra.providers.ways import AttemptEnd, Obstacle, Way, Ways

LOCAL = "echo"
BACKGROUND = "background_automation"


class Bench:
    """Ways with two credentials for one provider and one place at each, and a local provider."""

    def __init__(self, places: int = 2, credential_places: int = 1) -> None:
        self.clock = ManualClock()
        self.saved: list[Change] = []
        self.heard: list[AttemptEnd] = []
        self.turned: list[tuple[str, BreakerState]] = []
        self.breakers = Breakers(self.clock, BreakerSettings(), lambda one, state: self.turned.append((one, state)))
        self.credentials = Credentials(self.clock, self.saved.extend, lambda secret: secret.reveal()[-2:])
        offers = (Offer("one", Secret("sk-test-one-01")), Offer("two", Secret("sk-test-two-02")))
        self.credentials.configure({"acme": Pool(offers), "bare": Pool(detail="nothing is set"), LOCAL: Pool()})
        settings = LeaseSettings(places, places, credential_places, credential_places)
        self.leases = Leases(self.clock, settings)
        self.ways = Ways(
            breakers=self.breakers,
            credentials=self.credentials,
            leases=self.leases,
            clock=self.clock,
            local=LOCAL.__eq__,
            heard=self.heard.append,
        )

    def take(self, provider: str = "acme", task_class: str = FOREGROUND) -> Way:
        way = self.ways.take(provider, task_class)
        assert isinstance(way, Way)
        return way

    @property
    def in_use(self) -> int:
        return self.leases.of_provider("acme").in_use

    def fails(self, times: int = 3, status: int = 503) -> None:
        for _ in range(times):
            self.take().end(AttemptEnd("acme", error=failure(status)))


def failure(status: int | None = 503, wait_ms: int | None = None) -> ProviderError:
    error_class = {
        401: ErrorClass.AUTH_INVALID,
        429: ErrorClass.RATE_LIMITED,
        503: ErrorClass.TRANSIENT_UPSTREAM,
        400: ErrorClass.PERMANENT_UPSTREAM,
        None: ErrorClass.NETWORK_UNAVAILABLE,
    }[status]
    return ProviderError(error_class, "x", upstream_status=status, retry_after_ms=wait_ms)


def credential_of(way: Way) -> str:
    assert way.credential is not None
    return way.credential.id


def test_credentials_take_turns_and_places_are_given_back() -> None:
    bench = Bench()
    one, two = bench.take(), bench.take()
    assert [credential_of(one), credential_of(two), bench.in_use] == ["one", "two", 2]
    assert bench.ways.take("acme", FOREGROUND) is None
    one.end(AttemptEnd("acme", "one"))
    one.end(AttemptEnd("acme", "one", failure(401)))
    assert (bench.in_use, len(bench.heard)) == (1, 1)
    assert credential_of(bench.take()) == "one"


def test_what_is_not_sent_teaches_nobody_anything() -> None:
    bench = Bench()
    for _ in range(5):
        bench.take().unsent()
    assert (bench.in_use, bench.heard, bench.breakers.of("acme").failures) == (0, [], 0)


def test_an_open_breaker_takes_no_place() -> None:
    bench = Bench()
    bench.fails()
    assert bench.turned == [("acme", BreakerState.OPEN)]
    assert bench.ways.take("acme", FOREGROUND) is None
    assert bench.in_use == 0
    assert bench.ways.obstacle("acme") == Obstacle("breaker_open", 30_000)
    bench.clock.tick(30)
    probe = bench.take()
    assert bench.ways.obstacle("acme") == Obstacle("breaker_open", 1_000)
    probe.end(AttemptEnd("acme", "one", failure(400)))
    assert bench.breakers.of("acme").state is BreakerState.CLOSED


def test_an_answer_that_has_begun_lets_others_in_and_counts_like_any_when_it_breaks() -> None:
    bench = Bench()
    bench.fails()
    bench.clock.tick(30)
    probe = bench.take()
    probe.reached()
    assert bench.breakers.of("acme").state is BreakerState.CLOSED
    bench.take().unsent()
    probe.end(AttemptEnd("acme", error=failure(None)))
    assert (bench.breakers.of("acme").failures, bench.breakers.of("acme").state) == (1, BreakerState.CLOSED)
    probe.reached()
    assert [state for _, state in bench.turned] == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_an_answer_of_a_provider_that_is_well_says_nothing_early() -> None:
    bench = Bench()
    way = bench.take()
    permit = way.permit
    way.reached()
    assert way.permit is permit
    assert not permit.ended


@pytest.mark.parametrize("stopped", [True, False])
def test_a_probe_that_says_nothing_frees_its_place(stopped: bool) -> None:
    bench = Bench()
    bench.fails()
    bench.clock.tick(30)
    way = bench.take()
    never_sent = ProviderError(ErrorClass.AUTH_INVALID, "no credential", written=False)
    way.end(AttemptEnd("acme", unknown=True) if stopped else AttemptEnd("acme", error=never_sent))
    assert bench.breakers.of("acme").state is BreakerState.HALF_OPEN
    assert bench.take().permit.probe


def test_a_dispatch_counts_once_by_its_last_attempt() -> None:
    bench = Bench()
    for _ in range(3):
        first = bench.take()
        first.end(AttemptEnd("acme", error=failure(), last=False))
        second = bench.ways.take("acme", FOREGROUND, permit=first.permit)
        assert isinstance(second, Way)
        second.end(AttemptEnd("acme", error=failure(), last=False))
        assert bench.breakers.of("acme").failures == 0
        third = bench.ways.take("acme", FOREGROUND, permit=first.permit)
        assert isinstance(third, Way)
        third.end(AttemptEnd("acme"))
    assert (bench.breakers.of("acme").failures, bench.breakers.of("acme").state) == (0, BreakerState.CLOSED)


def test_a_retry_that_never_came_leaves_the_failure_before_it() -> None:
    bench = Bench()
    way = bench.take()
    way.end(AttemptEnd("acme", error=failure(), last=False))
    assert bench.breakers.of("acme").failures == 0
    way.leave()
    way.leave()
    assert bench.breakers.of("acme").failures == 1


def test_a_resting_credential_leaves_its_work_to_the_other() -> None:
    bench = Bench()
    way = bench.take()
    used = way.credential
    assert bench.ways.others(used)
    way.end(AttemptEnd("acme", "one", failure(429, 90_000)))
    assert bench.ways.obstacle("acme") is None
    other = bench.take()
    assert credential_of(other) == "two"
    assert not bench.ways.others(other.credential)
    other.end(AttemptEnd("acme", "two", failure(429)))
    assert bench.ways.obstacle("acme") == Obstacle("credential_cooling", 30_000)
    assert bench.ways.take("acme", FOREGROUND) == Unavailable(Why.COOLING_DOWN, bench.clock.now_ms() + 30_000)
    # The retry of who was told to wait goes on with what it had; cooling keeps others away.
    same = bench.ways.take("acme", FOREGROUND, same=other.credential)
    assert isinstance(same, Way)
    assert credential_of(same) == "two"
    assert bench.breakers.of("acme").failures == 0


def test_nobody_to_ask_with_is_an_obstacle_for_people() -> None:
    bench = Bench()
    found = bench.ways.obstacle("bare")
    assert found == Obstacle("unhealthy", None, "The provider bare has no usable credential: nothing is set.")
    for _ in range(2):
        bench.take().end(AttemptEnd("acme", error=failure(401)))
    refused = bench.ways.obstacle("acme")
    assert refused is not None
    assert (refused.code, refused.retry_after_ms) == ("unhealthy", None)
    assert "was refused by the provider" in refused.detail


def test_a_provider_of_this_process_needs_no_place() -> None:
    bench = Bench(places=1)
    ways = [bench.take(LOCAL) for _ in range(10)]
    assert [way.credential for way in ways] == [None] * 10
    assert bench.leases.of_provider(LOCAL).in_use == 0


async def test_a_place_that_was_waited_for_makes_a_way() -> None:
    bench = Bench(places=1)
    way = bench.take()
    assert bench.ways.take("acme", FOREGROUND) is None
    way.end(AttemptEnd("acme"))
    lease = await bench.ways.wait("acme", FOREGROUND)
    assert isinstance(lease, Lease)
    taken = bench.ways.take("acme", FOREGROUND, lease=lease)
    assert isinstance(taken, Way)
    assert (taken.lease, bench.in_use) == (lease, 1)


def test_limits_hear_who_said_that_there_was_too_much() -> None:
    bench = Bench()
    bench.leases.configure(LeaseSettings(4, 64, 4, 64))
    before = bench.leases.of_provider("acme").limit
    bench.take().end(AttemptEnd("acme", error=ProviderError(ErrorClass.TRANSIENT_UPSTREAM, "x", upstream_status=529)))
    assert bench.leases.of_provider("acme").limit == before // 2
