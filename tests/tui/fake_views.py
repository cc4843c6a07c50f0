"""Views of things that consoles show, made up."""

from typing import Any

from palyra.control.queries import DecisionDetail
from palyra.control.snapshots import (
    ApprovalView,
    BudgetView,
    CounterfactualView,
    EngineView,
    EvaluationView,
    GrantView,
    OperatorView,
    RunView,
)

NOW = 1_795_344_120_000
"""2026-11-22 10:42:00 UTC, a Sunday."""
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIDNIGHT = NOW - (NOW % DAY)
USD = 1_000_000_000
CENT = USD // 100

HOSTILE = (
    "\x1b[31m\x1b]52;c;cGF5bG9hZA==\x07ev\x9b2Jil\u202egnp.[b]x[/b]\u200b\u0301\u0301\u0301\u0301\u0301\u0301日本\n2"
)
"""Escape sequence, clipboard write, C1, bidi, markup, zero width, stacked marks, wide letters, a line break."""


def ident(number: int) -> str:
    """An id like a ULID of the fake's morning."""
    return f"01KANEXAMP{number:014d}7F"


def engine(**changes: Any) -> EngineView:
    fields: dict[str, Any] = {
        "phase": "ready",
        "mode": "enforced",
        "version": "0.1.0",
        "boot_id": ident(1),
        "pid": 4711,
        "started_at": NOW - 3 * HOUR,
        "timezone": "UTC",
        "gateway_url": "http://127.0.0.1:8787",
        "socket": "/run/user/1000/palyra/engine.sock",
        "key_file": "/home/ops/.local/state/palyra/gateway-key.txt",
        "state_dir": "/home/ops/.local/state/palyra",
        "config_path": "/home/ops/.config/palyra/palyra.toml",
        "demo": False,
        "journal_ok": True,
        "lag_ms": 0.8,
    }
    return EngineView(**{**fields, **changes})


def operator(role: str = "admin", name: str = "pavel") -> OperatorView:
    return OperatorView(name=name, role=role, attestation="uid")


def budget(policy_id: str, settled: int, held: int, hard: int | None, **changes: Any) -> BudgetView:
    fields: dict[str, Any] = {
        "policy_id": policy_id,
        "name": policy_id,
        "revision": 3,
        "source": "operator",
        "enabled": True,
        "scope_kind": "global",
        "scope_value": "*",
        "metric_kind": "estimated_cost_usd",
        "interval_kind": "daily",
        "timezone": "Europe/Prague",
        "action": "approval_required",
        "mode": "enforced",
        "window_start": MIDNIGHT - HOUR,
        "window_end": MIDNIGHT + 23 * HOUR,
        "settled": settled,
        "held": held,
        "soft_limit": None if hard is None else hard * 8 // 10,
        "hard_limit": hard,
        "granted": 0,
        "status": "ok",
    }
    return BudgetView(**{**fields, **changes})


def evaluation(policy_id: str, settled: int, held: int, bound: int, hard: int, **changes: Any) -> EvaluationView:
    over = settled + held + bound > hard
    fields: dict[str, Any] = {
        "policy_id": policy_id,
        "scope_value": "*",
        "metric_kind": "estimated_cost_usd",
        "settled": settled,
        "held": held,
        "bound": bound,
        "projected": settled + held + bound,
        "soft_limit": hard * 8 // 10,
        "hard_limit": hard,
        "granted": 0,
        "window_start": MIDNIGHT - HOUR,
        "window_end": MIDNIGHT + 23 * HOUR,
        "timezone": "Europe/Prague",
        "mode": "enforced",
        "status": "approval_required" if over else "ok",
        "message": "over its limit" if over else "fits",
        "once_cap": max(0, settled + held + bound - hard) * 11 // 10,
        "session_cap": hard,
    }
    return EvaluationView(**{**fields, **changes})


def approval(number: int, principal: str, model: str, policy: str, excess: int, **changes: Any) -> ApprovalView:
    bound = excess + 67 * CENT
    fields: dict[str, Any] = {
        "approval_id": ident(1000 + number),
        "version": 1,
        "status": "pending",
        "decision": "",
        "principal": principal,
        "key_id": "ci-runner",
        "session": "build-771",
        "model": model,
        "policy_ids": (policy,),
        "excess": excess,
        "excess_metric": "estimated_cost_usd",
        "risk": "low",
        "risk_percent": 4.2,
        "waiting": 0,
        "requested_at": NOW - 41 * SECOND,
        "expires_at": NOW - 41 * SECOND + 900 * SECOND,
        "park_until": NOW + 19 * SECOND,
        "resolved_at": None,
        "decided_by": "",
        "reason": "",
        "run_ids": (ident(2000 + number),),
        "prompt_bytes": 18_400,
        "expected_input": 4_600,
        "max_tokens": 4_096,
        "complexity": 0.71,
        "expected_nano_usd": 42 * CENT,
        "bound_nano_usd": bound,
        "evaluations": (
            evaluation(policy, 1_902 * CENT, 31 * CENT, bound, 1_933 * CENT + bound - excess),
            evaluation(
                "ci-month",
                21_240 * CENT,
                31 * CENT,
                bound,
                400 * USD,
                window_start=MIDNIGHT - 21 * DAY,
                window_end=MIDNIGHT + 9 * DAY - HOUR,
            ),
        ),
        "counterfactual": (
            CounterfactualView("max_tokens", "max_tokens 212", target=212),
            CounterfactualView("model", "the model openai/gpt-5.4-mini", target="openai/gpt-5.4-mini"),
            CounterfactualView("time", "a start at 2026-11-22T23:00:00Z or later", target=MIDNIGHT + 23 * HOUR),
            CounterfactualView("grant", f"a grant of ${excess / USD:.2f} on {policy}", policy, excess),
        ),
        "once_cap": excess * 11 // 10,
        "decision_id": ident(3000 + number),
        "tools": 6,
    }
    return ApprovalView(**{**fields, **changes})


def grant(number: int, kind: str, cap: int, drawn: int, **changes: Any) -> GrantView:
    fields: dict[str, Any] = {
        "grant_id": ident(4000 + number),
        "approval_id": ident(1000 + number),
        "kind": kind,
        "policy_id": "research-day",
        "scope_value": "*",
        "principal": "agent-ci",
        "session": "build-771",
        "metric_kind": "estimated_cost_usd",
        "cap": cap,
        "drawn": drawn,
        "created_at": NOW - 2 * HOUR,
        "expires_at": NOW + 22 * HOUR,
        "state": "active",
        "granted_by": "pavel",
    }
    return GrantView(**{**fields, **changes})


def run(number: int, state: str, principal: str, model: str, cost: int | None, **changes: Any) -> RunView:
    live = state in ("pending", "parked", "running")
    accepted = NOW - number * 37 * SECOND - 5 * SECOND
    provider, _, _ = model.partition("/")
    fields: dict[str, Any] = {
        "run_id": ident(2000 + number),
        "version": 4,
        "state": state,
        "phase": "stream" if state == "running" else "park" if state == "parked" else "",
        "reason": "stop" if state == "completed" else "" if live else "budget_approval_required",
        "message": "",
        "principal": principal,
        "session": "build-771",
        "key_id": "ci-runner",
        "wire": "openai_chat",
        "streaming": number % 2 == 0,
        "model_asked": model,
        "provider": provider,
        "model": model,
        "input_tokens": 4_600 + number,
        "output_tokens": 0 if state == "parked" else 812 + number * 3,
        "cost_nano_usd": cost,
        "held_nano_usd": 31 * CENT if live else None,
        "accepted_at": accepted,
        "first_byte_at": None if state in ("pending", "parked") else accepted + 900,
        "finished_at": None if live else accepted + 2_900,
        "attempts": 0 if state in ("parked", "refused") else 1,
        "approval_id": "",
        "decision_id": ident(3000 + number),
    }
    return RunView(**{**fields, **changes})


def detail_of(run_id: str, decision_id: str) -> DecisionDetail:
    return DecisionDetail(
        decision_id=decision_id,
        run_id=run_id,
        at=NOW - 41 * SECOND,
        outcome="approval_required",
        mode="enforced",
        sentences=(
            "The request names openai/gpt-5.4, which stays as asked.",
            "research-day stands at $19.33 of $20.00; with this request it would reach $20.84.",
            "A person has to let it pass, because research-day asks for approval over its limit.",
        ),
        reason_codes=("budget_approval_required", "explicit_model"),
        body={"decision_id": decision_id, "mode": "enforced", "estimate": {"bound_nano_usd": 1_510_000_000}},
    )
