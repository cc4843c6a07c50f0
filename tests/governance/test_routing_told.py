"""What a plan tells: what would have passed, its record, and that what is planned can be held."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from palyra.config.choices import RoutingMode
from palyra.governance.candidates import OutputLimits
from palyra.governance.decision import ReasonCode, RoutingDecision
from palyra.governance.explain import evaluation_message, refusal_message, sentences
from palyra.governance.holds import HoldRequest
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.rows import HoldRow
from tests.core.test_windows import at as instant
from tests.governance.plans import ALL, DEFAULT, candidate, plan
from tests.governance.policies import policy, scope
from tests.governance.routed import CENT, MIDNIGHT, NOON, ledger, tight, usd
from tests.governance.store import request, taken
from tests.governance.test_ledger import grant

# What would have passed


def test_ways_past_a_refusal_are_told_in_order_and_each_of_them_passes() -> None:
    budget = ledger(policy(hard=usd(3 * CENT), action="approval_required"), spent=2 * CENT + CENT // 2)
    made = plan(budget, NOON)
    ways = made.decision.counterfactual
    assert [way.kind for way in ways] == ["max_tokens", "model", "time", "grant"]
    tokens, model, time, allowance = ways
    assert tokens.value == 500
    assert plan(budget, NOON, max_tokens=500).proceeds
    assert not plan(budget, NOON, max_tokens=501).proceeds
    assert model.value == "a/cheap"
    assert plan(budget, NOON, explicit="a/cheap").proceeds
    assert time.value == MIDNIGHT
    assert plan(budget, MIDNIGHT).proceeds
    assert not plan(budget, MIDNIGHT - 1).proceeds
    assert (allowance.policy_id, allowance.amount) == ("day", CENT // 2)
    budget.grants.add(grant(cap=CENT // 2, expires_at=MIDNIGHT))
    assert plan(budget, NOON).proceeds


def test_waiting_helps_a_rolling_budget_as_soon_as_enough_has_left_it() -> None:
    budget = Ledger(PolicySet([policy(hard=usd(3 * CENT), interval_kind="rolling_24h")]))
    for number, minute in enumerate((0, 10, 20)):
        at = NOON + minute * 60_000
        taken(budget.hold(request(f"h{number}", at, CENT)))
        budget.settle(f"h{number}", at=at, usd=CENT, tokens=1)
    made = plan(budget, NOON + 30 * 60_000, max_tokens=2000)
    (time,) = [way for way in made.decision.counterfactual if way.kind == "time"]
    assert time.value == instant("2026-11-23T12:11")
    assert plan(budget, instant("2026-11-23T12:11"), max_tokens=2000).proceeds
    assert not plan(budget, instant("2026-11-23T12:10:59"), max_tokens=2000, limits=OutputLimits(1, 1, False)).proceeds


def test_what_does_not_help_is_not_told() -> None:
    lifetime = ledger(policy(hard="0", interval_kind="lifetime"))
    kinds = [way.kind for way in plan(lifetime, NOON).decision.counterfactual]
    assert kinds == ["grant"]
    unknown = ledger(policy(on_unknown_price="block"))
    assert plan(unknown, NOON, candidates=(candidate("b/default", None),)).decision.counterfactual == ()


def test_loose_modes_tell_what_would_have_passed_too() -> None:
    made = plan(ledger(policy(hard=usd(CENT // 2)), mode=RoutingMode.DRY_RUN), NOON)
    assert made.proceeds
    assert made.clamped is None
    assert next((way.kind, way.value) for way in made.decision.counterfactual) == ("max_tokens", 500)


# The record


def test_a_decision_survives_the_journal() -> None:
    made = plan(ledger(tight(), spent=3 * CENT), NOON).decision
    assert RoutingDecision.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_reason_codes_are_sorted_unique_and_of_the_closed_list() -> None:
    made = plan(ledger(tight(), policy("b", hard="0.001")), NOON).decision
    assert list(made.reason_codes) == sorted(set(made.reason_codes))
    assert all(ReasonCode(code) for code in made.reason_codes)


def test_a_refusal_names_budget_numbers_and_ways() -> None:
    made = plan(ledger(policy(hard=usd(3 * CENT), interval_kind="daily"), spent=3 * CENT), NOON).decision
    assert evaluation_message(made.evaluations[0]) == "Budget day would reach $0.04 of $0.03."
    assert refusal_message(made) == (
        "Budget day would reach $0.04 of $0.03. It would pass with a start at 2026-11-23T00:00:00Z or later."
    )
    told = " ".join(sentences(made))
    assert "Budget day would reach $0.04 of $0.03." in told
    assert "a grant of $0.01 on day" in told


def test_an_instant_is_told_in_the_zone_of_the_budget_that_was_over() -> None:
    prague = policy(hard=usd(3 * CENT), interval_kind="daily", timezone="Europe/Prague")
    made = plan(ledger(prague, spent=3 * CENT), NOON).decision
    assert re.search(r"a start at \d{4}-\d\d-\d\d 00:00 \(Europe/Prague\) or later", sentences(made)[-1])


# What is planned can be held


@given(
    spent=st.integers(0, 4 * CENT),
    hard=st.integers(0, 4 * CENT),
    max_tokens=st.one_of(st.none(), st.integers(1, 3000)),
    streaming=st.booleans(),
    explicit=st.sampled_from(["", "a/cheap", "b/default", "d/dearest"]),
    score=st.floats(0, 1),
    action=st.sampled_from(["block", "approval_required", "advise"]),
    override=st.sampled_from(["none", "degrade", "model:c/premium", "mode:suggest"]),
    granted=st.integers(0, CENT),
    mode=st.sampled_from(list(RoutingMode)),
)
def test_whatever_proceeds_is_held_and_whatever_does_not_is_refused(
    spent: int,
    hard: int,
    max_tokens: int | None,
    streaming: bool,
    explicit: str,
    score: float,
    action: str,
    override: str,
    granted: int,
    mode: RoutingMode,
) -> None:
    budget = policy(hard=usd(hard), action=action, routing_override=override)
    books = ledger(budget, policy("tokens", hard=5000, metric_kind="total_tokens"), spent=spent, mode=mode)
    books.grants.add(grant(cap=granted))
    made = plan(
        books, NOON, explicit=explicit, complexity=score, max_tokens=max_tokens, streaming=streaming, run_id="run"
    )
    assert made.candidate is not None
    assert made.estimate is not None
    outcome = books.hold(
        HoldRequest(
            hold_id="h",
            run_id="run",
            attempt=1,
            boot_id="b",
            scope=scope(),
            provider=made.candidate.provider,
            model=made.candidate.model,
            at=NOON,
            bound_usd=made.estimate.bound_usd,
            bound_tokens=made.estimate.bound_input + made.estimate.bound_output,
            expected_input=made.estimate.expected_input,
            expected_usd=made.estimate.expected_usd,
            price_state="known",
        )
    )
    assert isinstance(outcome, HoldRow) is made.proceeds
    if not made.proceeds:
        assert any(item.kind == "grant" for item in made.decision.counterfactual)


def test_every_model_that_was_looked_at_is_told() -> None:
    made = plan(ledger(), NOON)
    assert {one.model for one in made.decision.candidates} == {one.model for one in ALL}


def test_models_of_one_fate_are_told_in_one_sentence() -> None:
    """Ten models that cannot serve a request are one line to a reader, and ten entries of the record."""
    lacking = tuple(candidate(f"b/m{number}", excluded=("capability_missing",)) for number in range(5))
    long = candidate("b/short", excluded=("context_too_long",))
    made = plan(ledger(), NOON, candidates=(DEFAULT, *lacking, long)).decision
    told = [one for one in sentences(made) if "passed over" in one]
    assert told == [
        "b/m0, b/m1, b/m2 and 2 others were passed over: capability_missing.",
        "b/short was passed over: context_too_long.",
    ]
    assert len([one for one in made.candidates if one.reasons]) == 6
