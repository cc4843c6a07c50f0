"""A run's states, the moves between them and the closed reasons. Any other move is an error that changes nothing."""

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    PARKED = "parked"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.REFUSED})


class Phase(StrEnum):
    """Where a live run is."""

    PLAN = "plan"
    HOLD = "hold"
    PARK = "park"
    LEASE = "lease"
    DISPATCH = "dispatch"
    STREAM = "stream"
    SETTLE = "settle"


_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset(
        {RunState.RUNNING, RunState.PARKED, RunState.REFUSED, RunState.FAILED, RunState.CANCELLED}
    ),
    RunState.PARKED: frozenset({RunState.PENDING, RunState.REFUSED, RunState.FAILED, RunState.CANCELLED}),
    RunState.RUNNING: frozenset({RunState.COMPLETED, RunState.REFUSED, RunState.FAILED, RunState.CANCELLED}),
}

COMPLETED_REASONS = frozenset({"stop", "length", "stream_cut_budget", "tool_calls", "content_filter"})
FAILED_REASONS = frozenset(
    {
        "auth_expired",
        "auth_invalid",
        "quota_exceeded",
        "context_window_exceeded",
        "content_policy_blocked",
        "permission_denied",
        "rate_limited",
        "transient_upstream",
        "permanent_upstream",
        "malformed_response",
        "network_unavailable",
        "provider_timeout",
        "deferred",
        "run_timeout",
        "interrupted",
        "internal_error",
        "journal_unavailable",
    }
)
SELF_HEALING, ENGINE_STOPPING, PARENT_CANCELLED, REPLACED = (
    "self_healing",
    "engine_stopping",
    "parent_cancelled",
    "replaced",
)
CANCELLED_REASONS = frozenset(
    {"by_operator", "by_client", "client_gone", PARENT_CANCELLED, REPLACED, SELF_HEALING, ENGINE_STOPPING}
)
SPARES_CHILDREN = frozenset({ENGINE_STOPPING})
"""Reasons to cancel a run that leave the work below it alone: it waits for the next start."""
REFUSED_REASONS = frozenset({"budget_exceeded", "budget_denied", "budget_approval_required", "no_candidate"})

_REASONS = {
    RunState.COMPLETED: COMPLETED_REASONS,
    RunState.FAILED: FAILED_REASONS,
    RunState.CANCELLED: CANCELLED_REASONS,
    RunState.REFUSED: REFUSED_REASONS,
}


class IllegalMoveError(Exception):
    """A run was asked to make a move its state does not allow."""


def check_move(before: RunState, after: RunState, reason: str = "") -> None:
    """Raises IllegalMoveError unless `before -> after` is drawn and a terminal state has a reason of its own."""
    if after not in _MOVES.get(before, frozenset()):
        raise IllegalMoveError(f"a run cannot go from {before} to {after}")
    if after.terminal and reason not in _REASONS[after]:
        raise IllegalMoveError(f"{reason!r} is no reason for a run to be {after}")


def stopped_state(reason: str) -> RunState:
    """How a run ends that was asked to stop for a reason."""
    return RunState.FAILED if reason in FAILED_REASONS else RunState.CANCELLED
