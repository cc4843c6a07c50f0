"""What callers are told: the report every answer carries, and refusals with what would have passed."""

from typing import Any

from palyra.governance.evaluate import Cause, UsageBudgetEvaluation
from palyra.governance.explain import instant_text, refusal_message
from palyra.governance.policy import plain_amount
from palyra.providers.credentials import RATE_LIMITED_MS
from palyra.providers.errors import ProviderError
from palyra.providers.registry import ModelNotFoundError, WrongRoleError
from palyra.providers.ways import BREAKER_OPEN
from palyra.runs.live import LiveRun
from palyra.runs.planned import Planned
from palyra.runs.request import Refusal, RunReport

STOPPED_RETRY_S = 5.0
OVERLOADED_RETRY_S = 1.0


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
        cached=run.cached,
        away_s=run.away_s,
    )


def refused_by_budget(
    run: LiveRun, planned: Planned, reason: str, said: str = "", *, after: ProviderError | None = None
) -> Refusal:
    """402 in words: which budgets, with which numbers, and the nearest ways past them. `said` is a decider's reason,
    `after` what the attempt before came to."""
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
        if planned.obstacles:
            return _out_of_reach(planned, palyra)
        message = "No allowed model can serve this request."
        return Refusal(503, "overloaded_error", "no_candidate", message, palyra, retry_after=STOPPED_RETRY_S)
    message = refusal_message(decision)
    if after is not None:
        message = f"{message} It was to follow an attempt that failed: {after}"
    if reason == "budget_denied":
        message = f"An operator refused this request{f': {said}' if said else ''}. {message}"
        return Refusal(402, "budget_denied", "budget_denied", message, palyra)
    if reason == "budget_approval_required":
        waits = f"Approval {run.row.approval_id} waits for an operator; send the request again once it is allowed."
        message = f"{message} {waits}"
        return Refusal(402, "budget_approval_required", "budget_approval_required", message, palyra)
    unpriced = any(item.cause is Cause.PRICE for item in planned.refusing)
    return Refusal(402, "budget_exceeded", "price_unknown_blocked" if unpriced else "budget_blocked", message, palyra)


def _out_of_reach(planned: Planned, palyra: dict[str, object]) -> Refusal:
    """Models could serve it, and none of them can be asked now; the one that was asked for tells why."""
    first = planned.obstacles[0]
    if first.retry_after_ms is None:
        return Refusal(502, "api_error", "upstream_auth", first.detail, palyra)
    wait = min(one.retry_after_ms for one in planned.obstacles if one.retry_after_ms is not None) / 1000
    asked = planned.decision.requested_model
    if first.code == BREAKER_OPEN:
        message = f"The provider of {asked} has failed repeatedly and is not asked for a while; send it again later."
        return Refusal(503, "overloaded_error", "breaker_open", message, palyra, retry_after=max(1.0, wait))
    message = f"Every credential for {asked} rests after an error; send it again later."
    return Refusal(503, "overloaded_error", "no_candidate", message, palyra, retry_after=max(1.0, wait))


def _palyra(run: LiveRun, planned: Planned) -> dict[str, object]:
    decision = planned.decision
    tried = {"attempts": [trace.to_json() for trace in run.traces]} if run.traces else {}
    return {
        **tried,
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
        return None if amount is None else plain_amount(amount, item.metric_kind)

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


def _told(
    kind: str,
    value: int | str | None,
    policy_id: str,
    amount: int | None,
    evaluations: tuple[UsageBudgetEvaluation, ...],
) -> dict[str, Any]:
    if kind == "grant" and amount is not None:
        metric = next(item.metric_kind for item in evaluations if item.policy_id == policy_id)
        return {"kind": kind, "policy_id": policy_id, "amount": plain_amount(amount, metric)}
    if kind == "time" and isinstance(value, int):
        return {"kind": kind, "value": instant_text(value)}
    return {"kind": kind, "value": value}


def model_not_found(error: ModelNotFoundError) -> Refusal:
    """No model of that name, or one for something else: 404, or 400."""
    if isinstance(error, WrongRoleError):
        return Refusal(400, "invalid_request_error", "invalid_field", str(error), param="model")
    return Refusal(404, "not_found_error", "model_not_found", str(error))


def model_not_allowed(model: str) -> Refusal:
    """The caller's key may not use the model: 403."""
    message = f"This key may not use {model}. See /v1/models for those it may."
    return Refusal(403, "permission_error", "model_not_allowed", message)


def provider_failed(run: LiveRun, planned: Planned, error: ProviderError) -> Refusal:
    """What the caller is told where the last attempt failed."""
    return upstream_failed(error, _palyra(run, planned))


def upstream_failed(error: ProviderError, palyra: dict[str, object] | None = None) -> Refusal:
    """What became of a call in the caller's words."""
    retry_after = None if error.retry_after_ms is None else error.retry_after_ms / 1000
    if retry_after is None:
        retry_after = {503: OVERLOADED_RETRY_S, 429: RATE_LIMITED_MS / 1000}.get(error.status)
    return Refusal(error.status, error.type, error.code, str(error), palyra or {}, retry_after, error.body)


def deferred(run: LiveRun, planned: Planned, wait_s: float, *, full: bool) -> Refusal:
    """No place at a provider came free in time; `full`: too many wait for one already."""
    code = "too_many_runs" if full else "lease_timeout"
    what = "Too many requests wait for" if full else "Nobody gave back in time"
    message = f"{what} a place at provider {run.row.provider}; send it again later."
    return Refusal(503, "overloaded_error", code, message, _palyra(run, planned), retry_after=max(1.0, wait_s))


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
    """The clock was set back, and spending is counted anew: 503."""
    message = "The clock was set back: Palyra counts again what was spent. Nothing was sent to the provider."
    palyra: dict[str, object] = {"run_id": run_id}
    return Refusal(503, "overloaded_error", "journal_unavailable", message, palyra, retry_after=STOPPED_RETRY_S)


def internal_error(run: LiveRun) -> Refusal:
    """Palyra's own fault: 500, without details."""
    message = "Palyra failed to execute this run; its log says why."
    return Refusal(500, "api_error", "internal_error", message, {"run_id": run.run_id})
