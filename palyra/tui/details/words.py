"""Glyph, word and tone of the states that things are in; the same everywhere."""

from palyra.control.serving import ProviderView
from palyra.control.snapshots import AlertView, ApprovalView, BudgetView, EvaluationView, GrantView, RunView
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.themes import Tone

Mark = tuple[str, str, Tone]
"""Glyph, word, tone."""

_RUNS: dict[str, tuple[str, Tone]] = {
    "pending": (glyphs.IDLE, Tone.MUTED),
    "parked": (glyphs.ATTENTION, Tone.WARN),
    "running": (glyphs.OK, Tone.ACCENT),
    "completed": (glyphs.OK, Tone.GOOD),
    "failed": (glyphs.BAD, Tone.BAD),
    "refused": (glyphs.BAD, Tone.WARN),
    "cancelled": (glyphs.CROSSED, Tone.MUTED),
}
_RISKS = {"low": Tone.GOOD, "medium": Tone.WARN, "high": Tone.BAD, "critical": Tone.BAD}
_DECISIONS: dict[str, Mark] = {
    "allow": (glyphs.OK, "allowed", Tone.GOOD),
    "deny": (glyphs.BAD, "denied", Tone.BAD),
    "timeout": (glyphs.CROSSED, "timed out", Tone.MUTED),
    "error": (glyphs.CROSSED, "void", Tone.MUTED),
}
_STATUSES: dict[str, tuple[str, Tone]] = {
    "ok": (glyphs.OK, Tone.GOOD),
    "soft_limit": (glyphs.ATTENTION, Tone.WARN),
    "override_applied": (glyphs.GRANT, Tone.ACCENT),
    "price_unknown": (glyphs.ATTENTION, Tone.WARN),
    "hard_limit": (glyphs.BAD, Tone.BAD),
    "approval_required": (glyphs.BAD, Tone.BAD),
    "blocked": (glyphs.BAD, Tone.BAD),
}


_HEALTH: dict[str, tuple[str, Tone]] = {
    "ok": (glyphs.OK, Tone.GOOD),
    "degraded": (glyphs.ATTENTION, Tone.WARN),
    "down": (glyphs.BAD, Tone.BAD),
    "missing_auth": (glyphs.BAD, Tone.BAD),
    "disabled": (glyphs.IDLE, Tone.MUTED),
}


def provider_mark(provider: ProviderView) -> Mark:
    """Glyph, word and tone of a provider's health."""
    glyph, tone = _HEALTH.get(provider.health, (glyphs.IDLE, Tone.MUTED))
    return glyph, provider.health.replace("_", " "), tone


def run_mark(run: RunView) -> Mark:
    """Glyph, word and tone of a run."""
    glyph, tone = _RUNS.get(run.state, (glyphs.IDLE, Tone.MUTED))
    return glyph, run.state, tone


_REFUSALS = {
    "budget_exceeded": "past what it allows",
    "budget_denied": "a person said no",
    "budget_approval_required": "a person has to allow it",
    "no_candidate": "no model could serve it",
}


def refusal_words(run: RunView) -> str:
    """Why it was refused, as people say it."""
    return _REFUSALS.get(run.reason, run.reason.replace("_", " "))


def run_words(run: RunView) -> str:
    """Its state in one word or two, as short as they can be: the phase it is in, or why it came to nothing."""
    if run.state in ("failed", "refused"):
        return run.reason or run.state
    return f"running {run.phase}".strip() if run.state == "running" else run.state


def approval_mark(approval: ApprovalView) -> Mark:
    """Glyph, word and tone of an approval."""
    if approval.status == "pending":
        word = f"{approval.waiting} waiting" if approval.waiting else "pending"
        return glyphs.ATTENTION, word, Tone.WARN
    return _DECISIONS.get(approval.decision, (glyphs.CROSSED, approval.decision or approval.status, Tone.MUTED))


def alert_mark(alert: AlertView) -> Mark:
    """Glyph, word and tone of an alert."""
    if not alert.needs_a_person:
        return glyphs.IDLE, "snoozed" if alert.state == "snoozed" else "acked", Tone.MUTED
    if alert.severity == "danger":
        return glyphs.ATTENTION, alert.severity, Tone.BAD
    return glyphs.NOTE, alert.severity, Tone.WARN


def grant_mark(grant: GrantView) -> Mark:
    """Glyph, word and tone of a grant."""
    if grant.state == "active":
        return glyphs.GRANT, "grant", Tone.ACCENT
    return glyphs.CROSSED, grant.state, Tone.MUTED


def budget_mark(budget: BudgetView) -> Mark:
    """Glyph, word and tone of a budget."""
    if not budget.enabled:
        return glyphs.IDLE, "off", Tone.MUTED
    glyph, tone = _STATUSES.get(budget.status, (glyphs.ATTENTION, Tone.WARN))
    return glyph, budget.status.replace("_", " "), tone


def level_tone(ratio: float, budget: BudgetView) -> Tone:
    """How worrying a counter is: over its limit, over its soft limit, or calm."""
    limit = budget.hard_limit if budget.hard_limit is not None else budget.soft_limit
    if ratio >= 1.0:
        return Tone.BAD
    if budget.soft_limit is not None and limit and budget.settled + budget.held > budget.soft_limit:
        return Tone.WARN
    return Tone.GOOD


def status_tone(status: str) -> Tone:
    """Tone of what one budget said to one request."""
    return _STATUSES.get(status, (glyphs.ATTENTION, Tone.WARN))[1]


def counter_words(item: EvaluationView) -> str:
    """Which counter of which budget: `team-day`, `per-user maria`."""
    return item.policy_id if item.scope_value in ("", "*") else f"{item.policy_id} {item.scope_value}"


def breached(approval: ApprovalView) -> tuple[EvaluationView, ...]:
    """The budgets that a grant would widen."""
    return tuple(item for item in approval.evaluations if item.policy_id in approval.policy_ids)


def model_words(approval: ApprovalView) -> str:
    """The model a request is for, as lists show it, or the remedy; what was asked for in words names none."""
    if approval.subject:
        return remedy_words(approval)
    return show.short_model(approval.model) if approval.refused else "asks for room"


def remedy_words(approval: ApprovalView) -> str:
    """`cancel_run` of `remedy:<incident>:cancel_run`."""
    return approval.subject.rpartition(":")[2]


def over_words(approval: ApprovalView) -> str:
    """How far a request goes beyond its budgets; a remedy goes beyond none."""
    return show.NONE if approval.subject else show.quantity(approval.excess_metric, approval.excess)


def place_words(approval: ApprovalView) -> str:
    """The session that asks, or the incident that a remedy is for."""
    if approval.subject:
        return f"incident {show.short_id(approval.subject.split(':')[1])}"
    return approval.session or "any"


def risk_tone(risk: str) -> Tone:
    """The tone of a risk."""
    return _RISKS.get(risk, Tone.WARN)
