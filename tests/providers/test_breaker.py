"""The breaker of a provider: what opens it, who may try it out, what closes it; and a machine beside a plain model."""

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from palyra.core.clock import ManualClock
from palyra.providers.breaker import Breaker, BreakerSettings, BreakerState, Permit

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class Bench:
    """A breaker on a clock turned by hand, with what it told of itself."""

    def __init__(self, **settings: float) -> None:
        self.clock = ManualClock()
        self.told: list[BreakerState] = []
        self.breaker = Breaker(self.clock, BreakerSettings(**settings), self.told.append)  # type: ignore[arg-type]

    def enter(self) -> Permit:
        permit = self.breaker.enter()
        assert permit is not None
        return permit

    def fails(self, times: int = 1) -> None:
        for _ in range(times):
            self.enter().fail()

    def succeeds(self, times: int = 1) -> None:
        for _ in range(times):
            self.enter().succeed()

    def opened(self) -> "Bench":
        self.fails(3)
        assert self.breaker.state is OPEN
        return self


def test_three_failures_open_it_and_the_cooldown_lets_one_try() -> None:
    bench = Bench().opened()
    assert bench.breaker.enter() is None
    assert bench.breaker.retry_after_s == 30
    bench.clock.tick(29.999)
    assert (bench.breaker.enter(), bench.breaker.state) == (None, OPEN)
    bench.clock.tick(0.001)
    assert (bench.breaker.state, bench.breaker.retry_after_s) == (HALF_OPEN, 0)
    probe = bench.enter()
    assert (probe.probe, bench.breaker.enter(), bench.breaker.admits) == (True, None, False)
    probe.succeed()
    assert (bench.breaker.state, bench.breaker.failures) == (CLOSED, 0)
    assert bench.told == [OPEN, HALF_OPEN, CLOSED]


def test_failures_that_lie_further_apart_than_the_window_do_not_add_up() -> None:
    bench = Bench()
    for _ in range(10):
        bench.fails(2)
        bench.clock.tick(30)
    assert (bench.breaker.state, bench.breaker.failures, bench.told) == (CLOSED, 0, [])
    bench.fails(2)
    bench.clock.tick(29.9)
    assert bench.breaker.failures == 2
    bench.fails()
    assert bench.breaker.state is OPEN


@pytest.mark.parametrize(("good", "state"), [(3, OPEN), (4, CLOSED)])
def test_failures_must_be_half_of_what_was_sent(good: int, state: BreakerState) -> None:
    bench = Bench()
    bench.succeeds(good)
    bench.fails(3)
    assert bench.breaker.state is state


def test_good_dispatches_that_left_the_window_protect_nobody() -> None:
    bench = Bench()
    bench.succeeds(100)
    bench.clock.tick(30)
    bench.fails(3)
    assert bench.breaker.state is OPEN


def test_each_probe_that_fails_doubles_the_cooldown_up_to_its_cap() -> None:
    bench = Bench().opened()
    for cooldown in (30, 60, 120, 240, 300, 300):
        assert bench.breaker.retry_after_s == cooldown
        bench.clock.tick(cooldown - 0.5)
        assert bench.breaker.enter() is None
        bench.clock.tick(0.5)
        bench.fails()
        assert bench.breaker.state is OPEN
    bench.clock.tick(300)
    bench.succeeds()
    bench.opened()
    assert bench.breaker.retry_after_s == 30


def test_a_probe_that_is_cancelled_frees_its_place() -> None:
    bench = Bench().opened()
    bench.clock.tick(30)
    bench.enter().free()
    assert bench.breaker.state is HALF_OPEN
    assert bench.enter().probe


def test_what_was_sent_before_it_opened_says_nothing_of_it_now() -> None:
    bench = Bench()
    before = [bench.enter() for _ in range(4)]
    bench.opened()
    before[0].fail()
    assert bench.breaker.retry_after_s == 30
    bench.clock.tick(30)
    probe = bench.enter()
    before[1].succeed()
    assert (bench.breaker.state, bench.breaker.admits) == (HALF_OPEN, False)
    before[2].fail()
    assert bench.breaker.state is HALF_OPEN
    probe.succeed()
    before[3].fail()
    assert (bench.breaker.state, bench.breaker.failures) == (CLOSED, 0)


def test_a_passage_ends_once() -> None:
    bench = Bench()
    permit = bench.enter()
    permit.fail()
    permit.fail()
    permit.succeed()
    assert bench.breaker.failures == 1


def test_only_a_plain_passage_of_a_closed_breaker_is_good_for_a_retry() -> None:
    bench = Bench()
    waiting = bench.enter()
    assert waiting.good
    bench.opened()
    assert not waiting.good
    bench.clock.tick(30)
    assert not bench.enter().good


def test_other_settings_hold_from_the_next_failure_on() -> None:
    bench = Bench()
    bench.fails(2)
    bench.breaker.configure(BreakerSettings(failures=2, cooldown_s=5))
    bench.succeeds(1)
    assert bench.breaker.state is CLOSED
    bench.fails()
    assert (bench.breaker.state, bench.breaker.retry_after_s) == (OPEN, 5)
    bench.breaker.configure(BreakerSettings(cooldown_s=100))
    assert bench.breaker.retry_after_s == 5


class BreakerMachine(RuleBasedStateMachine):
    """Beside a model that keeps every dispatch there ever was, and works everything out from the rules each time."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.open: list[Permit] = []
        self.model = CLOSED
        self.ended: list[tuple[float, bool]] = []
        """Dispatches that ended while it was closed, since it last closed."""
        self.cooldown = 30.0
        self.until = 0.0
        self.current: set[int] = set()
        """Passages of the era it is in, by identity."""

    @property
    def now(self) -> float:
        return self.bench.clock.monotonic()

    def turn(self, state: BreakerState) -> None:
        self.model = state
        self.current.clear()
        if state is OPEN:
            self.until = self.now + self.cooldown
        elif state is CLOSED:
            self.ended.clear()

    def look(self) -> None:
        if self.model is OPEN and self.now >= self.until:
            self.turn(HALF_OPEN)

    @rule(seconds=st.sampled_from([0.001, 1.0, 9.999, 10.0, 29.999, 30.0, 60.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.clock.tick(seconds)

    @rule()
    def somebody_comes(self) -> None:
        self.look()
        allowed = self.model is CLOSED or (self.model is HALF_OPEN and not self.current)
        assert self.bench.breaker.admits is allowed
        permit = self.bench.breaker.enter()
        assert (permit is not None) is allowed
        if permit is not None:
            assert permit.probe is (self.model is HALF_OPEN)
            self.open.append(permit)
            self.current.add(id(permit))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), how=st.sampled_from(["succeed", "fail", "fail", "free"]))
    def one_ends(self, data: st.DataObject, how: str) -> None:
        permit = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.look()
        counts = id(permit) in self.current
        self.current.discard(id(permit))
        getattr(permit, how)()
        if not counts or how == "free":
            return
        if permit.probe:
            if how == "succeed":
                self.cooldown = 30.0
                self.turn(CLOSED)
            else:
                self.cooldown = min(300.0, 2 * self.cooldown)
                self.turn(OPEN)
            return
        self.ended.append((self.now, how == "fail"))
        recent = [failed for at, failed in self.ended if at > self.now - 30]
        if how == "fail" and sum(recent) >= 3 and 2 * sum(recent) >= len(recent):
            self.turn(OPEN)

    @invariant()
    def both_agree(self) -> None:
        self.look()
        breaker = self.bench.breaker
        assert breaker.state is self.model
        left = self.until - self.now if self.model is OPEN else 0.0
        assert breaker.retry_after_s == pytest.approx(left)
        if self.model is CLOSED:
            assert breaker.failures == sum(failed for at, failed in self.ended if at > self.now - 30)

    @invariant()
    def one_probe_at_most_is_under_way(self) -> None:
        if self.bench.breaker.state is HALF_OPEN:
            assert len(self.current) <= 1


TestBreakerMachine = BreakerMachine.TestCase
