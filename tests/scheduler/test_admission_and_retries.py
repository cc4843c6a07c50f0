"""What happens to a slot while a fire is active, and after an attempt has ended."""

import pytest

from palyra.journal.job_rows import FireState
from palyra.providers.errors import ErrorClass
from palyra.scheduler.admission import Admission, Occupied, admit
from palyra.scheduler.retrying import AttemptEnd, Verdict, after_attempt
from tests.scheduler.rows import T0, a_fire, a_job

ACTIVE, WAITING = Occupied(active=True), Occupied(active=True, waiting=1)


@pytest.mark.parametrize("policy", ["forbid", "queue", "replace"])
@pytest.mark.parametrize("manual", [True, False])
def test_nothing_active_starts(policy: str, manual: bool) -> None:
    assert admit(policy, Occupied(), manual=manual) == (Admission.START, "")


@pytest.mark.parametrize(
    ("policy", "occupied", "manual", "becomes"),
    [
        ("forbid", ACTIVE, False, (Admission.SKIP, "concurrency_forbid")),
        ("forbid", ACTIVE, True, (Admission.SKIP, "concurrency_forbid")),
        ("queue", ACTIVE, False, (Admission.WAIT, "")),
        ("queue", WAITING, False, (Admission.COALESCE, "")),
        ("queue", ACTIVE, True, (Admission.WAIT, "")),
        ("queue", WAITING, True, (Admission.SKIP, "concurrency_queue_full")),
        ("replace", ACTIVE, False, (Admission.REPLACE, "")),
        ("replace", WAITING, False, (Admission.COALESCE, "")),
        ("replace", ACTIVE, True, (Admission.REPLACE, "")),
        ("forbid", Occupied(True, 3, True), False, (Admission.WAIT, "")),
        ("forbid", Occupied(True, 4, True), False, (Admission.COALESCE, "")),
        ("forbid", Occupied(True, 1, True), True, (Admission.SKIP, "concurrency_forbid")),
    ],
)
def test_while_a_fire_is_active(policy: str, occupied: Occupied, manual: bool, becomes: tuple[Admission, str]) -> None:
    assert admit(policy, occupied, manual=manual) == becomes


RETRIED = [
    "rate_limited",
    "transient_upstream",
    "network_unavailable",
    "provider_timeout",
    "malformed_response",
    "run_timeout",
    "interrupted",
    "internal_error",
    "journal_unavailable",
]


@pytest.mark.parametrize("reason", RETRIED)
def test_what_may_pass_is_tried_again_while_attempts_remain(reason: str) -> None:
    job = a_job(max_attempts=3, backoff_ms=1_000)
    end = AttemptEnd("failed", reason)
    assert after_attempt(job, a_fire(attempts=1), end, T0) == Verdict(FireState.BACKOFF, reason, T0 + 1_000)
    assert after_attempt(job, a_fire(attempts=2), end, T0) == Verdict(FireState.BACKOFF, reason, T0 + 2_000)
    assert after_attempt(job, a_fire(attempts=3), end, T0) == Verdict(FireState.FAILED, reason)


@pytest.mark.parametrize("reason", sorted({one.value for one in ErrorClass} - set(RETRIED)))
def test_any_other_failure_is_final(reason: str) -> None:
    found = after_attempt(a_job(max_attempts=3), a_fire(attempts=1), AttemptEnd("failed", reason), T0)
    assert found == Verdict(FireState.FAILED, reason)


def test_waits_double_up_to_an_hour() -> None:
    job = a_job(max_attempts=16, backoff_ms=60_000)
    found = [
        after_attempt(job, a_fire(attempts=number), AttemptEnd("failed", "rate_limited"), 0).retry_at
        for number in range(1, 16)
    ]
    assert found[:7] == [60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000]
    assert set(found[7:]) == {3_600_000}


def test_no_place_at_a_provider_is_no_attempt_as_long_as_the_job_may_take() -> None:
    job = a_job(max_duration=60_000)
    fire = a_fire(attempts=1, dispatched_at=T0)
    end = AttemptEnd("failed", "deferred")
    assert after_attempt(job, fire, end, T0 + 1) == Verdict(FireState.BACKOFF, "deferred", T0 + 5_001, counted=False)
    assert after_attempt(job, fire, end, T0 + 55_000).state is FireState.BACKOFF
    assert after_attempt(job, fire, end, T0 + 55_001) == Verdict(FireState.FAILED, "deferred")


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        (AttemptEnd("completed", "stop"), Verdict(FireState.COMPLETED, "stop")),
        (AttemptEnd("refused", "budget_exceeded"), Verdict(FireState.DENIED, "budget_exceeded")),
        (AttemptEnd("cancelled", "by_operator"), Verdict(FireState.CANCELLED, "by_operator")),
        (AttemptEnd("cancelled", "replaced"), Verdict(FireState.CANCELLED, "replaced")),
        (AttemptEnd("cancelled", "parent_cancelled"), Verdict(FireState.CANCELLED, "parent_cancelled")),
        (
            AttemptEnd("cancelled", "engine_stopping"),
            Verdict(FireState.PENDING, "engine_stopping", counted=False),
        ),
        (AttemptEnd("cancelled", "self_healing"), Verdict(FireState.BACKOFF, "self_healing", T0 + 1_000)),
        (AttemptEnd("failed", "model_not_found"), Verdict(FireState.FAILED, "model_not_found")),
    ],
)
def test_other_ends(end: AttemptEnd, verdict: Verdict) -> None:
    assert after_attempt(a_job(max_attempts=2), a_fire(attempts=1), end, T0) == verdict


def test_a_hung_run_without_attempts_left_has_stalled() -> None:
    end = AttemptEnd("cancelled", "self_healing")
    assert after_attempt(a_job(), a_fire(attempts=1), end, T0) == Verdict(FireState.FAILED, "stalled")
