"""Whatever a refused request is told would have passed, passes; and anything less does not."""

from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from palyra.config.choices import RoutingMode
from palyra.core.money import decimal_usd
from palyra.core.windows import HOUR_MS
from palyra.governance.candidates import OutputLimits, Plan
from palyra.governance.decision import Counterfactual
from palyra.governance.evaluate import Cause
from palyra.governance.grants import GrantBook
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.journal.rows import GrantRow, HoldRow
from tests.governance.plans import ALL, CHEAP, DEFAULT, candidate, plan
from tests.governance.policies import policy
from tests.governance.routed import CENT, NOON
from tests.governance.store import request
from tests.governance.test_ledger import grant

UNPRICED = candidate("e/unpriced", None)
MODELS = (*ALL, UNPRICED)
KINDS = {"estimated_cost_usd": CENT // 4, "total_tokens": 300, "requests": 1}
"""Metrics, and a small step of each."""


@st.composite
def policies(draw: st.DrawFn) -> tuple[UsageBudgetPolicyRecord, ...]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        metric = draw(st.sampled_from(sorted(KINDS)))
        most = draw(st.integers(0, 12)) * KINDS[metric]
        money = metric == "estimated_cost_usd"
        made.append(
            policy(
                f"p{number}",
                decimal_usd(most) if money else str(most),
                metric_kind=metric,
                interval_kind=draw(
                    st.sampled_from(("hourly", "daily", "monthly", "rolling_24h", "rolling_30d", "lifetime"))
                ),
                timezone=draw(st.sampled_from(("UTC", "Europe/Prague", "Asia/Kathmandu"))),
                scope_kind=draw(st.sampled_from(("global", "user", "session", "model"))),
                action=draw(st.sampled_from(("block", "block", "approval_required", "advise"))),
                routing_override=draw(st.sampled_from(("none", "none", "mode:enforced", "mode:dry_run"))),
                on_unknown_price=draw(st.sampled_from(("block", "allow", "flat:0.01"))),
                soft_limit=draw(st.sampled_from(("50%", "80%", "100%"))),
            )
        )
    return tuple(made)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int, int, bool]]:
    """(how long ago in ms, cents ÷ 4, tokens, whether it has ended) of earlier attempts, oldest first."""
    found = draw(
        st.lists(
            st.tuples(st.integers(0, 40 * HOUR_MS), st.integers(0, 6), st.integers(0, 900), st.booleans()), max_size=6
        )
    )
    return sorted(found, reverse=True)


@st.composite
def grants(draw: st.DrawFn) -> tuple[GrantRow, ...]:
    return tuple(
        grant(
            f"g{number}",
            draw(st.integers(1, 6)) * CENT,
            policy_id=f"p{number}",
            scope_value=draw(st.sampled_from(("*", "ann", "main"))),
            expires_at=NOON + draw(st.integers(1, 30)) * HOUR_MS,
            created_at=NOON - 50 * HOUR_MS,
        )
        for number in range(draw(st.integers(0, 2)))
    )


class Situation:
    """A ledger with a past, and a request that is planned on it as often as wanted."""

    def __init__(
        self,
        made: tuple[UsageBudgetPolicyRecord, ...],
        past: list[tuple[int, int, int, bool]],
        given_grants: tuple[GrantRow, ...],
        mode: RoutingMode,
        asked: dict[str, Any],
    ) -> None:
        self.policies = made
        self.past = past
        self.grants = given_grants
        self.mode = mode
        self.asked = asked

    def ledger(self, extra: tuple[GrantRow, ...] = ()) -> Ledger:
        ledger = Ledger(PolicySet(self.policies), default_mode=RoutingMode.SUGGEST, grants=GrantBook(self.grants))
        for number, (ago, cents, tokens, ended) in enumerate(self.past):
            usd = cents * CENT // 4
            held = ledger.hold(
                request(f"h{number}", NOON - ago, usd, tokens, model="b/default", provider="b", run_id="earlier")
            )
            if isinstance(held, HoldRow) and ended:
                ledger.settle(f"h{number}", at=NOON - ago + 1, usd=usd // 2, tokens=tokens // 2)
        for row in extra:
            ledger.grants.add(row)
        ledger.judge.default_mode = self.mode
        return ledger

    def plan(self, at: int = NOON, extra: tuple[GrantRow, ...] = (), **changed: Any) -> Plan:
        fields = {"candidates": MODELS, "limits": OutputLimits(clamp_output=False), **self.asked, **changed}
        return plan(self.ledger(extra), at, **fields)


def passes(made: Plan, *, enforced: bool) -> bool:
    refusing = [item for item in made.decision.evaluations if item.refused or (not enforced and item.would_refuse)]
    return not refusing


situations = st.builds(
    Situation,
    policies(),
    histories(),
    grants(),
    st.sampled_from(tuple(RoutingMode)),
    st.fixed_dictionaries(
        {
            "max_tokens": st.integers(1, 3000),
            "streaming": st.booleans(),
            "choices": st.integers(1, 2),
            "explicit": st.sampled_from(("b/default", "c/premium", "e/unpriced")),
        }
    ),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(situations)
def test_what_would_have_passed_passes_and_anything_less_does_not(situation: Situation) -> None:
    made = situation.plan()
    decision = made.decision
    enforced = any(item.refused for item in decision.evaluations)
    failing = [item for item in decision.evaluations if (item.refused if enforced else item.would_refuse)]
    if not failing:
        assert decision.counterfactual == ()
        event("passes")
        return
    event("refused" if enforced else "would be refused")
    told = {item.kind: item for item in decision.counterfactual}
    kinds = [item.kind for item in decision.counterfactual]
    assert kinds == sorted(kinds, key=("max_tokens", "model", "time", "grant").index)
    _check_output(situation, told.get("max_tokens"), enforced)
    _check_model(situation, made, told.get("model"), enforced)
    _check_instant(situation, told.get("time"), enforced)
    _check_grants(situation, decision.counterfactual, enforced)
    if any(item.cause is Cause.PRICE for item in failing):
        event("unknown price")
        assert "grant" not in told
        assert "time" not in told


def _check_output(situation: Situation, told: Counterfactual | None, enforced: bool) -> None:
    if told is None:
        assert not passes(situation.plan(max_tokens=1), enforced=enforced) or situation.asked["max_tokens"] == 1
        return
    event("less output")
    assert isinstance(told.value, int)
    assert passes(situation.plan(max_tokens=told.value), enforced=enforced)
    assert not passes(situation.plan(max_tokens=told.value + 1), enforced=enforced)


def _check_model(situation: Situation, made: Plan, told: Counterfactual | None, enforced: bool) -> None:
    by_cost = [one.candidate.model for one in made.tried if one.candidate.model != made.decision.actual_model]
    passing = [model for model in by_cost if passes(situation.plan(explicit=model), enforced=enforced)]
    assert (None if told is None else told.value) == (passing[0] if passing else None)
    event(f"another model: {told is not None}")


def _check_instant(situation: Situation, told: Counterfactual | None, enforced: bool) -> None:
    if told is None:
        return
    event("a later instant")
    assert isinstance(told.value, int)
    assert told.value > NOON
    assert passes(situation.plan(at=told.value), enforced=enforced)
    assert not passes(situation.plan(at=told.value - 1), enforced=enforced)


def _check_grants(situation: Situation, told: tuple[Counterfactual, ...], enforced: bool) -> None:
    wanted = [item for item in told if item.kind == "grant"]
    if not wanted:
        return
    event(f"{len(wanted)} grants")
    values = {item.policy_id: item.scope_value for item in situation.plan().decision.evaluations}
    metrics = {one.policy_id: one.metric_kind.value for one in situation.policies}

    def given_but(less: str) -> tuple[GrantRow, ...]:
        return tuple(
            grant(
                f"new-{item.policy_id}",
                item.amount - (item.policy_id == less),
                policy_id=item.policy_id,
                scope_value=values[item.policy_id],
                metric=metrics[item.policy_id],
            )
            for item in wanted
            if item.amount is not None
        )

    assert passes(situation.plan(extra=given_but("")), enforced=enforced)
    for item in wanted:
        assert not passes(situation.plan(extra=given_but(item.policy_id)), enforced=enforced)


def test_no_instant_is_told_for_a_budget_that_never_renews() -> None:
    situation = Situation((policy(hard="0.01", interval_kind="lifetime"),), [], (), RoutingMode.ENFORCED, {})
    assert [item.kind for item in situation.plan().decision.counterfactual if item.kind == "time"] == []


def test_a_model_nobody_asked_for_is_told() -> None:
    situation = Situation(
        (policy(hard="0.005"),), [], (), RoutingMode.ENFORCED, {"candidates": (DEFAULT,), "others": lambda: (CHEAP,)}
    )
    told = {item.kind: item.value for item in situation.plan().decision.counterfactual}
    assert told["model"] == "a/cheap"
