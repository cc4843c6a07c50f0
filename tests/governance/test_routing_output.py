"""How much of an answer is held for, what ceiling is sent, and what becomes of both where a budget is short."""

from typing import Any

import pytest

from palyra.governance.candidates import OutputLimits
from tests.governance.plans import NANO_PER_TOKEN, candidate, plan
from tests.governance.policies import policy
from tests.governance.routed import NOON, codes, ledger, usd


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
