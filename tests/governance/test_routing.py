"""Which model serves a request, and in which mode."""

import pytest

from palyra.config.choices import CostTier, RoutingMode
from palyra.governance.candidates import Candidate, OutputLimits, TaskClass
from palyra.governance.explain import refusal_message
from tests.governance.plans import CHEAP, DEFAULT, candidate, plan
from tests.governance.policies import policy
from tests.governance.routed import CENT, NOON, codes, ledger, tight, usd

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
