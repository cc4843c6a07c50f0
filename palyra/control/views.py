"""Rows of the journal as the values consoles see."""

from palyra.control.queries import AttemptView, DecisionDetail, NoteView, UsageNumbers
from palyra.control.snapshots import RunView
from palyra.governance.decision import RoutingDecision
from palyra.journal.rows import DecisionRow, HoldRow, NoteRow, RunRow, UsageRow, UsageTotals


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
    )


def note_view(row: NoteRow) -> NoteView:
    return NoteView(row.at, row.kind, row.data)


def decision_detail(row: DecisionRow) -> DecisionDetail:
    decision = RoutingDecision.from_json(row.body)
    return DecisionDetail(
        decision_id=row.decision_id,
        run_id=row.run_id,
        at=row.at,
        outcome=row.outcome,
        mode=row.mode,
        sentences=decision.explanation,
        reason_codes=row.reason_codes,
        body=row.body,
    )


def usage_numbers(totals: UsageTotals) -> UsageNumbers:
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
