"""Providers are asked for their models when it is time to, which shows that they live and costs nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from palyra.config.choices import ModelProviderKind
from palyra.core.clock import ManualClock, Timer, settle_loop
from palyra.providers.breaker import Breakers, BreakerSettings, BreakerState
from palyra.providers.credentials import Credentials, Pool
from palyra.providers.discovery import Discovery
from palyra.providers.entries import ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.health import Health, HealthState
from palyra.providers.upkeep import Upkeep
from palyra.providers.ways import AttemptEnd

GONE = ProviderError(ErrorClass.NETWORK_UNAVAILABLE, "acme cannot be reached.")
BAD = ProviderError(ErrorClass.TRANSIENT_UPSTREAM, "acme answered 503.", upstream_status=503)


class Ward:
    """One provider that is looked after, whose list is answered by the test."""

    def __init__(
        self,
        pool: Pool | None = None,
        *,
        enabled: bool = True,
        probe: bool = True,
        discover: bool = True,
        clock: ManualClock | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.entry = ProviderEntry(
            "acme", ModelProviderKind.OPENAI_COMPATIBLE, enabled=enabled, probe=probe, discover=discover
        )
        self.error: ProviderError | None = None
        self.fault: Exception | None = None
        self.asked: list[float] = []
        self.gate: asyncio.Event | None = None
        self.kept = 0
        self.moves: list[str] = []
        self.breakers = Breakers(self.clock, BreakerSettings(), lambda provider, state: None)
        credentials = Credentials(self.clock, lambda changes: None, lambda secret: "f")
        credentials.configure({"acme": pool or Pool(required=False)})
        self.health = Health(self.clock, self.breakers, credentials)
        self.upkeep = Upkeep(
            clock=self.clock,
            providers=lambda: [self.entry],
            breakers=self.breakers,
            health=self.health,
            discovery=Discovery(self.clock, self._fetch),
            keep=self._keep,
            moved=lambda provider, state: self.moves.append(state.value),
        )

    async def _fetch(self, provider: ProviderEntry, query: Mapping[str, str]) -> bytes:
        self.asked.append(self.clock.monotonic())
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None or self.error is not None:
            raise self.fault or self.error or AssertionError
        return b'{"data": [{"id": "m"}]}'

    def _keep(self) -> None:
        self.kept += 1

    def end(self, error: ProviderError | None = None) -> None:
        end = AttemptEnd("acme", error=error)
        permit = self.breakers.of("acme").enter()
        if permit is not None:
            permit.succeed() if error is None else permit.fail()
        self.health.heard(end)
        self.upkeep.heard(end)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Ward"]:
        task = asyncio.create_task(self.upkeep.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert self.clock.waiting == 0


async def test_the_list_is_read_soon_after_the_start_and_every_five_minutes() -> None:
    async with Ward().running() as ward:
        await ward.clock.advance(0.999)
        assert ward.asked == []
        await ward.clock.advance(700)
        assert ward.asked == [1.0, 301.0, 601.0]
        assert ward.health.state(ward.entry) is HealthState.OK


class RestlessClock(ManualClock):
    """Moves on a little whenever it is read, as the system's does; who winds it up again and again ends."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.wound = 0

    def monotonic(self) -> float:
        self.read += 1
        return super().monotonic() + self.read / 1_000_000

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self.wound += 1
        assert self.wound < 1_000
        return super().call_later(seconds, callback)


async def test_time_that_passes_while_it_is_looked_at_puts_nobody_off() -> None:
    clock = RestlessClock()
    async with Ward(clock=clock).running() as ward:
        await clock.advance(700)
        assert [round(at) for at in ward.asked] == [1, 301, 601]
        assert clock.wound < 50


async def test_a_list_that_could_not_be_read_is_tried_again_after_a_minute() -> None:
    async with Ward(probe=False).running() as ward:
        ward.error = ProviderError(ErrorClass.PERMANENT_UPSTREAM, "404", upstream_status=404)
        await ward.clock.advance(62)
        assert ward.asked == [1.0, 61.0]
        ward.error = None
        await ward.clock.advance(200)
        assert ward.asked == [1.0, 61.0, 121.0]
        assert ward.health.state(ward.entry) is HealthState.OK


async def test_who_is_degraded_is_probed_every_minute_until_it_answers() -> None:
    async with Ward(discover=False).running() as ward:
        await ward.clock.advance(2)
        ward.error = GONE
        await ward.clock.advance(300)
        assert ward.asked == [1.0, 301.0]
        assert ward.health.state(ward.entry) is HealthState.DEGRADED
        await ward.clock.advance(120)
        assert ward.asked == [1.0, 301.0, 361.0, 421.0]
        ward.error = None
        await ward.clock.advance(60)
        assert ward.health.state(ward.entry) is HealthState.OK
        await ward.clock.advance(298)
        assert len(ward.asked) == 5
        assert ward.moves == ["ok", "degraded", "ok"]


async def test_who_serves_is_not_idle() -> None:
    async with Ward(discover=False).running() as ward:
        await ward.clock.advance(2)
        for _ in range(10):
            await ward.clock.advance(100)
            ward.end()
        assert ward.asked == [1.0]
        await ward.clock.advance(300)
        assert ward.asked == [1.0, ward.clock.monotonic()]


async def test_a_failure_has_the_provider_looked_at_within_a_minute() -> None:
    async with Ward(discover=False).running() as ward:
        await ward.clock.advance(200)
        ward.end(BAD)
        ward.end(BAD)
        await ward.clock.advance(1)
        assert ward.health.state(ward.entry) is HealthState.DEGRADED
        assert len(ward.asked) == 2


async def test_a_breaker_that_is_open_is_tried_out_by_the_list_when_its_time_has_come() -> None:
    async with Ward().running() as ward:
        await ward.clock.advance(50)
        for _ in range(3):
            ward.end(BAD)
        breaker = ward.breakers.of("acme")
        assert breaker.state is BreakerState.OPEN
        ward.error = GONE
        await ward.clock.advance(34)
        assert (ward.asked, breaker.state, breaker.admits) == ([1.0], BreakerState.HALF_OPEN, True)
        await ward.clock.advance(1)
        assert ward.asked == [1.0, 85.0]
        assert (breaker.state, breaker.retry_after_s) == (BreakerState.OPEN, 60.0)
        ward.error = None
        await ward.clock.advance(65)
        assert (ward.asked[-1], breaker.state) == (150.0, BreakerState.CLOSED)
        assert ward.moves[:2] == ["ok", "down"]


async def test_any_answer_closes_a_breaker_that_is_being_tried_out() -> None:
    async with Ward().running() as ward:
        await ward.clock.advance(2)
        for _ in range(3):
            ward.end(BAD)
        ward.error = ProviderError(ErrorClass.AUTH_INVALID, "401", upstream_status=401)
        await ward.clock.advance(35)
        assert ward.breakers.of("acme").state is BreakerState.CLOSED


async def test_a_list_says_nothing_to_a_breaker_that_is_closed() -> None:
    async with Ward().running() as ward:
        ward.error = GONE
        await ward.clock.advance(1)
        breaker = ward.breakers.of("acme")
        assert (ward.asked, breaker.state, breaker.failures) == ([1.0], BreakerState.CLOSED, 0)


async def test_a_probe_that_is_cancelled_frees_its_place() -> None:
    ward = Ward()
    async with ward.running():
        await ward.clock.advance(2)
        for _ in range(3):
            ward.end(BAD)
        ward.gate = asyncio.Event()
        await ward.clock.advance(35)
        breaker = ward.breakers.of("acme")
        assert (breaker.state, breaker.admits) == (BreakerState.HALF_OPEN, False)
    assert (breaker.state, breaker.admits) == (BreakerState.HALF_OPEN, True)


async def test_a_fault_while_it_is_asked_frees_its_place() -> None:
    ward = Ward()
    for _ in range(3):
        ward.end(BAD)
    await ward.clock.advance(35)
    breaker = ward.breakers.of("acme")
    ward.fault = RuntimeError("nobody thought of this")
    with pytest.raises(RuntimeError, match="nobody thought"):
        await ward.upkeep.ask(ward.entry)
    assert (breaker.state, breaker.admits) == (BreakerState.HALF_OPEN, True)


@pytest.mark.parametrize(
    "ward",
    [
        Ward(enabled=False),
        Ward(probe=False, discover=False),
        Ward(Pool(detail="no credential is set")),
    ],
    ids=["disabled", "neither", "missing_auth"],
)
async def test_who_is_not_to_be_asked_is_not(ward: Ward) -> None:
    async with ward.running():
        await ward.clock.advance(1000)
        assert ward.asked == []


async def test_an_operator_may_ask_at_any_time() -> None:
    ward = Ward(probe=False, discover=False)
    assert await ward.upkeep.ask(ward.entry) is None
    ward.error = GONE
    assert await ward.upkeep.ask(ward.entry) is GONE
    assert ward.health.state(ward.entry) is HealthState.DEGRADED


async def test_notes_are_kept_now_and_then() -> None:
    async with Ward(probe=False, discover=False).running() as ward:
        await ward.clock.advance(182)
        assert ward.kept == 3
        await settle_loop()
