"""When a remedy may be begun by itself: tries, back-off, circuit."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.healing.guards import Guarded, Outcome, Tried, back_off, guarded
from palyra.healing.record import Attempt, AttemptStatus
from palyra.healing.remedies import BY_NAME
from tests.healing.stage import T0

CANCEL, REMIND = BY_NAME["cancel_run"], BY_NAME["remind_approvers"]
FAILED = Attempt(
    "a", "i", 1, "cancel_run", "r1", "runs", "auto", "auto", "b", T0, status=AttemptStatus.FAILED, ended_at=T0 + 5_000
)


def tried(*tries: Attempt, subject: tuple[Attempt, ...] = (), feature: tuple[int, ...] = (), until: int = 0) -> Tried:
    return Tried(tries, subject or tries, feature, until)


@pytest.mark.parametrize(
    ("given", "after", "found"),
    [
        (tried(), 0, Guarded(Outcome.GO)),
        (tried(FAILED), 29_999, Guarded(Outcome.WAIT, T0 + 30_000)),
        (tried(FAILED), 30_000, Guarded(Outcome.GO)),
        (tried(FAILED, FAILED), 59_999, Guarded(Outcome.WAIT, T0 + 60_000)),
        (tried(FAILED, FAILED), 60_000, Guarded(Outcome.GO)),
        (tried(FAILED, FAILED, FAILED), 3_600_000, Guarded(Outcome.CAPPED)),
        (tried(subject=(FAILED,) * 3), 599_999, Guarded(Outcome.CAPPED)),
        (tried(subject=(FAILED,) * 3), 600_000, Guarded(Outcome.GO)),
        (tried(replace(FAILED, status=AttemptStatus.RUNNING)), 3_600_000, Guarded(Outcome.OVER)),
        (tried(*[replace(FAILED, status=AttemptStatus.SKIPPED)] * 5), 0, Guarded(Outcome.GO)),
        (tried(feature=(T0,) * 9), 1, Guarded(Outcome.GO)),
        (tried(feature=(T0,) * 10), 1, Guarded(Outcome.CIRCUIT, T0 + 1 + 600_000)),
        (tried(feature=(T0,) * 10), 600_000, Guarded(Outcome.GO)),
        (tried(until=T0 + 100), 99, Guarded(Outcome.WAIT, T0 + 100)),
        (tried(until=T0 + 100), 100, Guarded(Outcome.GO)),
    ],
)
def test_a_remedy_waits_its_turn(given: Tried, after: int, found: Guarded) -> None:
    assert guarded(CANCEL, given, T0 + after) == found


def test_people_are_reminded_once() -> None:
    assert guarded(REMIND, tried(), T0).outcome is Outcome.GO
    assert guarded(REMIND, tried(FAILED), T0 + 3_600_000).outcome is Outcome.OVER


@given(st.integers(1, 40))
def test_waiting_doubles_up_to_ten_minutes(tries: int) -> None:
    assert back_off(tries) == min(30_000 * 2 ** (tries - 1), 600_000)
