"""Plans for an attempt after one that failed: the same model once more, or the next one that can serve."""

from typing import Any

import pytest

from palyra.config.choices import RoutingMode
from palyra.governance.candidates import Course
from palyra.governance.decision import RoutingAction
from palyra.governance.ledger import Ledger
from tests.governance.plans import ALL, CHEAP, DEAREST, DEFAULT, PREMIUM, candidate, plan
from tests.governance.policies import policy
from tests.governance.routed import NOON, ledger

AFTER: dict[str, Any] = {"course": Course.FAILOVER}


def tight(model: str, **fields: Any) -> Ledger:
    """A budget that has no room for one model."""
    return ledger(policy("m", hard="0", scope_kind="model", scope_id=model, **fields))


def test_the_next_model_is_the_cheapest_then_the_fastest_then_the_first_by_name() -> None:
    made = plan(ledger(), NOON, **AFTER)
    assert made.decision.actual_model == CHEAP.model
    assert made.decision.action is RoutingAction.FAILOVER
    assert "failover_to_secondary" in made.decision.reason_codes
    same = [candidate(f"x/{name}", "1", p50_ms=p50) for name, p50 in (("b", 900.0), ("a", 900.0), ("z", 200.0))]
    assert plan(ledger(), NOON, candidates=tuple(same), **AFTER).decision.actual_model == "x/z"
    assert plan(ledger(), NOON, candidates=tuple(same[:2]), **AFTER).decision.actual_model == "x/a"


def test_what_an_operator_lists_is_tried_in_that_order() -> None:
    made = plan(ledger(), NOON, order=(PREMIUM.model, DEAREST.model), candidates=(DEAREST, PREMIUM), **AFTER)
    assert made.decision.actual_model == PREMIUM.model


def test_a_model_that_cannot_serve_is_passed_over() -> None:
    tried = candidate(CHEAP.model, "1", excluded=("already_tried",))
    made = plan(ledger(), NOON, candidates=(tried, DEAREST, DEFAULT), **AFTER)
    assert made.decision.actual_model == DEFAULT.model
    assert [one.reasons for one in made.decision.candidates] == [("already_tried",), (), ()]
    assert "already_tried" not in made.decision.reason_codes


def test_a_model_no_budget_lets_pass_is_passed_over_while_another_is_there() -> None:
    assert plan(tight(CHEAP.model), NOON, **AFTER).decision.actual_model == DEFAULT.model
    alone = plan(tight(CHEAP.model), NOON, candidates=(CHEAP,), **AFTER)
    assert (alone.decision.action, alone.proceeds) == (RoutingAction.BLOCKED, False)


def test_nobody_left_is_no_candidate() -> None:
    made = plan(ledger(), NOON, candidates=(candidate("a/x", "1", excluded=("breaker_open",)),), **AFTER)
    assert made.candidate is None
    assert made.decision.reason_codes == ("breaker_open", "no_candidate")


@pytest.mark.parametrize(
    ("course", "codes", "action"),
    [
        (Course.RETRY, {"retry_attempt"}, RoutingAction.PROCEED),
        (Course.FAILOVER_RETRY, {"retry_attempt", "failover_to_secondary"}, RoutingAction.FAILOVER),
    ],
)
def test_a_retry_stays_with_its_model_whatever_routing_would_like(
    course: Course, codes: set[str], action: RoutingAction
) -> None:
    over_soft = ledger(policy(hard="1.00", soft_limit="0", routing_override="degrade"))
    made = plan(over_soft, NOON, explicit="", candidates=(DEAREST,), complexity=0.1, course=course)
    assert (made.decision.actual_model, made.decision.action) == (DEAREST.model, action)
    assert codes <= set(made.decision.reason_codes)
    assert not {"policy_degrade", "complexity_low", "default_model"} & set(made.decision.reason_codes)


def test_a_retry_of_a_named_model_says_so() -> None:
    made = plan(ledger(), NOON, candidates=(DEFAULT,), course=Course.RETRY)
    assert {"explicit_model", "retry_attempt"} <= set(made.decision.reason_codes)


def test_a_looser_mode_fails_over_all_the_same() -> None:
    """What a mode leaves undone are limits and choices that save money; an answer is owed in any mode."""
    made = plan(ledger(mode=RoutingMode.SUGGEST), NOON, candidates=ALL, **AFTER)
    assert (made.decision.actual_model, made.decision.action) == (CHEAP.model, RoutingAction.FAILOVER)
