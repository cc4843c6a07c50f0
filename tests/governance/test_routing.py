import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.choices import CostTier, RoutingMode
from palyra.core.money import decimal_usd
from palyra.governance.candidates import Candidate, OutputLimits, Plan, TaskClass
from palyra.governance.complexity import KEYWORDS, complexity
from palyra.governance.decision import ReasonCode, RoutingDecision
from palyra.governance.explain import evaluation_message, refusal_message, sentences
from palyra.governance.holds import HoldRequest
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.journal.rows import HoldRow
from tests.core.test_windows import at as instant
from tests.governance.plans import ALL, CHEAP, DEFAULT, NANO_PER_TOKEN, candidate, plan
from tests.governance.policies import policy, scope
from tests.governance.store import request, taken
from tests.governance.test_ledger import grant

NOON = instant("2026-11-22T12:00")
MIDNIGHT = instant("2026-11-23T00:00")
CENT = 10_000_000
"""What 1,000 output tokens of the default model cost."""


def usd(nano: int) -> str:
    return decimal_usd(nano)


def ledger(*policies: UsageBudgetPolicyRecord, spent: int = 0, mode: RoutingMode = RoutingMode.ENFORCED) -> Ledger:
    made = Ledger(PolicySet(policies), default_mode=mode)
    if spent:
        made.judge.default_mode = RoutingMode.SUGGEST
        taken(made.hold(request("spent", NOON, spent, 1, scope=scope("somebody"))))
        made.settle("spent", at=NOON, usd=spent, tokens=1)
        made.judge.default_mode = mode
    return made


def codes(made: Plan) -> set[str]:
    return set(made.decision.reason_codes)


def tight(**fields: Any) -> UsageBudgetPolicyRecord:
    """A budget that has room for three cents, soft from two on."""
    return policy(hard=usd(3 * CENT), soft_limit=usd(2 * CENT), **fields)


# Complexity


@pytest.mark.parametrize(
    ("text", "wants_json", "images", "score"),
    [
        ("hello", False, 0, 0.0007),
        ("8 bytes!", True, 1, 0.3509),
        ("word" * 3000, False, 0, 0.70),
        ("word" * 3000, True, 0, 0.90),
        ("Analyze the SECURITY of it", False, 0, 0.10 + 0.35 * 26 / 4000 + 0.35 * 7 / 3000),
        ("analyzed securityless", False, 0, 0.35 * 21 / 4000 + 0.35 * 6 / 3000),
        ("analyze analyze", False, 0, 0.05 + 0.35 * 15 / 4000 + 0.35 * 4 / 3000),
        ("x", False, 5, 0.30 + 0.35 / 4000 + 0.35 / 3000),
    ],
)
def test_complexity_adds_up_its_parts(text: str, wants_json: bool, images: int, score: float) -> None:
    assert complexity(text, wants_json=wants_json, images=images).score == pytest.approx(score, abs=5e-5)


@given(st.text(), st.booleans(), st.integers(0, 20))
def test_complexity_lies_between_nothing_and_one(text: str, wants_json: bool, images: int) -> None:
    assert 0 <= complexity(text, wants_json=wants_json, images=images).score <= 1


@given(st.lists(st.sampled_from(["Security", "ANALYZE", "regression", "_", "x", " ", ".", "é"])).map("".join))
def test_keywords_are_whole_words_wherever_a_long_text_is_cut(text: str) -> None:
    words = {word.lower() for word in re.findall(r"\w+", text)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("palyra.governance.complexity._PIECE", 3)
        found = complexity(text).keywords_part
    assert found == pytest.approx(0.05 * len(words & set(KEYWORDS)))


def test_a_long_text_is_as_demanding_as_its_bytes_up_to_a_limit() -> None:
    assert complexity("ü" * 2000).bytes_part == 0.35
    assert complexity("ü" * 1000).bytes_part == pytest.approx(0.175)
    assert complexity("ü" * 5000).tokens_part == pytest.approx(0.35 * 2500 / 3000)
    assert complexity("ü" * 6000).tokens_part == complexity("ü" * 60_000).tokens_part == 0.35


# Which model


@pytest.mark.parametrize(
    ("score", "model", "reasons"),
    [
        (0.0, "a/cheap", {"complexity_low", "cheapest_capable"}),
        (0.35, "a/cheap", {"complexity_low", "cheapest_capable"}),
        (0.351, "b/default", {"complexity_mid", "default_model"}),
        (0.749, "b/default", {"complexity_mid", "default_model"}),
        (0.75, "d/dearest", {"complexity_high", "budget_allowed_premium_model"}),
    ],
)
def test_auto_takes_the_model_the_work_deserves(score: float, model: str, reasons: set[str]) -> None:
    made = plan(ledger(), NOON, explicit="", complexity=score)
    assert made.decision.actual_model == model
    assert codes(made) == reasons | {"budget_ok"}


def test_a_premium_model_must_keep_every_budget_soft() -> None:
    premium_fits = ledger(policy(hard=usd(10 * CENT), soft_limit=usd(5 * CENT)))
    assert plan(premium_fits, NOON, explicit="", complexity=0.9).decision.actual_model == "c/premium"
    made = plan(ledger(policy(hard=usd(10 * CENT), soft_limit=usd(4 * CENT))), NOON, explicit="", complexity=0.9)
    assert made.decision.actual_model == "b/default"
    assert "budget_withheld_premium_model" in codes(made)


def test_a_named_model_is_kept_whatever_it_costs() -> None:
    made = plan(ledger(), NOON, explicit="d/dearest", complexity=0.0)
    assert made.decision.actual_model == "d/dearest"
    assert codes(made) == {"explicit_model", "budget_ok"}


def test_a_named_model_may_be_rerouted_where_configured() -> None:
    made = plan(ledger(), NOON, explicit="d/dearest", complexity=0.0, config={"explicit_models": True})
    assert made.decision.actual_model == "a/cheap"
    assert made.decision.action == "degrade"


def test_routing_switched_off_leaves_the_default() -> None:
    made = plan(ledger(), NOON, explicit="", complexity=0.0, config={"enabled": False})
    assert made.decision.actual_model == "b/default"
    assert codes(made) == {"smart_routing_disabled", "default_model", "budget_ok"}


@pytest.mark.parametrize(
    ("task_class", "model"),
    [
        (TaskClass.BACKGROUND_AUTOMATION, "a/cheap"),
        (TaskClass.AUXILIARY_SUMMARY, "a/cheap"),
        (TaskClass.AUXILIARY_CLASSIFICATION, "b/default"),
    ],
)
def test_background_work_is_never_dearer_than_the_default(task_class: TaskClass, model: str) -> None:
    fast = candidate("d/dearest", "90", CostTier.PREMIUM, p50_ms=10.0)
    models = (fast, candidate("b/default", "10", p50_ms=200.0), candidate("a/cheap", "1", p50_ms=900.0))
    made = plan(ledger(), NOON, explicit="", complexity=0.99, task_class=task_class, candidates=models)
    assert made.decision.actual_model == model
    assert "auxiliary_cost_cap" in codes(made)


def test_equal_cost_goes_by_latency_then_id_and_what_is_unknown_comes_last() -> None:
    models: tuple[Candidate, ...] = (
        candidate("p/unknown", None),
        candidate("q/slow", "1", p50_ms=900.0),
        candidate("z/fast", "1", p50_ms=10.0),
        candidate("y/fast", "1", p50_ms=10.0),
        candidate("r/untimed", "1"),
    )
    order = []
    while models:
        made = plan(ledger(), NOON, explicit="", complexity=0.0, candidates=models)
        order.append(made.decision.actual_model)
        models = tuple(one for one in models if one.model != order[-1])
    assert order == ["y/fast", "z/fast", "q/slow", "r/untimed", "p/unknown"]


def test_a_model_that_cannot_serve_is_told_with_its_reason() -> None:
    models = (candidate("a/cheap", "1", excluded=("capability_missing",)), DEFAULT)
    made = plan(ledger(), NOON, explicit="", complexity=0.0, candidates=models)
    assert made.decision.actual_model == "b/default"
    assert [(one.model, one.reasons) for one in made.decision.candidates] == [
        ("a/cheap", ("capability_missing",)),
        ("b/default", ()),
    ]


def test_nothing_serves_where_nobody_can() -> None:
    made = plan(ledger(), NOON, candidates=(candidate("b/default", "1", excluded=("not_allowed_for_key",)),))
    assert made.candidate is None
    assert not made.proceeds
    assert made.decision.blocked
    assert codes(made) == {"no_candidate", "not_allowed_for_key"}
    assert refusal_message(made.decision) == "No allowed model can serve this request."


def test_a_default_that_cannot_serve_gives_way_to_the_cheapest() -> None:
    models = (candidate("b/default", "10", excluded=("context_too_long",)), CHEAP, candidate("e/other", "2"))
    assert plan(ledger(), NOON, explicit="", candidates=models).decision.actual_model == "a/cheap"


@pytest.mark.parametrize(
    ("override", "model", "reason"),
    [
        ("degrade", "a/cheap", "policy_degrade"),
        ("model:c/premium", "c/premium", "policy_model"),
        ("model:x/absent", "b/default", "policy_model_incapable"),
    ],
)
def test_a_budget_over_soft_may_change_the_model_also_a_named_one(override: str, model: str, reason: str) -> None:
    near = policy(hard="1.00", soft_limit=usd(2 * CENT), routing_override=override)
    assert reason not in codes(plan(ledger(near, spent=CENT), NOON))
    made = plan(ledger(near, spent=2 * CENT), NOON)
    assert made.decision.actual_model == model
    assert reason in codes(made)


def test_of_several_overrides_the_cheapest_model_wins() -> None:
    named = policy("n", hard="1.00", soft_limit="0.001", routing_override="model:c/premium")
    degrade = policy("d", hard="1.00", soft_limit="0.001", routing_override="degrade")
    assert plan(ledger(named, degrade), NOON).decision.actual_model == "a/cheap"


def test_model_budgets_are_judged_for_each_candidate() -> None:
    only_default = policy(hard="0", scope_kind="model", scope_id="b/default")
    made = plan(ledger(only_default), NOON)
    assert made.decision.blocked
    ways = {item.kind: item.value for item in made.decision.counterfactual}
    assert ways["model"] == "a/cheap"


# Modes


@pytest.mark.parametrize("mode", [RoutingMode.SUGGEST, RoutingMode.DRY_RUN])
def test_a_loose_mode_recommends_and_lets_run(mode: RoutingMode) -> None:
    made = plan(ledger(tight(), spent=5 * CENT, mode=mode), NOON, explicit="", complexity=0.0)
    assert made.proceeds
    assert (made.decision.actual_model, made.decision.recommended_model) == ("b/default", "a/cheap")
    assert made.decision.would_block == ("day",)
    assert {"would_block", f"mode_{mode}"} <= codes(made)
    assert made.decision.outcome == "blocked"


def test_a_request_can_raise_the_mode() -> None:
    loose = ledger(tight(), spent=3 * CENT, mode=RoutingMode.SUGGEST)
    made = plan(loose, NOON, requested_mode=RoutingMode.ENFORCED)
    assert made.decision.blocked
    assert "mode_raised" in codes(made)


def test_a_looser_request_is_ignored_and_told() -> None:
    made = plan(ledger(tight(), spent=3 * CENT), NOON, requested_mode=RoutingMode.SUGGEST)
    assert made.decision.blocked
    assert "mode_refused" in codes(made)


def test_the_run_takes_the_strictest_mode_of_its_budgets() -> None:
    relaxed = policy("r", hard="0.001", routing_override="mode:suggest")
    enforced = policy("e", hard="0.001", soft_limit="0.001", routing_override="mode:enforced")
    assert plan(ledger(relaxed, mode=RoutingMode.ENFORCED), NOON).decision.mode is RoutingMode.SUGGEST
    unclamped = OutputLimits(clamp_output=False)
    made = plan(ledger(relaxed, enforced, mode=RoutingMode.DRY_RUN), NOON, limits=unclamped)
    assert made.decision.mode is RoutingMode.ENFORCED
    assert [item.policy_id for item in made.decision.evaluations if item.refused] == ["e"]


# Output


@pytest.mark.parametrize(
    ("streaming", "max_tokens", "choices", "fields", "bound", "send", "sliced"),
    [
        (False, 500, 1, {}, 500, None, False),
        (False, 500, 3, {}, 1500, None, False),
        (False, None, 1, {}, 4096, 4096, False),
        (False, None, 1, {"p95_output": 3000}, 12_000, 12_000, False),
        (False, None, 1, {"p95_output": 3000, "max_output": 8000}, 8000, 8000, False),
        (False, None, 2, {"max_output": 1000}, 2000, 1000, False),
        (True, None, 1, {}, 1024, None, True),
        (True, 100_000, 1, {}, 1024, None, True),
        (True, 100_000, 1, {"p95_output": 77}, 77, None, True),
        (True, 50, 1, {"p95_output": 77}, 50, None, True),
        (True, 30, 2, {"p95_output": 77}, 60, None, True),
        (True, None, 1, {"max_output": 200}, 200, None, True),
        (True, None, 1, {"wants_ceiling": True}, 1024, 4096, True),
        (True, None, 1, {"wants_ceiling": True, "p95_output": 2000}, 2000, 8000, True),
        (True, None, 1, {"wants_ceiling": True, "max_output": 900}, 900, 900, True),
        (True, 500, 1, {"wants_ceiling": True}, 500, None, True),
        (True, 9000, 1, {"hidden_reasoning": True}, 9000, None, False),
        (True, None, 1, {"hidden_reasoning": True}, 4096, 4096, False),
    ],
)
def test_output_is_held_for_as_long_as_it_cannot_be_stopped(
    streaming: bool,
    max_tokens: int | None,
    choices: int,
    fields: dict[str, Any],
    bound: int,
    send: int | None,
    sliced: bool,
) -> None:
    models = (candidate("b/default", "10", **fields),)
    made = plan(ledger(), NOON, candidates=models, streaming=streaming, max_tokens=max_tokens, choices=choices)
    assert (made.output_bound, made.send_max_tokens, made.sliced, made.clamped) == (bound, send, sliced, None)
    assert made.estimate is not None
    assert made.estimate.bound_output == bound


def test_a_call_is_clamped_to_what_the_budget_affords() -> None:
    made = plan(ledger(policy(hard=usd(300 * NANO_PER_TOKEN))), NOON, max_tokens=1000)
    assert made.proceeds
    assert (made.output_bound, made.send_max_tokens, made.clamped) == (300, 300, 300)
    assert "output_clamped" in codes(made)
    assert made.decision.max_tokens == 300


def test_a_clamp_is_per_choice() -> None:
    made = plan(ledger(policy(hard=usd(300 * NANO_PER_TOKEN))), NOON, max_tokens=1000, choices=3)
    assert (made.output_bound, made.clamped) == (300, 100)


def test_a_stream_begins_with_what_is_left_and_is_not_capped_upstream() -> None:
    made = plan(ledger(policy(hard=usd(300 * NANO_PER_TOKEN))), NOON, streaming=True, max_tokens=None)
    assert made.proceeds
    assert (made.output_bound, made.send_max_tokens, made.clamped, made.sliced) == (300, None, None, True)


@pytest.mark.parametrize(
    ("hard", "limits", "action"),
    [
        (63, OutputLimits(), "block"),
        (300, OutputLimits(clamp_output=False), "block"),
        (300, OutputLimits(), "approval_required"),
        (300, OutputLimits(min_output_tokens=301), "block"),
    ],
)
def test_nothing_is_clamped_where_it_must_not_be(hard: int, limits: OutputLimits, action: str) -> None:
    made = plan(ledger(policy(hard=usd(hard * NANO_PER_TOKEN), action=action)), NOON, limits=limits)
    assert not made.proceeds
    assert made.clamped is None


def test_blocks_and_approvals_together_block() -> None:
    three = (
        policy("soft", hard="5", soft_limit="0.001"),
        policy("stop", hard="0.001"),
        policy("ask", hard="0.001", action="approval_required"),
    )
    made = plan(ledger(*three), NOON)
    assert made.decision.blocked
    assert not made.decision.approval_required
    assert {"budget_soft_limit", "budget_blocked", "budget_approval_required"} <= codes(made)


def test_an_approval_is_asked_for_only_where_nothing_blocks() -> None:
    made = plan(ledger(policy(hard="0.001", action="approval_required")), NOON)
    assert made.decision.approval_required
    assert made.decision.action == "approval_required"


def test_a_denied_budget_answers_denied() -> None:
    asks = ledger(policy(hard="0.001", action="approval_required"))
    made = plan(asks, NOON, denied=frozenset({"day"}))
    assert made.decision.blocked
    assert "budget_denied" in codes(made)


@pytest.mark.parametrize(
    ("rule", "proceeds", "code"),
    [
        ("block", False, "price_unknown_blocked"),
        ("allow", True, "price_unknown_allowed"),
        ("flat:0.01", True, "price_unknown_flat"),
    ],
)
def test_an_unknown_price_is_told_as_each_budget_takes_it(rule: str, proceeds: bool, code: str) -> None:
    made = plan(ledger(policy(on_unknown_price=rule)), NOON, candidates=(candidate("b/default", None),))
    assert made.proceeds is proceeds
    assert code in codes(made)


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
