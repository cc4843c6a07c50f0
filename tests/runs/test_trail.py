"""What a run may try next: so often the same model, then others, so many of them, and never two ways at once."""

from typing import Any

import pytest

from palyra.config.choices import ModelProviderKind
from palyra.core.clock import ManualClock
from palyra.governance.candidates import Course
from palyra.providers.breaker import Breakers, BreakerSettings, BreakerState
from palyra.providers.credentials import Credentials
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.leases import FOREGROUND, Lease, Leases, LeaseSettings
from palyra.providers.registry import ModelEntry
from palyra.providers.retry import RetryRule, RetrySettings
from palyra.providers.ways import AttemptEnd, Way, Ways
from palyra.runs.trail import FailoverSettings, Trail


def model(name: str, **fields: Any) -> ModelEntry:
    return ModelEntry(f"{name}/m", name, ModelProviderKind.OPENAI_COMPATIBLE, "m", **fields)


A, B, C = model("a"), model("b"), model("c")
DOWN = ProviderError(ErrorClass.TRANSIENT_UPSTREAM, "x", upstream_status=503)
GONE = ProviderError(ErrorClass.PERMANENT_UPSTREAM, "x", upstream_status=404)
BAD = ProviderError(ErrorClass.PERMANENT_UPSTREAM, "x", upstream_status=400)


class Bench:
    """A trail with real ways; chance always draws the most."""

    def __init__(self, retries: int = 1, failover: bool = True, **settings: Any) -> None:
        self.clock = ManualClock()
        self.breakers = Breakers(self.clock, BreakerSettings(), lambda provider, state: None)
        self.leases = Leases(self.clock, LeaseSettings())
        credentials = Credentials(self.clock, lambda changes: None, lambda secret: "")
        self.ways = Ways(
            breakers=self.breakers,
            credentials=credentials,
            leases=self.leases,
            clock=self.clock,
            local=lambda provider: False,
        )
        rule = RetryRule(RetrySettings(retries), max)
        self.trail = Trail(rule, FailoverSettings(**settings), failover=failover)

    def fails(self, entry: ModelEntry, error: ProviderError = DOWN) -> float | None:
        """One attempt on a model, and when the next is due."""
        trail = self.trail
        way = self.ways.take(entry.provider, FOREGROUND, lease=trail.claim(entry.provider), permit=trail.permit)
        assert isinstance(way, Way)
        trail.goes(entry, way)
        pause = trail.next(error, elsewhere=False)
        way.end(AttemptEnd(entry.provider, error=error, last=pause is None or not trail.retrying))
        return pause

    @property
    def failures(self) -> dict[str, int]:
        return {name: self.breakers.of(name).failures for name in "abc"}


@pytest.mark.parametrize(("status", "again"), [(429, 0.15), (408, 0.15), (503, 0.0)])
def test_one_that_tries_a_provider_out_and_finds_it_is_tried_again(status: int, again: float) -> None:
    bench = Bench()
    breaker = bench.breakers.of("a")
    for _ in range(3):
        permit = breaker.enter()
        assert permit is not None
        permit.fail()
    bench.clock.tick(30)
    error_class = ErrorClass.RATE_LIMITED if status == 429 else ErrorClass.TRANSIENT_UPSTREAM
    assert bench.fails(A, ProviderError(error_class, "x", upstream_status=status)) == again
    assert breaker.state is (BreakerState.CLOSED if again else BreakerState.OPEN)
    assert bench.trail.retrying is bool(again)


@pytest.mark.parametrize(
    ("error_class", "shunned"),
    [
        (ErrorClass.NETWORK_UNAVAILABLE, {"a"}),
        (ErrorClass.PROVIDER_TIMEOUT, {"a"}),
        (ErrorClass.TRANSIENT_UPSTREAM, set()),
        (ErrorClass.MALFORMED_RESPONSE, set()),
    ],
)
def test_a_provider_that_could_not_be_reached_is_shunned(error_class: ErrorClass, shunned: set[str]) -> None:
    bench = Bench(retries=0)
    assert bench.fails(A, ProviderError(error_class, "x")) == 0.0
    assert bench.trail.steer.shunned == shunned
    assert bench.fails(B, DOWN) == 0.0
    assert bench.trail.steer.shunned == shunned


def test_the_same_model_again_then_others_then_nobody() -> None:
    bench = Bench(max_candidates=2)
    trail = bench.trail
    assert (trail.steer.course, trail.retrying) == (Course.FIRST, False)
    assert bench.fails(A) == 0.15
    assert (trail.steer.course, trail.steer.only, trail.permit is not None) == (Course.RETRY, A, True)
    assert bench.fails(A) == 0.0
    assert (trail.steer.course, trail.steer.only, trail.steer.barred) == (
        Course.FAILOVER,
        None,
        {"a/m": "already_tried"},
    )
    assert trail.permit is None
    assert bench.fails(B) == 0.15
    assert (trail.steer.course, trail.steer.only) == (Course.FAILOVER_RETRY, B)
    assert bench.fails(B) is None
    trail.leave()
    assert (trail.dispatches, bench.failures) == (2, {"a": 1, "b": 1, "c": 0})
    assert trail.waited_s == 0.3


def test_what_the_caller_did_wrong_is_wrong_everywhere() -> None:
    bench = Bench()
    assert bench.fails(A, BAD) is None
    assert bench.trail.error is BAD


def test_a_model_that_is_not_there_is_asked_once() -> None:
    bench = Bench()
    assert bench.fails(A, GONE) == 0.0
    assert bench.trail.steer.course is Course.FAILOVER


def test_without_failover_only_retries_follow() -> None:
    for bench in (Bench(failover=False), Bench(enabled=False)):
        assert bench.fails(A) == 0.15
        assert bench.fails(A) is None
        assert not bench.trail.turn_from(A, "breaker_open")


def test_an_operators_list_is_that_of_the_model_first_asked() -> None:
    bench = Bench(retries=0)
    first = model("a", failover=("c/m", "b/m"))
    assert bench.fails(first) == 0.0
    assert bench.trail.steer.order == ("c/m", "b/m")
    assert bench.fails(model("c", failover=("z/m",))) == 0.0
    assert bench.trail.steer.order == ("c/m", "b/m")
    assert bench.trail.steer.barred == {"a/m": "already_tried", "c/m": "already_tried"}


def test_out_of_reach_is_no_candidate_that_was_tried() -> None:
    bench = Bench(retries=0, max_candidates=1)
    assert bench.trail.turn_from(A, "breaker_open")
    assert bench.trail.steer.barred == {"a/m": "breaker_open"}
    assert bench.fails(B) is None
    assert bench.trail.dispatches == 1


def test_a_probe_is_not_repeated() -> None:
    bench = Bench(retries=2)
    for _ in range(3):
        permit = bench.breakers.of("a").enter()
        assert permit is not None
        permit.fail()
    bench.clock.tick(30)
    assert bench.fails(A) == 0.0
    assert bench.trail.steer.course is Course.FAILOVER
    assert not bench.breakers.of("a").admits


def test_waits_add_up_over_models() -> None:
    bench = Bench(retries=10, max_candidates=3)
    slow = ProviderError(ErrorClass.TRANSIENT_UPSTREAM, "x", upstream_status=503, retry_after_ms=10_000)
    assert [bench.fails(A, slow) for _ in range(3)] == [10.0, 10.0, 10.0]
    assert bench.fails(A, slow) == 0.0
    assert bench.fails(B, slow) == 0.0
    assert bench.trail.waited_s == 30.0


async def test_a_place_elsewhere_is_given_back() -> None:
    bench = Bench()
    lease = await bench.ways.wait("a", FOREGROUND)
    assert isinstance(lease, Lease)
    bench.trail.keep(lease)
    assert bench.trail.claim("b") is None
    assert bench.leases.of_provider("a").in_use == 0
    again = await bench.ways.wait("a", FOREGROUND)
    assert isinstance(again, Lease)
    bench.trail.keep(again)
    assert bench.trail.claim("a") is again
    bench.trail.keep(again)
    bench.trail.leave()
    assert bench.leases.of_provider("a").in_use == 0


def test_a_run_that_ends_in_mid_air_gives_everything_back() -> None:
    bench = Bench()
    way = bench.ways.take("a", FOREGROUND)
    assert isinstance(way, Way)
    bench.trail.goes(A, way)
    bench.trail.leave()
    assert (way.permit.ended, bench.leases.of_provider("a").in_use, bench.failures["a"]) == (True, 0, 0)
