"""The closed list of reason codes: what brings each about, and which wait for parts that are not built yet."""

from collections.abc import Callable
from typing import Any

import pytest

from palyra.config.choices import RoutingMode
from palyra.governance.candidates import Course, Plan, TaskClass
from palyra.governance.decision import ReasonCode, RoutingDecision
from palyra.governance.explain import sentences
from palyra.governance.grants import GrantBook
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from tests.governance.plans import DEFAULT, candidate, plan
from tests.governance.policies import policy
from tests.governance.routed import CENT, NOON, ledger, usd
from tests.governance.test_ledger import grant

UNPRICED = candidate("e/unpriced", None)


def tight(cents: int = 0, **fields: Any) -> Ledger:
    return ledger(policy(hard=usd(cents * CENT), **fields))


def granted() -> Ledger:
    book = GrantBook([grant(cap=5 * CENT)])
    return Ledger(PolicySet([policy(hard="0")]), grants=book)


def soft(**fields: Any) -> UsageBudgetPolicyRecord:
    return policy(hard="1.00", soft_limit="0", **fields)


def excluding(code: str) -> Plan:
    return plan(ledger(), NOON, candidates=(candidate("b/default", excluded=(code,)),))


AUTO: dict[str, Any] = {"explicit": ""}
BY_PLAN: dict[ReasonCode, Callable[[], Plan]] = {
    ReasonCode.BUDGET_OK: lambda: plan(ledger(policy()), NOON),
    ReasonCode.BUDGET_SOFT_LIMIT: lambda: plan(ledger(soft()), NOON),
    ReasonCode.BUDGET_HARD_LIMIT: lambda: plan(tight(action="advise"), NOON),
    ReasonCode.BUDGET_BLOCKED: lambda: plan(tight(), NOON),
    ReasonCode.BUDGET_APPROVAL_REQUIRED: lambda: plan(tight(action="approval_required"), NOON),
    ReasonCode.BUDGET_DENIED: lambda: plan(tight(action="approval_required"), NOON, denied=frozenset({"day"})),
    ReasonCode.BUDGET_OVERRIDE_APPLIED: lambda: plan(granted(), NOON),
    ReasonCode.WOULD_BLOCK: lambda: plan(ledger(policy(hard="0"), mode=RoutingMode.SUGGEST), NOON),
    ReasonCode.WOULD_REQUIRE_APPROVAL: lambda: plan(
        ledger(policy(hard="0", action="approval_required"), mode=RoutingMode.DRY_RUN), NOON
    ),
    ReasonCode.OUTPUT_CLAMPED: lambda: plan(tight(1), NOON, max_tokens=5000),
    ReasonCode.PRICE_UNKNOWN_BLOCKED: lambda: plan(
        ledger(policy(on_unknown_price="block")), NOON, explicit="e/unpriced", candidates=(UNPRICED,)
    ),
    ReasonCode.PRICE_UNKNOWN_FLAT: lambda: plan(
        ledger(policy(on_unknown_price="flat:0.01")), NOON, explicit="e/unpriced", candidates=(UNPRICED,)
    ),
    ReasonCode.PRICE_UNKNOWN_ALLOWED: lambda: plan(
        ledger(policy(on_unknown_price="allow")), NOON, explicit="e/unpriced", candidates=(UNPRICED,)
    ),
    ReasonCode.DEFAULT_MODEL: lambda: plan(ledger(), NOON, **AUTO),
    ReasonCode.EXPLICIT_MODEL: lambda: plan(ledger(), NOON),
    ReasonCode.COMPLEXITY_LOW: lambda: plan(ledger(), NOON, complexity=0.1, **AUTO),
    ReasonCode.COMPLEXITY_MID: lambda: plan(ledger(), NOON, complexity=0.5, **AUTO),
    ReasonCode.COMPLEXITY_HIGH: lambda: plan(ledger(), NOON, complexity=0.9, **AUTO),
    ReasonCode.BUDGET_ALLOWED_PREMIUM_MODEL: lambda: plan(ledger(), NOON, complexity=0.9, **AUTO),
    ReasonCode.BUDGET_WITHHELD_PREMIUM_MODEL: lambda: plan(ledger(soft()), NOON, complexity=0.9, **AUTO),
    ReasonCode.CHEAPEST_CAPABLE: lambda: plan(ledger(), NOON, complexity=0.1, **AUTO),
    ReasonCode.FASTEST_CAPABLE: lambda: plan(ledger(), NOON, task_class=TaskClass.AUXILIARY_CLASSIFICATION, **AUTO),
    ReasonCode.AUXILIARY_COST_CAP: lambda: plan(ledger(), NOON, task_class=TaskClass.AUXILIARY_SUMMARY, **AUTO),
    ReasonCode.POLICY_DEGRADE: lambda: plan(ledger(soft(routing_override="degrade")), NOON),
    ReasonCode.POLICY_MODEL: lambda: plan(ledger(soft(routing_override="model:a/cheap")), NOON),
    ReasonCode.POLICY_MODEL_INCAPABLE: lambda: plan(ledger(soft(routing_override="model:z/none")), NOON),
    ReasonCode.SMART_ROUTING_DISABLED: lambda: plan(ledger(), NOON, config={"enabled": False}, **AUTO),
    ReasonCode.MODE_SUGGEST: lambda: plan(ledger(policy(), mode=RoutingMode.SUGGEST), NOON),
    ReasonCode.MODE_DRY_RUN: lambda: plan(ledger(policy(), mode=RoutingMode.DRY_RUN), NOON),
    ReasonCode.MODE_RAISED: lambda: plan(
        ledger(policy(), mode=RoutingMode.SUGGEST), NOON, requested_mode=RoutingMode.ENFORCED
    ),
    ReasonCode.MODE_REFUSED: lambda: plan(ledger(policy()), NOON, requested_mode=RoutingMode.SUGGEST),
    ReasonCode.CAPABILITY_MISSING: lambda: excluding("capability_missing"),
    ReasonCode.CONTEXT_TOO_LONG: lambda: excluding("context_too_long"),
    ReasonCode.NOT_ALLOWED_FOR_KEY: lambda: excluding("not_allowed_for_key"),
    ReasonCode.UNHEALTHY: lambda: excluding("unhealthy"),
    ReasonCode.BREAKER_OPEN: lambda: excluding("breaker_open"),
    ReasonCode.CREDENTIAL_COOLING: lambda: excluding("credential_cooling"),
    ReasonCode.NO_CANDIDATE: lambda: excluding("already_tried"),
    ReasonCode.RETRY_ATTEMPT: lambda: plan(ledger(), NOON, candidates=(DEFAULT,), course=Course.RETRY),
    ReasonCode.FAILOVER_TO_SECONDARY: lambda: plan(ledger(), NOON, course=Course.FAILOVER),
}
"""What a plan says by itself."""

OF_RUNS = {
    ReasonCode.STREAM_CUT_BUDGET: "how a stream ends whose budget is used up, told by its run",
    ReasonCode.HOLD_RECOVERED: "how a run ends whose engine died, told at the next start",
    ReasonCode.LEASE_DEFERRED: "how a run ends that found no place at a provider, told by its run",
    ReasonCode.ENGINE_DRAINING: "how a run ends that a stopping engine ended, told by its run",
    ReasonCode.JOURNAL_UNAVAILABLE: "how a run ends that nothing could be written of, told by its run",
    ReasonCode.CACHE_HIT: "how a run ends that a kept answer served, told by its run and its decision",
}


def test_every_code_is_brought_about_by_something_that_is_named() -> None:
    named = [*BY_PLAN, *OF_RUNS]
    assert sorted(named) == sorted(ReasonCode)


@pytest.mark.parametrize("code", BY_PLAN, ids=str)
def test_a_plan_brings_each_code_about(code: ReasonCode) -> None:
    decision = BY_PLAN[code]().decision
    assert code.value in decision.reason_codes
    assert list(decision.reason_codes) == sorted(set(decision.reason_codes))
    assert set(decision.reason_codes) <= {one.value for one in ReasonCode}


@pytest.mark.parametrize("code", BY_PLAN, ids=str)
def test_what_is_stored_explains_itself_as_it_did(code: ReasonCode) -> None:
    decision = BY_PLAN[code]().decision
    stored = RoutingDecision.from_json(decision.row().body)
    assert stored == decision
    assert sentences(stored) == sentences(decision)
    assert sentences(stored)
