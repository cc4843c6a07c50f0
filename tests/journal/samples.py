"""Rows and changes as the engine writes them, with every field that a test does not care about filled in."""

import itertools
from dataclasses import replace
from typing import Any

from palyra.core.ids import encode
from palyra.core.scope import Scope
from palyra.journal.changes import Change, DecisionMade, HoldEnded, HoldTaken, RunNoted, RunSaved, UsageRecorded
from palyra.journal.rows import ApprovalRow, CounterMove, DecisionRow, GrantRow, HoldRow, PolicyRow, RunRow, UsageRow

T0 = 1_795_348_800_000
HOUR = 3_600_000
DAY = 24 * HOUR

_count = itertools.count(1)

SCOPE = Scope(
    "ann@example.com", "default:k1", "k1", "web:main", "coder", "", {"team": "blue", "cost-centre": "Ünïcode 7"}
)


def new_id() -> str:
    return encode(T0, next(_count))


def a_run(run_id: str = "", **changes: Any) -> RunRow:
    run = RunRow(
        run_id=run_id or new_id(),
        boot_id="boot-1",
        version=1,
        source="gateway",
        scope=SCOPE,
        task_class="primary_interactive",
        wire="openai_chat",
        streaming=True,
        model_asked="gpt-4o-mini",
        max_tokens=512,
        input_bytes=2048,
        expected_input=512,
        complexity=0.1 + 0.2,
        digest="d" * 64,
        state="pending",
        phase="plan",
        reason="",
        message="",
        accepted_at=T0,
        mode="enforced",
        provider="openai",
        model="gpt-4o-mini",
    )
    return replace(run, **changes)


def ended(run: RunRow, state: str = "completed", **changes: Any) -> RunRow:
    fields: dict[str, Any] = {
        "version": run.version + 1,
        "state": state,
        "phase": "settle",
        "reason": "stop",
        "finished_at": run.accepted_at + 1500,
        "flags": ("usage_missing",),
        "grant_ids": ("g1", "g2"),
        "cost": 450_000,
    }
    return replace(run, **(fields | changes))


def a_move(**changes: Any) -> CounterMove:
    move = CounterMove("team-day", "ann@example.com", T0, "estimated_cost_usd", 9_007_199_254_740_993, None, True)
    return move._replace(**changes)


def a_hold(run: RunRow, hold_id: str = "", **changes: Any) -> HoldRow:
    hold = HoldRow(
        hold_id=hold_id or new_id(),
        run_id=run.run_id,
        attempt=1,
        boot_id=run.boot_id,
        scope=run.scope,
        provider="openai",
        model="gpt-4o-mini",
        created_at=run.accepted_at,
        bound_usd=1_000_000,
        bound_tokens=1536,
        expected_input=512,
        expected_usd=450_000,
        price_state="known",
        card={"card_id": "c1", "rates": [{"unit": "input", "usd": "0.15", "per": 1_000_000}]},
        moves=(
            a_move(),
            a_move(policy_id="tokens", metric="total_tokens", held=1536, drawn=(("g1", 7),), limit=10**18),
            a_move(policy_id="month", limit=5, rolling="rolling_30d"),
        ),
        mode="enforced",
    )
    return hold._replace(**changes)


def a_usage(hold: HoldRow, **changes: Any) -> UsageRow:
    usage = UsageRow(
        hold_id=hold.hold_id,
        run_id=hold.run_id,
        attempt=hold.attempt,
        at=hold.created_at + 1500,
        provider=hold.provider,
        model=hold.model,
        scope=hold.scope,
        input_total=1000,
        cache_read=100,
        write_5m=1,
        write_1h=2,
        output_total=500,
        reasoning=50,
        audio_in=3,
        audio_out=4,
        tool_uses=5,
        metered_input=990,
        metered_output=490,
        usage_source="provider",
        flags=("identity_U2",),
        price_state="known",
        rates=({"unit": "input", "count": 1000, "usd": "0.15", "per": 1_000_000},),
        charge=450_000,
        reported_cost=None,
        raw={"prompt_tokens": 1000, "completion_tokens": 500},
        latency_ms=1200,
        visible_bytes=2100,
        overhead=700,
        answer_id="resp_1",
    )
    return replace(usage, **changes)


def an_end(hold: HoldRow, state: str = "settled", **changes: Any) -> HoldEnded:
    end = HoldEnded(
        hold_id=hold.hold_id,
        state=state,
        terminal_at=hold.created_at + 1500,
        actual_usd=450_000,
        actual_tokens=1500,
        requests=1,
        usage_source="provider",
        overrun=0,
        recovered=False,
        moves=tuple(move._replace(actual=move.held // 2) for move in hold.moves),
    )
    return end._replace(**changes)


def a_decision(run: RunRow, decision_id: str = "", **changes: Any) -> DecisionRow:
    decision = DecisionRow(
        decision_id=decision_id or new_id(),
        run_id=run.run_id,
        at=run.accepted_at,
        mode="enforced",
        outcome="ok",
        action="proceed",
        reason_codes=("budget_ok", "complexity_low"),
        body={
            "candidates": [
                {"model": f"model-{n}", "expected": 450_000 + n, "reasons": ["unhealthy"]} for n in range(4)
            ],
            "evaluations": [{"policy_id": f"p{n}", "projected": 10**17 + 1, "message": "fits ✓" * 5} for n in range(3)],
            "explanation": ["The cheapest capable model was taken because the text is simple."] * 3,
        },
    )
    return replace(decision, **changes)


def an_approval(approval_id: str = "", **changes: Any) -> ApprovalRow:
    approval = ApprovalRow(
        approval_id=approval_id or new_id(),
        version=1,
        principal="ann@example.com",
        session="default:k1",
        policy_ids=("team-day", "team-month"),
        requested_at=T0,
        expires_at=T0 + 900_000,
        status="pending",
        decision="",
        resolved_at=None,
        decided_by="",
        reason="",
        risk="low",
        body={"subjects": [{"policy_id": "team-day", "excess": 5}]},
    )
    return replace(approval, **changes)


def a_grant(approval: ApprovalRow, grant_id: str = "", **changes: Any) -> GrantRow:
    grant = GrantRow(
        grant_id=grant_id or new_id(),
        version=1,
        approval_id=approval.approval_id,
        kind="once",
        policy_id="team-day",
        scope_value="ann@example.com",
        principal="ann@example.com",
        session="default:k1",
        cap=5_000_000,
        metric="estimated_cost_usd",
        created_at=T0,
        expires_at=T0 + HOUR,
        window_start=None,
        state="live",
        run_ids=("r1",),
        granted_by="olga",
    )
    return replace(grant, **changes)


def a_policy(policy_id: str = "team-day", **changes: Any) -> PolicyRow:
    policy = PolicyRow(policy_id, 1, "5" * 64, False, T0, "olga", {"hard_limit": "5.00"})
    return replace(policy, **changes)


def taken(run: RunRow, hold: HoldRow) -> list[Change]:
    """What is durable before a byte is sent."""
    return [RunSaved(run), DecisionMade(a_decision(run, f"decision-{run.run_id}")), HoldTaken(hold)]


def settled(run: RunRow, hold: HoldRow, **usage: Any) -> list[Change]:
    """A terminal write."""
    row = a_usage(hold, **usage)
    return [
        HoldEnded(hold.hold_id, "settled", row.at, row.charge, 1500, 1, "provider", 0, False, hold.moves),
        UsageRecorded(row),
        RunSaved(ended(run, finished_at=row.at)),
        RunNoted(run.run_id, row.at, "run_terminal", {"state": "completed"}),
    ]
