"""What is heard from the journal's units: which counters moved, who refused, what served, and nothing else."""

from typing import Any

import pytest

from palyra.governance.alerts import Refusals
from palyra.governance.evaluate import EvaluationStatus
from palyra.journal.changes import Change, DecisionMade, HoldTaken, RunSaved, UsageRecorded
from palyra.runs.hearing import REFUSAL_LASTS_MS, Hearing
from tests.journal.samples import T0, a_decision, a_hold, a_run, a_usage, ended, settled

KEY = ("day", "*")
RUN = a_run("r1")


def decided(at: int = T0, outcome: str = "blocked", **item: Any) -> DecisionMade:
    evaluation = {
        "policy_id": "day",
        "scope_value": "*",
        "status": "blocked",
        "mode": "enforced",
        "cause": "limit",
        "window_start": T0,
        "sha256": "hash",
        **item,
    }
    passed = {**evaluation, "policy_id": "other", "status": "ok", "cause": ""}
    return DecisionMade(a_decision(RUN, at=at, outcome=outcome, body={"evaluations": [passed, evaluation]}))


def heard(*changes: Change) -> Hearing:
    hearing = Hearing()
    hearing.hear(changes)
    return hearing


def test_a_hold_moves_its_counters_when_it_is_taken_and_when_it_ends() -> None:
    hold = a_hold(RUN)
    moved = {(move.policy_id, move.scope_value) for move in hold.moves}
    assert set(heard(HoldTaken(hold)).touched) == moved
    assert set(heard(*settled(RUN, hold)).touched) == moved


def test_counters_are_taken_in_the_order_in_which_they_have_waited() -> None:
    hearing = Hearing()
    for name in "abcab":
        hearing.touched[name, "*"] = None
    assert hearing.take(2) == [("a", "*"), ("b", "*")]
    assert hearing.take(5) == [("c", "*")]
    assert hearing.take(5) == []


@pytest.mark.parametrize(
    ("outcome", "item", "counts"),
    [
        ("blocked", {}, True),
        ("blocked", {"cause": "price"}, True),
        ("approval_required", {"status": "approval_required"}, True),
        ("blocked", {"mode": "dry_run"}, False),
        ("blocked", {"cause": "denied"}, False),
        ("blocked", {"status": "hard_limit"}, False),
        ("hard_limit", {}, False),
    ],
)
def test_only_what_a_budget_really_refused_by_itself_counts(outcome: str, item: dict[str, Any], counts: bool) -> None:
    hearing = heard(decided(outcome=outcome, **item))
    found = hearing.refused(KEY, T0, T0, "hash")
    assert (found is not None) is counts
    assert (KEY in hearing.touched) is counts
    assert hearing.refused(("other", "*"), T0, T0, "hash") is None
    if found is not None:
        assert found == Refusals(EvaluationStatus(item.get("status", "blocked")), T0, 1, "hash")


@pytest.mark.parametrize(
    ("at", "window_start", "sha256", "counts"),
    [
        (T0 + REFUSAL_LASTS_MS - 1, T0, "hash", True),
        (T0 + REFUSAL_LASTS_MS, T0, "hash", False),
        (T0 + 1, T0 + 1, "hash", False),
        (T0 + 1, T0, "other", False),
    ],
)
def test_a_refusal_lasts_a_while_within_its_window_and_terms(
    at: int, window_start: int, sha256: str, counts: bool
) -> None:
    assert (heard(decided()).refused(KEY, at, window_start, sha256) is not None) is counts


def test_refusals_of_one_window_add_up() -> None:
    hearing = heard(decided(), decided(T0 + 5), decided(T0 + 9))
    found = hearing.refused(KEY, T0 + 9, T0, "hash")
    assert found is not None
    assert (found.count, found.at) == (3, T0 + 9)
    hearing.hear([decided(T0 + 20, window_start=T0 + 10)])
    found = hearing.refused(KEY, T0 + 20, T0 + 10, "hash")
    assert found is not None
    assert found.count == 1


@pytest.mark.parametrize(
    ("price_state", "unpriced"), [("known", False), ("free", False), ("unknown", True), ("unknown_flat", True)]
)
def test_which_models_served_and_at_what_price(price_state: str, unpriced: bool) -> None:
    usage = a_usage(a_hold(RUN), price_state=price_state)
    hearing = heard(UsageRecorded(usage))
    assert hearing.used == {(usage.provider, usage.model)}
    assert (hearing.unpriced == hearing.used) is unpriced


def test_a_run_has_ended_once_it_is_terminal() -> None:
    assert not heard(RunSaved(RUN)).ended
    assert heard(RunSaved(ended(RUN))).ended
