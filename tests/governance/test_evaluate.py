import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.choices import RoutingMode
from palyra.core.windows import Window
from palyra.governance.evaluate import (
    Cause,
    CounterView,
    Demand,
    EvaluationStatus,
    UsageBudgetEvaluation,
    evaluate_budget_policies,
    strongest,
)
from palyra.governance.policy import UsageBudgetPolicyRecord
from tests.governance.policies import CENT, DOLLAR, policy

WINDOW = Window(0, 86_400_000)
ENFORCED, SUGGEST, DRY_RUN = RoutingMode.ENFORCED, RoutingMode.SUGGEST, RoutingMode.DRY_RUN


def evaluate(
    record: UsageBudgetPolicyRecord,
    bound: int | None,
    *,
    settled: int = 0,
    held: int = 0,
    drawn: int = 0,
    available: int = 0,
    denied: bool = False,
    default: RoutingMode = ENFORCED,
    requested: RoutingMode | None = None,
) -> UsageBudgetEvaluation:
    view = CounterView(record, "*", WINDOW, settled, held, drawn, available, denied)
    (found,) = evaluate_budget_policies(
        [view], Demand(bound, tokens=700), default_mode=default, requested_mode=requested
    )
    return found


@pytest.mark.parametrize(
    ("action", "settled", "held", "bound", "available", "status", "refused"),
    [
        ("block", 0, 0, 80 * CENT, 0, "ok", False),
        ("block", 0, 0, 80 * CENT + 1, 0, "soft_limit", False),
        ("block", 90 * CENT, 0, 10 * CENT, 0, "soft_limit", False),
        ("block", 0, 90 * CENT, 10 * CENT + 1, 0, "blocked", True),
        ("block", 95 * CENT, 0, 10 * CENT, 0, "blocked", True),
        ("approval_required", 95 * CENT, 0, 10 * CENT, 0, "approval_required", True),
        ("advise", 95 * CENT, 0, 10 * CENT, 0, "hard_limit", False),
        ("block", 95 * CENT, 0, 10 * CENT, 5 * CENT, "override_applied", False),
        ("block", 95 * CENT, 0, 10 * CENT, 5 * CENT - 1, "blocked", True),
    ],
)
def test_a_counter_answers_by_where_the_request_would_bring_it(
    action: str, settled: int, held: int, bound: int, available: int, status: str, refused: bool
) -> None:
    found = evaluate(policy(action=action), bound, settled=settled, held=held, available=available)
    assert found.status == status
    assert found.refused is refused
    assert found.projected == settled + held + bound


def test_what_others_drew_from_grants_does_not_shrink_the_limit() -> None:
    found = evaluate(policy(), 10 * CENT, settled=110 * CENT, drawn=20 * CENT)
    assert (found.status, found.grants) == (EvaluationStatus.OVERRIDE_APPLIED, 20 * CENT)
    assert evaluate(policy(), 10 * CENT + 1, settled=110 * CENT, drawn=20 * CENT).refused


def test_a_limit_of_zero_admits_nothing_that_costs() -> None:
    assert evaluate(policy(hard="0"), 1).refused
    assert not evaluate(policy(hard="0"), 0).refused


@pytest.mark.parametrize("mode", [SUGGEST, DRY_RUN])
def test_a_loose_mode_records_what_it_would_refuse(mode: RoutingMode) -> None:
    found = evaluate(policy(), 10 * CENT, settled=95 * CENT, default=mode)
    assert (found.status, found.refused, found.would_refuse) == (EvaluationStatus.BLOCKED, False, True)
    assert found.mode is mode


@pytest.mark.parametrize(
    ("default", "override", "requested", "over_soft", "expected"),
    [
        (ENFORCED, "none", None, True, ENFORCED),
        (SUGGEST, "none", None, True, SUGGEST),
        (SUGGEST, "mode:enforced", None, True, ENFORCED),
        (SUGGEST, "mode:enforced", None, False, SUGGEST),
        (ENFORCED, "mode:suggest", None, True, SUGGEST),
        (ENFORCED, "mode:suggest", None, False, ENFORCED),
        (SUGGEST, "none", DRY_RUN, False, DRY_RUN),
        (ENFORCED, "none", SUGGEST, False, ENFORCED),
        (ENFORCED, "mode:suggest", DRY_RUN, True, DRY_RUN),
    ],
)
def test_a_request_can_raise_a_mode_and_never_lower_it(
    default: RoutingMode, override: str, requested: RoutingMode | None, over_soft: bool, expected: RoutingMode
) -> None:
    found = evaluate(
        policy(routing_override=override), 90 * CENT if over_soft else CENT, default=default, requested=requested
    )
    assert found.mode is expected


@pytest.mark.parametrize(
    ("rule", "status", "bound", "cause"),
    [
        ("block", "blocked", 0, Cause.PRICE),
        ("allow", "price_unknown", 0, Cause.PRICE),
        ("flat:0.50", "ok", 50 * CENT, Cause.NONE),
        ("flat:1.50", "blocked", 150 * CENT, Cause.LIMIT),
    ],
)
def test_an_unknown_price_is_judged_by_each_budgets_own_rule(rule: str, status: str, bound: int, cause: Cause) -> None:
    found = evaluate(policy(on_unknown_price=rule), None)
    assert (found.status, found.bound, found.cause) == (status, bound, cause)


def test_an_advising_budget_never_refuses_an_unknown_price() -> None:
    assert not evaluate(policy(on_unknown_price="block", action="advise"), None).status.refusing


def test_tokens_are_counted_also_when_nobody_knows_the_price() -> None:
    found = evaluate(policy(hard=1000, metric_kind="total_tokens", on_unknown_price="block"), None)
    assert (found.status, found.bound) == (EvaluationStatus.OK, 700)


def test_a_recent_denial_refuses_without_asking_again() -> None:
    asking = policy(action="approval_required")
    found = evaluate(asking, 10 * CENT, settled=95 * CENT, denied=True)
    assert (found.status, found.cause) == (EvaluationStatus.BLOCKED, Cause.DENIED)
    assert evaluate(asking, CENT, denied=True).status is EvaluationStatus.OK


def test_the_strongest_status_is_the_outcome() -> None:
    views = [
        CounterView(policy("soft", hard="2.00", soft_limit="50%"), "*", WINDOW, DOLLAR, 0),
        CounterView(policy("ask", action="approval_required"), "*", WINDOW, DOLLAR, 0),
        CounterView(policy("stop"), "*", WINDOW, DOLLAR, 0),
    ]
    found = evaluate_budget_policies(views, Demand(CENT, 10))
    assert [item.status.value for item in found] == ["soft_limit", "approval_required", "blocked"]
    assert strongest(found) is EvaluationStatus.BLOCKED
    assert strongest(()) is EvaluationStatus.OK


@given(
    settled=st.integers(0, 3 * DOLLAR),
    held=st.integers(0, DOLLAR),
    bound=st.integers(0, DOLLAR),
    drawn=st.integers(0, DOLLAR),
    available=st.integers(0, DOLLAR),
    action=st.sampled_from(["block", "approval_required"]),
)
def test_a_request_passes_exactly_when_it_fits(
    settled: int, held: int, bound: int, drawn: int, available: int, action: str
) -> None:
    found = evaluate(policy(action=action), bound, settled=settled, held=held, drawn=drawn, available=available)
    fits = settled + held + bound <= DOLLAR + drawn + available
    assert found.refused is not fits
    assert (found.excess == 0) is fits
    assert UsageBudgetEvaluation.from_json(json.loads(json.dumps(found.to_json()))) == found
