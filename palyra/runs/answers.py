"""What callers are told: the report every answer carries, and refusals with what would have passed."""

from typing import Any

from palyra.config.choices import MetricKind
from palyra.core.money import decimal_usd
from palyra.governance.evaluate import Cause, UsageBudgetEvaluation
from palyra.governance.explain import instant_text, refusal_message
from palyra.providers.errors import ProviderError
from palyra.providers.registry import ModelNotFoundError, WrongRoleError
from palyra.runs.live import LiveRun
from palyra.runs.planning import Planned
from palyra.runs.request import Refusal, RunReport

STOPPED_RETRY_S = 5.0


def report_of(run: LiveRun, planned: Planned) -> RunReport:
    """What the headers tell. Costs are known once the run has ended."""
    row, decision = run.row, planned.decision
    ended = run.state.terminal
    known = planned.option is not None
    return RunReport(
        run_id=run.run_id,
        decision_id=decision.decision_id,
        approval_id=row.approval_id,
        model=row.model,
        attempts=row.attempts,
        outcome=decision.outcome.value,
        reason_codes=decision.reason_codes,
        would_block=decision.would_block,
        output_clamped=planned.plan.clamped,
        bound_usd=planned.estimate.bound_usd if known else None,
        cost_usd=row.cost if ended and row.attempts else None,
        usage_source=run.usage_source,
    )


def refused_by_budget(run: LiveRun, planned: Planned, reason: str, said: str = "") -> Refusal:
    """402 in words: which budgets, with which numbers, and the nearest ways past them. `said` is a decider's reason."""
    decision = planned.decision
    palyra = _palyra(run, planned)
    if reason == "no_candidate":
        usable = [item.reasons for item in decision.candidates if "not_allowed_for_key" not in item.reasons]
        missing = sorted({code for reasons in usable for code in reasons})
        if missing == ["capability_missing"]:
            message = f"{decision.requested_model} cannot serve what this request needs."
            param = next(iter(planned.uncarried), None)
            if param is not None:
                message += f" {', '.join(planned.uncarried)} cannot be said on the wire of its provider: leave it out."
            return Refusal(400, "invalid_request_error", "capability_missing", message, palyra, param=param)
        if missing == ["context_too_long"]:
            message = f"The request is far longer than {decision.requested_model} can read."
            return Refusal(400, "invalid_request_error", "context_window_exceeded", message, palyra)
        message = "No allowed model can serve this request."
        return Refusal(503, "overloaded_error", "no_candidate", message, palyra, retry_after=STOPPED_RETRY_S)
    message = refusal_message(decision)
    if reason == "budget_denied":
        message = f"An operator refused this request{f': {said}' if said else ''}. {message}"
        return Refusal(402, "budget_denied", "budget_denied", message, palyra)
    if reason == "budget_approval_required":
        waits = f"Approval {run.row.approval_id} waits for an operator; send the request again once it is allowed."
        message = f"{message} {waits}"
        return Refusal(402, "budget_approval_required", "budget_approval_required", message, palyra)
    unpriced = any(item.cause is Cause.PRICE for item in planned.refusing)
    return Refusal(402, "budget_exceeded", "price_unknown_blocked" if unpriced else "budget_blocked", message, palyra)


def _palyra(run: LiveRun, planned: Planned) -> dict[str, object]:
    decision = planned.decision
    return {
        "run_id": run.run_id,
        "decision_id": decision.decision_id,
        "approval_id": run.row.approval_id or None,
        "outcome": decision.outcome.value,
        "evaluations": [_evaluation(item) for item in decision.evaluations],
        "counterfactual": [
            _told(item.kind, item.value, item.policy_id, item.amount, decision.evaluations)
            for item in decision.counterfactual
        ],
    }


def _evaluation(item: UsageBudgetEvaluation) -> dict[str, Any]:
    def text(amount: int | None) -> str | None:
        return None if amount is None else _amount(amount, item.metric_kind)

    return {
        "policy_id": item.policy_id,
        "scope": item.scope_value,
        "status": item.status.value,
        "settled": text(item.settled),
        "held": text(item.held),
        "bound": text(item.bound),
        "hard": text(item.hard),
        "window_end": None if item.window.end is None else instant_text(item.window.end),
    }


def _amount(amount: int, metric: MetricKind) -> str:
    return decimal_usd(amount) if metric is MetricKind.ESTIMATED_COST_USD else str(amount)


def _told(
    kind: str,
    value: int | str | None,
    policy_id: str,
    amount: int | None,
    evaluations: tuple[UsageBudgetEvaluation, ...],
) -> dict[str, Any]:
    if kind == "grant" and amount is not None:
        metric = next(item.metric_kind for item in evaluations if item.policy_id == policy_id)
        return {"kind": kind, "policy_id": policy_id, "amount": _amount(amount, metric)}
    if kind == "time" and isinstance(value, int):
        return {"kind": kind, "value": instant_text(value)}
    return {"kind": kind, "value": value}


def model_not_found(error: ModelNotFoundError) -> Refusal:
    if isinstance(error, WrongRoleError):
        return Refusal(400, "invalid_request_error", "invalid_field", str(error), param="model")
    return Refusal(404, "not_found_error", "model_not_found", str(error))


def model_not_allowed(model: str) -> Refusal:
    message = f"This key may not use {model}. See /v1/models for those it may."
    return Refusal(403, "permission_error", "model_not_allowed", message)


def provider_failed(run: LiveRun, planned: Planned, error: ProviderError) -> Refusal:
    retry_after = None if error.retry_after_ms is None else error.retry_after_ms / 1000
    if error.status == 503 and retry_after is None:
        retry_after = 1.0
    return Refusal(error.status, error.type, error.code, str(error), _palyra(run, planned), retry_after, error.body)


def cancelled(run: LiveRun, reason: str) -> Refusal:
    """A run that was stopped before it had an answer."""
    palyra: dict[str, object] = {"run_id": run.run_id, "approval_id": run.row.approval_id or None}
    if reason == "engine_stopping":
        message = "Palyra is stopping and takes no new work."
        return Refusal(503, "overloaded_error", "engine_draining", message, palyra, retry_after=STOPPED_RETRY_S)
    if reason == "run_timeout":
        message = "The run took longer than runs.max_duration allows."
        return Refusal(504, "timeout_error", "run_timeout", message, palyra)
    by = f" by {run.stopped_by}" if run.stopped_by else ""
    return Refusal(410, "run_cancelled", "run_cancelled", f"The run was cancelled{by}.", palyra)


def journal_unavailable(run_id: str = "") -> Refusal:
    """Without a run id the request never became a run."""
    message = "The journal cannot be written, so nothing may be spent. Nothing was sent to the provider."
    palyra: dict[str, object] = {"run_id": run_id} if run_id else {}
    return Refusal(503, "overloaded_error", "journal_unavailable", message, palyra, retry_after=STOPPED_RETRY_S)


def clock_behind(run_id: str) -> Refusal:
    message = "The clock was set back: Palyra counts again what was spent. Nothing was sent to the provider."
    palyra: dict[str, object] = {"run_id": run_id}
    return Refusal(503, "overloaded_error", "journal_unavailable", message, palyra, retry_after=STOPPED_RETRY_S)


def internal_error(run: LiveRun) -> Refusal:
    message = "Palyra failed to execute this run; its log says why."
    return Refusal(500, "api_error", "internal_error", message, {"run_id": run.run_id})
