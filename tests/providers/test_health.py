"""How a provider is judged by what its attempts come to, and that it recovers by itself."""

from collections.abc import Sequence

import pytest

from palyra.config.choices import ModelProviderKind
from palyra.core.clock import ManualClock
from palyra.core.redact import Secret
from palyra.providers.breaker import Breakers, BreakerSettings
from palyra.providers.credentials import Credential, Credentials, Offer, Pool
from palyra.providers.entries import ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.health import Health, HealthState, Latency, latency_label
from palyra.providers.ways import AttemptEnd

BAD = ProviderError(ErrorClass.TRANSIENT_UPSTREAM, "acme answered 503.", upstream_status=503)
THEIRS = ProviderError(ErrorClass.PERMANENT_UPSTREAM, "acme answered 400.", upstream_status=400)


class Ward:
    """One provider under observation."""

    def __init__(self, pool: Pool | None = None, *, enabled: bool = True) -> None:
        self.clock = ManualClock()
        self.entry = ProviderEntry("acme", ModelProviderKind.OPENAI_COMPATIBLE, enabled=enabled)
        self.breakers = Breakers(self.clock, BreakerSettings(failures=100), lambda provider, state: None)
        self.credentials = Credentials(self.clock, lambda changes: None, lambda secret: "f")
        self.credentials.configure({"acme": pool or Pool(required=False)})
        self.health = Health(self.clock, self.breakers, self.credentials)

    def end(
        self, error: ProviderError | None = None, *, times: int = 1, took: int | None = None, model: str = ""
    ) -> None:
        for _ in range(times):
            self.health.heard(AttemptEnd("acme", error=error, first_byte_ms=took, model=model))

    @property
    def state(self) -> str:
        return self.health.state(self.entry).value

    @property
    def rate(self) -> float:
        return self.health.report(self.entry).rate


def test_who_was_never_asked_is_unknown_and_counts_as_healthy() -> None:
    ward = Ward()
    assert (ward.state, ward.rate) == ("unknown", 1.0)
    assert ward.health.healthy(ward.entry)


@pytest.mark.parametrize(
    ("good", "bad", "state"),
    [
        (1, 0, "ok"),
        (0, 1, "ok"),
        (0, 2, "degraded"),
        (100, 1, "ok"),
        (100, 2, "ok"),
        (100, 4, "degraded"),
    ],
)
def test_what_part_of_the_latest_attempts_failed_decides(good: int, bad: int, state: str) -> None:
    ward = Ward()
    ward.end(times=good)
    ward.end(BAD, times=bad)
    assert ward.state == state
    assert ward.health.healthy(ward.entry) is (state == "ok")
    assert ward.health.troubled("acme") is (state == "degraded")


async def test_an_outcome_weighs_half_after_twenty_calls_or_a_minute() -> None:
    busy = Ward()
    busy.end(times=1000)
    busy.end(BAD, times=20)
    assert busy.rate == pytest.approx(0.5, abs=0.001)
    quiet = Ward()
    quiet.end(BAD, times=5)
    before = 1 - quiet.rate
    await quiet.clock.advance(60)
    assert 1 - quiet.rate == pytest.approx(before / 2)


async def test_without_new_outcomes_it_drifts_back_to_ok() -> None:
    ward = Ward()
    ward.end(BAD, times=50)
    assert ward.state == "degraded"
    await ward.clock.advance(600)
    assert (ward.state, round(ward.rate, 2)) == ("ok", 1.0)


async def test_failing_once_a_minute_is_degraded_all_the_same() -> None:
    ward = Ward()
    for _ in range(5):
        ward.end(BAD)
        await ward.clock.advance(60)
    ward.end(BAD)
    assert ward.state == "degraded"
    for _ in range(4):
        await ward.clock.advance(60)
        ward.end()
    assert ward.state == "ok"


def test_a_request_that_was_wrong_itself_says_nothing_of_the_provider() -> None:
    ward = Ward()
    ward.end(THEIRS, times=50)
    report = ward.health.report(ward.entry)
    assert (report.state, report.rate, report.last_error) == (HealthState.UNKNOWN, 1.0, "permanent_upstream")
    assert report.last_error_at == ward.clock.now_ms()


def test_what_is_told_to_be_wrong_is_what_made_it_so() -> None:
    ward = Ward()
    ward.end(BAD, times=3)
    ward.end(THEIRS)
    report = ward.health.report(ward.entry)
    assert (report.state, report.last_error) == (HealthState.DEGRADED, "permanent_upstream")
    assert "attempts failed (transient_upstream)" in report.detail


def test_a_dispatch_counts_once_by_its_last_attempt() -> None:
    ward = Ward()
    for _ in range(10):
        ward.health.heard(AttemptEnd("acme", error=BAD, last=False))
    assert ward.rate == 1.0
    ward.end(BAD)
    assert ward.rate < 1.0


async def test_down_is_a_breaker_that_is_not_closed() -> None:
    ward = Ward()
    ward.breakers.configure(BreakerSettings(failures=1))
    ward.end()
    permit = ward.breakers.of("acme").enter()
    assert permit is not None
    permit.fail()
    assert ward.state == "down"
    await ward.clock.advance(30)
    report = ward.health.report(ward.entry)
    assert (report.state, report.detail) == (HealthState.DOWN, "it failed too often: one request tries it out")


@pytest.mark.parametrize(
    ("ward", "state", "detail"),
    [
        (Ward(enabled=False), "disabled", "switched off in the configuration"),
        (Ward(Pool(detail="no credential is set")), "missing_auth", "no credential is set"),
        (Ward(Pool((Offer("k", Secret("the key of acme")),))), "unknown", ""),
    ],
)
def test_what_cannot_be_asked_is_told_first(ward: Ward, state: str, detail: str) -> None:
    report = ward.health.report(ward.entry)
    assert (report.state.value, report.detail) == (state, detail)


def test_a_refused_credential_leaves_nobody_to_ask_with() -> None:
    ward = Ward(Pool((Offer("k", Secret("the key of acme")),)))
    used = ward.credentials.choose("acme", 0)
    assert isinstance(used, Credential)
    ward.credentials.report(used, ErrorClass.AUTH_INVALID)
    assert ward.state == "missing_auth"
    assert ward.credentials.clear("acme", "k")
    assert ward.state == "unknown"


def test_the_built_in_provider_is_always_ok() -> None:
    ward = Ward()
    ward.entry = ProviderEntry("acme", ModelProviderKind.DETERMINISTIC, enabled=True)
    ward.end(BAD, times=100)
    assert ward.state == "ok"


def test_a_probe_that_could_not_be_sent_says_nothing() -> None:
    ward = Ward()
    ward.health.probed("acme", ProviderError(ErrorClass.AUTH_INVALID, "every one of them rests", written=False))
    assert ward.state == "unknown"


def test_a_probe_that_finds_nobody_degrades_until_somebody_answers() -> None:
    ward = Ward()
    gone = ProviderError(ErrorClass.NETWORK_UNAVAILABLE, "acme cannot be reached.")
    ward.health.probed("acme", gone)
    report = ward.health.report(ward.entry)
    assert report.state is HealthState.DEGRADED
    assert "network_unavailable" in report.detail
    ward.health.probed("acme", ProviderError(ErrorClass.PERMANENT_UPSTREAM, "404", upstream_status=404))
    assert ward.state == "ok"
    ward.health.probed("acme", gone)
    ward.end()
    assert ward.state == "ok"


@pytest.mark.parametrize(
    ("took", "p50", "label"),
    [
        ([100] * 4, None, "unknown"),
        ([100, 200, 300, 400, 500], 300, "low"),
        ([900, 1000, 1000, 1001, 9000], 1000, "low"),
        ([1001] * 5, 1001, "standard"),
        ([4000] * 5, 4000, "standard"),
        ([4001] * 6, 4001, "high"),
        ([9000] * 60 + [10] * 24, 9000, "high"),
        ([9000] * 60 + [10] * 25, 10, "low"),
        ([10] * 10 + [5000] * 50, 5000, "high"),
    ],
)
def test_the_median_of_the_latest_fifty_first_bytes(took: Sequence[int], p50: int | None, label: str) -> None:
    ward = Ward()
    for one in took:
        ward.end(took=one, model="acme/m")
    report = ward.health.report(ward.entry)
    assert (report.p50_ms, report.label.value) == (p50, label)
    assert ward.health.model_p50("acme", "acme/m") == p50
    assert ward.health.model_p50("acme", "acme/n") is None


def test_failures_and_plain_ends_teach_no_latency() -> None:
    ward = Ward()
    ward.end(BAD, times=9, took=5)
    ward.end(times=9)
    assert ward.health.report(ward.entry).p50_ms is None


def test_the_median_is_that_of_sorting() -> None:
    latency = Latency()
    kept: list[int] = []
    for number in range(200):
        took = number * 7919 % 61
        kept = [*kept, took][-50:]
        latency.add(took)
        assert latency.p50 == (sorted(kept)[(len(kept) - 1) // 2] if len(kept) >= 5 else None)
    assert latency_label(None).value == "unknown"
