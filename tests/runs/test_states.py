import itertools

import pytest

from palyra.runs.states import IllegalMoveError, RunState, check_move

DRAWN = {
    ("pending", "running"),
    ("pending", "parked"),
    ("pending", "refused"),
    ("pending", "failed"),
    ("pending", "cancelled"),
    ("parked", "pending"),
    ("parked", "refused"),
    ("parked", "failed"),
    ("parked", "cancelled"),
    ("running", "completed"),
    ("running", "refused"),
    ("running", "failed"),
    ("running", "cancelled"),
}
A_REASON = {"completed": "stop", "failed": "interrupted", "cancelled": "client_gone", "refused": "budget_denied"}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(RunState, RunState)))
def test_only_the_drawn_moves_are_allowed(before: RunState, after: RunState) -> None:
    reason = A_REASON.get(after.value, "")
    if (before.value, after.value) in DRAWN:
        check_move(before, after, reason)
    else:
        with pytest.raises(IllegalMoveError):
            check_move(before, after, reason)


def test_a_terminal_state_needs_a_reason_of_its_own() -> None:
    with pytest.raises(IllegalMoveError, match="no reason"):
        check_move(RunState.RUNNING, RunState.COMPLETED, "client_gone")
