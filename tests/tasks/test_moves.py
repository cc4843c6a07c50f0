"""What may become of a task: every state and every move, drawn or refused; back-off; what an attempt's end means."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.errors import BadInputError
from palyra.journal.task_rows import TaskRow, TaskState, Waits
from palyra.runs.background import PromptResult
from palyra.tasks import moves
from palyra.tasks.ends import Interrupted, after, finalised
from palyra.tasks.moves import WrongStateError
from tests.journal.samples import a_run, ended
from tests.tasks.stage import T0

NOW = T0 + 50_000
LEASED = {"boot_id": "b", "worker_id": "w", "lease_until": NOW + 1}
DONE = {"finished_at": T0}


def a_task(state: TaskState = TaskState.QUEUED, **changes: Any) -> TaskRow:
    row = TaskRow("t1", 5, "summary", "cli", state, "ann", "s", T0, T0, not_before=T0, fence=2)
    more: dict[str, Any] = LEASED if state.leased else DONE if state.terminal else {}
    return replace(row, **{**more, **changes})


MOVES: dict[str, tuple[Callable[[TaskRow], TaskRow], dict[TaskState, TaskState]]] = {
    "claim": (lambda row: moves.claim(row, NOW, "b2", "w2"), {TaskState.QUEUED: TaskState.RUNNING}),
    "pause": (lambda row: moves.pause(row, NOW, "why"), {TaskState.QUEUED: TaskState.PAUSED}),
    "resume": (lambda row: moves.resume(row, NOW), {TaskState.PAUSED: TaskState.QUEUED}),
    "cancel": (
        lambda row: moves.cancel(row, NOW),
        {
            TaskState.QUEUED: TaskState.CANCELLED,
            TaskState.PAUSED: TaskState.CANCELLED,
            TaskState.RUNNING: TaskState.CANCEL_REQUESTED,
            TaskState.CANCEL_REQUESTED: TaskState.CANCEL_REQUESTED,
        },
    ),
    "confirm": (lambda row: moves.confirm_cancel(row, NOW), {TaskState.CANCEL_REQUESTED: TaskState.CANCELLED}),
    "retry": (
        lambda row: moves.retry(row, NOW),
        dict.fromkeys((TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED), TaskState.QUEUED),
    ),
    "priority": (
        lambda row: moves.prioritise(row, NOW, 3),
        {TaskState.QUEUED: TaskState.QUEUED, TaskState.PAUSED: TaskState.PAUSED},
    ),
    "edit": (
        lambda row: moves.edit(row, NOW, not_before=NOW),
        {TaskState.QUEUED: TaskState.QUEUED, TaskState.PAUSED: TaskState.PAUSED},
    ),
    "renew": (
        lambda row: moves.renew(row, NOW),
        {state: state for state in (TaskState.RUNNING, TaskState.CANCEL_REQUESTED)},
    ),
    "begin": (
        lambda row: moves.begin(row, NOW, "r9"),
        {state: state for state in (TaskState.RUNNING, TaskState.CANCEL_REQUESTED)},
    ),
    "unclaim": (
        lambda row: moves.unclaim(row, NOW),
        dict.fromkeys((TaskState.RUNNING, TaskState.CANCEL_REQUESTED), TaskState.QUEUED),
    ),
    "expire": (lambda row: moves.expire(replace(row, expires_at=NOW), NOW), {TaskState.QUEUED: TaskState.EXPIRED}),
}


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("name", MOVES)
def test_every_move_is_drawn_or_refused_with_the_state(name: str, state: TaskState) -> None:
    move, drawn = MOVES[name]
    row = a_task(state)
    if state not in drawn:
        with pytest.raises(WrongStateError, match=f"task t1 is {state.value}; ") as refused:
            move(row)
        assert refused.value.row.state is state
        return
    moved = move(row)
    assert moved.state is drawn[state]
    if moved is not row:
        assert moved.version > row.version
        assert moved.updated_at == NOW
    assert moved.state.leased is (moved.lease_until is not None)
    assert moved.state.terminal is (moved.finished_at is not None)
    assert moved.fence >= row.fence


def test_a_claim_takes_an_attempt_and_a_fence() -> None:
    claimed = moves.claim(a_task(reason="x", error="y", waits=Waits.BACKOFF, tokens=9), NOW, "b2", "w2")
    assert (claimed.attempt, claimed.fence, claimed.started_at) == (1, 3, NOW)
    assert (claimed.boot_id, claimed.worker_id, claimed.lease_until) == ("b2", "w2", NOW + 30_000)
    assert (claimed.reason, claimed.error, claimed.waits, claimed.tokens) == ("", "", Waits.ASKED, 0)


@pytest.mark.parametrize(
    "changes",
    [{"not_before": NOW + 1}, {"attempt": 3}, {"expires_at": NOW}],
    ids=["its time has not come", "no attempts left", "expired"],
)
def test_what_may_not_start_is_not_claimed(changes: dict[str, Any]) -> None:
    with pytest.raises(WrongStateError):
        moves.claim(a_task(**changes), NOW, "b", "w")


def test_what_has_started_does_not_expire() -> None:
    assert not moves.must_expire(a_task(expires_at=T0, started_at=T0), NOW)
    assert moves.must_expire(a_task(expires_at=NOW), NOW)
    assert not moves.must_expire(a_task(expires_at=NOW + 1), NOW)


def test_a_retry_starts_afresh_under_the_same_fence() -> None:
    row = a_task(TaskState.FAILED, attempt=3, interruptions=2, reason="poison", error="e", expires_at=T0, started_at=T0)
    fresh = moves.retry(row, NOW)
    assert (fresh.attempt, fresh.interruptions, fresh.reason, fresh.error) == (0, 0, "", "")
    assert (fresh.started_at, fresh.expires_at, fresh.fence, fresh.not_before) == (None, None, 2, NOW)
    with pytest.raises(BadInputError, match="keep-expiry"):
        moves.retry(row, NOW, keep_expiry=True)
    kept = moves.retry(replace(row, expires_at=NOW + 1), NOW, keep_expiry=True)
    assert kept.expires_at == NOW + 1


@given(st.integers(1, 16), st.integers(1, 60_000), st.text(max_size=8))
def test_back_off_doubles_with_a_share_that_is_fixed_for_task_and_attempt(attempt: int, base: int, name: str) -> None:
    row = a_task(TaskState.RUNNING, attempt=attempt, backoff_ms=base, task_id=name)
    plain = min(base * 2 ** (attempt - 1), 300_000)
    delay = moves.backoff_ms(row)
    assert plain <= delay <= plain + plain * 20 // 100
    assert moves.backoff_ms(row) == delay
    assert moves.backoff_ms(row, retry_after_s=0.001) == delay
    assert moves.backoff_ms(row, retry_after_s=400) == 400_000
    assert moves.backoff_ms(row, retry_after_s=9.9e9) == 3_600_000


def test_shares_of_the_back_off_differ() -> None:
    delays = {moves.backoff_ms(a_task(TaskState.RUNNING, attempt=1, task_id=str(number))) for number in range(50)}
    assert len(delays) > 30


RETRIED = [
    "rate_limited",
    "transient_upstream",
    "network_unavailable",
    "provider_timeout",
    "malformed_response",
    "internal_error",
]
FINAL = [
    "auth_expired",
    "auth_invalid",
    "quota_exceeded",
    "context_window_exceeded",
    "content_policy_blocked",
    "permission_denied",
    "permanent_upstream",
    "model_not_found",
    "token_budget",
]


def result(state: str, reason: str, **fields: Any) -> PromptResult:
    return PromptResult("r1", state, reason, message="said", **fields)


@pytest.mark.parametrize("reason", RETRIED)
def test_what_may_pass_is_tried_again_while_attempts_are_left(reason: str) -> None:
    row = a_task(TaskState.RUNNING, attempt=1, interruptions=2)
    again = after(row, result("failed", reason, retry_after_s=9.0, input_tokens=3), NOW)
    assert (again.state, again.waits, again.not_before, again.attempt) == (
        TaskState.QUEUED,
        Waits.BACKOFF,
        NOW + 9_000,
        1,
    )
    assert (again.interruptions, again.error) == (0, f"{reason}: said")
    last = after(replace(row, attempt=3), result("failed", reason), NOW)
    assert (last.state, last.reason) == (TaskState.FAILED, "attempts_exhausted")


@pytest.mark.parametrize("reason", FINAL)
def test_what_will_not_pass_ends_the_task(reason: str) -> None:
    done = after(a_task(TaskState.RUNNING, attempt=1), result("failed", reason), NOW)
    assert (done.state, done.reason, done.error) == (TaskState.FAILED, reason, "said")


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (result("completed", "stop"), TaskState.COMPLETED, ""),
        (result("completed", "length"), TaskState.COMPLETED, ""),
        (result("refused", "budget_exceeded", decision_id="d"), TaskState.FAILED, "budget_exceeded"),
        (result("refused", "no_candidate"), TaskState.FAILED, "no_candidate"),
        (result("refused", "no_candidate", retry_after_s=3.0), TaskState.QUEUED, ""),
        (result("cancelled", "by_operator"), TaskState.CANCELLED, "by_operator"),
        (result("cancelled", "parent_cancelled"), TaskState.CANCELLED, "parent_cancelled"),
        (result("cancelled", "self_healing"), TaskState.QUEUED, ""),
        (result("failed", "run_timeout"), TaskState.FAILED, "timeout"),
        (result("failed", "interrupted"), TaskState.QUEUED, ""),
        (Interrupted(), TaskState.QUEUED, ""),
    ],
)
def test_what_an_end_means(end: PromptResult | Interrupted, state: TaskState, reason: str) -> None:
    done = after(a_task(TaskState.RUNNING, attempt=1), end, NOW)
    assert (done.state, done.reason, done.attempt) == (state, reason, 1)
    assert done.decision_id == (end.decision_id if isinstance(end, PromptResult) else "")


def test_what_gets_nowhere_fails_as_stalled_at_the_end_of_its_attempts() -> None:
    done = after(a_task(TaskState.RUNNING, attempt=3), result("cancelled", "self_healing"), NOW)
    assert (done.state, done.reason) == (TaskState.FAILED, "stalled")


def test_a_stop_and_a_missing_place_cost_no_attempt() -> None:
    row = a_task(TaskState.RUNNING, attempt=2)
    given_back = after(row, result("cancelled", "engine_stopping"), NOW)
    assert (given_back.state, given_back.attempt, given_back.not_before) == (TaskState.QUEUED, 1, T0)
    deferred = after(row, result("failed", "deferred"), NOW)
    assert (deferred.state, deferred.attempt, deferred.not_before) == (TaskState.QUEUED, 1, NOW + 5_000)
    assert deferred.waits is Waits.PROVIDER_LEASE


def test_three_interruptions_in_a_row_are_poison() -> None:
    row = a_task(TaskState.RUNNING, attempt=3, max_attempts=16, interruptions=2)
    done = after(row, Interrupted(), NOW)
    assert (done.state, done.reason, done.interruptions) == (TaskState.FAILED, "poison", 3)


def test_a_long_error_is_cut() -> None:
    done = after(a_task(TaskState.RUNNING), PromptResult("r", "failed", "auth_invalid", message="x" * 900), NOW)
    assert len(done.error) == 512


@pytest.mark.parametrize(
    ("run", "state"),
    [
        (None, TaskState.QUEUED),
        (a_run("r1"), TaskState.QUEUED),
        (ended(a_run("r1"), "failed", reason="interrupted"), TaskState.QUEUED),
        (ended(a_run("r1")), TaskState.COMPLETED),
        (ended(a_run("r1"), "refused", reason="budget_exceeded"), TaskState.FAILED),
        (ended(a_run("r1"), "cancelled", reason="by_operator"), TaskState.CANCELLED),
        (ended(a_run("r1"), "cancelled", reason="self_healing"), TaskState.QUEUED),
    ],
    ids=["missing", "live", "interrupted", "completed", "refused", "cancelled", "healed"],
)
def test_what_a_dead_engine_left_is_finished_by_its_run(run: Any, state: TaskState) -> None:
    row = a_task(TaskState.RUNNING, attempt=1, target_run_id="r1")
    done = finalised(row, run, NOW)
    assert done.state is state
    assert done.interruptions == (1 if run is None or run.reason == "interrupted" or not run.finished_at else 0)
    asked = finalised(replace(row, state=TaskState.CANCEL_REQUESTED, reason="by_operator"), run, NOW)
    assert asked.state in (TaskState.CANCELLED, TaskState.COMPLETED, TaskState.FAILED)
