"""Rows of the journal as the values consoles see."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from palyra.config.choices import MetricKind
from palyra.control.attempts import Trace, attempt_sentences
from palyra.control.price_views import part_view
from palyra.control.queries import AttemptView, DecisionDetail
from palyra.control.snapshots import (
    ApplicantView,
    ApprovalView,
    BudgetView,
    CounterfactualView,
    EvaluationView,
    ForecastView,
    GrantView,
    RunView,
)
from palyra.control.usage_queries import UsageNumbers
from palyra.core.money import MAX, format_usd
from palyra.governance.approval_record import ApprovalRecord, excess_percent
from palyra.governance.decision import ReasonCode, RoutingDecision
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.explain import evaluation_message, sentences
from palyra.governance.forecast import Forecast
from palyra.governance.granting import once_cap, session_cap
from palyra.governance.grants import Grant
from palyra.governance.ledger import Ledger
from palyra.governance.standing import Standing, forecast_of, standings
from palyra.journal.rows import DecisionRow, GrantRow, HoldRow, RunRow, UsageRow, UsageTotals
from palyra.pricing.rates import RatePart


def run_view(row: RunRow, held: int | None = 0) -> RunView:
    """`held` is what the run reserves now (nano-dollars, None when its price is unknown)."""
    return RunView(
        run_id=row.run_id,
        version=row.version,
        state=row.state,
        phase=row.phase,
        reason=row.reason,
        message=row.message,
        principal=row.scope.principal,
        session=row.scope.session,
        key_id=row.scope.key_id,
        wire=row.wire,
        streaming=row.streaming,
        model_asked=row.model_asked,
        provider=row.provider,
        model=row.model,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_nano_usd=row.cost,
        held_nano_usd=held,
        accepted_at=row.accepted_at,
        first_byte_at=row.first_byte_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
        approval_id=row.approval_id,
        decision_id=row.decision_id,
        flags=row.flags,
    )


def attempt_view(hold: HoldRow, usage: UsageRow | None) -> AttemptView:
    """An attempt as consoles see it: its hold, and what it used."""
    return AttemptView(
        number=hold.attempt,
        hold_id=hold.hold_id,
        provider=hold.provider,
        model=hold.model,
        state=hold.state,
        created_at=hold.created_at,
        terminal_at=hold.terminal_at,
        bound_nano_usd=hold.bound_usd,
        actual_nano_usd=hold.actual_usd,
        usage_source=hold.usage_source,
        price_state=hold.price_state if usage is None else usage.price_state,
        recovered=hold.recovered,
        flags=() if usage is None else usage.flags,
        parts=() if usage is None else tuple(part_view(RatePart.from_json(part)) for part in usage.rates),
        readings=() if usage is None else tuple((one["name"], one["charge"]) for one in usage.readings),
    )


def decision_detail(row: DecisionRow, run: RunRow | None, traces: Sequence[Trace] = ()) -> DecisionDetail:
    """A decision as it was made, with what became of its run: its attempts, and what concerns budgets."""
    decision = RoutingDecision.from_json(row.body)
    newest = run is not None and run.decision_id == row.decision_id
    later = _aftermath(run) if run is not None and newest else {}
    codes = tuple(sorted({*row.reason_codes, *later}))
    return DecisionDetail(
        decision_id=row.decision_id,
        run_id=row.run_id,
        at=row.at,
        outcome=row.outcome,
        mode=row.mode,
        sentences=(*sentences(decision), *attempt_sentences(traces), *later.values()),
        reason_codes=codes,
        body={**row.body, "reason_codes": list(codes)},
    )


def _aftermath(run: RunRow) -> dict[str, str]:
    """What a run came to that no decision could know, by reason code."""
    later: dict[str, str] = {}
    if run.reason == ReasonCode.STREAM_CUT_BUDGET:
        tokens = f"{run.output_tokens:,} output tokens"
        later[ReasonCode.STREAM_CUT_BUDGET.value] = f"The stream was cut after {tokens}, where its budget ended."
    if ReasonCode.HOLD_RECOVERED in run.flags:
        charged = "at no known price" if run.cost is None else format_usd(run.cost)
        later[ReasonCode.HOLD_RECOVERED.value] = f"The engine died while it ran; its hold was settled then: {charged}."
    if run.reason in _ENDED_BY:
        code, text = _ENDED_BY[run.reason]
        later[code.value] = text
    return later


_ENDED_BY = {
    "deferred": (ReasonCode.LEASE_DEFERRED, "No place at the provider came free in time, so nothing was sent."),
    "engine_stopping": (ReasonCode.ENGINE_DRAINING, "The engine was stopping, so it was ended."),
    "journal_unavailable": (ReasonCode.JOURNAL_UNAVAILABLE, "The journal could not be written, so it was ended."),
}
"""What a run's reason adds to its explanation."""


def usage_numbers(totals: UsageTotals) -> UsageNumbers:
    """Sums as consoles see them."""
    return UsageNumbers(
        requests=totals.runs,
        ok=totals.ok,
        failed=totals.failed,
        refused=totals.refused,
        attempts=totals.attempts,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        cached_tokens=totals.cached_tokens,
        reasoning_tokens=totals.reasoning_tokens,
        cost_nano_usd=totals.cost,
        unpriced=totals.unpriced,
        average_latency_ms=totals.latency_ms // totals.attempts if totals.attempts else 0,
    )


def budget_view(line: Standing, mode: str, forecast: Forecast | None = None) -> BudgetView:
    """A budget and where it stands, as consoles see it."""
    policy = line.policy
    return BudgetView(
        policy_id=policy.policy_id,
        name=policy.name,
        revision=policy.revision,
        source=policy.source.value,
        enabled=policy.enabled,
        scope_kind=policy.scope_kind.value,
        scope_value=line.scope_value,
        metric_kind=policy.metric_kind.value,
        interval_kind=policy.interval_kind.value,
        timezone=policy.timezone,
        action=policy.action.value,
        mode=mode,
        window_start=line.window.start,
        window_end=line.window.end,
        settled=line.settled,
        held=line.held,
        soft_limit=policy.soft,
        hard_limit=policy.hard_limit,
        granted=line.granted,
        status=line.status.value,
        counters=line.counters,
        incomplete=line.incomplete,
        forecast=None if forecast is None else _forecast_view(line, forecast),
    )


def budget_views(ledger: Ledger, at: int, mode: str, *, most: int = 3, only: str = "") -> tuple[BudgetView, ...]:
    """Where budgets stand and where they are going, as `standings` lists them."""
    lines = standings(ledger, at, most=most, only=only)
    return tuple(budget_view(line, mode, forecast_of(ledger, line, at)) for line in lines)


def _forecast_view(line: Standing, forecast: Forecast) -> ForecastView:
    return ForecastView(
        policy_id=line.policy.policy_id,
        scope_value=line.scope_value,
        metric_kind=line.policy.metric_kind.value,
        window_end=forecast.window_end,
        projected=forecast.projected,
        limit=forecast.limit,
        reaches_at=forecast.reaches_at,
    )


def evaluation_view(item: UsageBudgetEvaluation) -> EvaluationView:
    """What a budget said of a request, as consoles see it."""
    return EvaluationView(
        policy_id=item.policy_id,
        scope_value=item.scope_value,
        metric_kind=item.metric_kind.value,
        settled=item.settled,
        held=item.held,
        bound=item.bound,
        projected=item.projected,
        soft_limit=item.soft,
        hard_limit=item.hard,
        granted=item.grants,
        window_start=item.window.start,
        window_end=item.window.end,
        timezone=item.timezone,
        mode=item.mode.value,
        status=item.status.value,
        message=evaluation_message(item),
        revision=item.revision,
        sha256=item.sha256,
    )


def approval_view(record: ApprovalRecord, waiting: int = 0, park_until: int | None = None) -> ApprovalView:
    """`waiting` and `park_until` come from the engine; both are absent where none runs."""
    facts = record.facts
    leading = record.leading if record.evaluations else None
    metrics = {item.policy_id: item.metric_kind.value for item in record.evaluations}
    return ApprovalView(
        approval_id=record.approval_id,
        version=record.version,
        status=record.status.value,
        decision="" if record.decision is None else record.decision.value,
        principal=record.principal,
        key_id=_text(facts, "key_id"),
        session=record.session,
        model=_text(facts, "model"),
        policy_ids=record.policy_ids,
        excess=0 if leading is None else record.excess(leading),
        excess_metric=MetricKind.REQUESTS.value if leading is None else leading.metric_kind.value,
        risk=record.risk,
        risk_percent=round(excess_percent(record.evaluations, record.wanted or 0), 1),
        waiting=waiting,
        requested_at=record.requested_at,
        expires_at=record.expires_at,
        park_until=park_until,
        resolved_at=record.resolved_at,
        decided_by=record.decided_by,
        reason=record.reason,
        run_ids=record.run_ids,
        prompt_bytes=int(facts.get("prompt_bytes") or 0),
        expected_input=int(facts.get("expected_input") or 0),
        max_tokens=facts.get("max_tokens"),
        complexity=float(facts.get("complexity") or 0.0),
        expected_nano_usd=facts.get("expected_usd"),
        bound_nano_usd=facts.get("bound_usd"),
        evaluations=tuple(
            replace(
                evaluation_view(item),
                once_cap=min(MAX, once_cap(item, record.excess(item))),
                session_cap=min(MAX, session_cap(item, record.excess(item))),
            )
            for item in record.evaluations
        ),
        counterfactual=tuple(_counterfactual_view(item, metrics) for item in facts.get("counterfactual") or ()),
        once_cap=0 if leading is None else once_cap(leading, record.excess(leading)),
        decision_id=_text(facts, "decision_id"),
        grant_ids=record.grant_ids,
        tools=int(facts.get("tools") or 0),
        applicants=tuple(ApplicantView(one.name, one.attestation, one.reason) for one in record.applicants),
        wanted=record.wanted,
        subject=record.subject,
    )


def _counterfactual_view(item: Mapping[str, Any], metrics: Mapping[str, str]) -> CounterfactualView:
    policy_id = _text(item, "policy_id")
    amount, target = item.get("amount"), item.get("value")
    return CounterfactualView(item["kind"], item["text"], policy_id, amount, metrics.get(policy_id, ""), target)


def _text(facts: Mapping[str, Any], name: str) -> str:
    return str(facts.get(name) or "")


def grant_view(grant: Grant, now: int) -> GrantView:
    """A grant in force as consoles see it at `now`, UTC unix ms."""
    return grant_row_view(grant.row, grant.drawn, grant.state(now).value)


def grant_row_view(row: GrantRow, drawn: int, state: str) -> GrantView:
    """A grant as consoles see it: its row, what was drawn, where it stands."""
    return GrantView(
        grant_id=row.grant_id,
        approval_id=row.approval_id,
        kind=row.kind,
        policy_id=row.policy_id,
        scope_value=row.scope_value,
        principal=row.principal,
        session=row.session,
        metric_kind=row.metric,
        cap=row.cap,
        drawn=drawn,
        created_at=row.created_at,
        expires_at=row.expires_at,
        state=state,
        granted_by=row.granted_by,
    )
