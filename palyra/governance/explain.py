"""Decisions in words. Nothing here decides: every sentence is derived from the record, today or years later."""

from collections.abc import Iterable
from datetime import UTC, datetime

from palyra.config.choices import MetricKind
from palyra.core.money import format_usd
from palyra.core.plural import plural
from palyra.core.windows import load_zone
from palyra.governance.decision import CandidateReport, Counterfactual, RoutingDecision
from palyra.governance.evaluate import Cause, EvaluationStatus, Pricing, UsageBudgetEvaluation

_MODEL_REASONS = {
    "explicit_model": "The caller named the model.",
    "default_model": "The default model serves it.",
    "complexity_low": "It looks simple, so the cheapest capable model was preferred.",
    "complexity_mid": "It looks middling, so the default model was preferred.",
    "complexity_high": "It looks demanding, so a premium model was considered.",
    "budget_allowed_premium_model": "Every budget had room below its soft limit for the premium model.",
    "budget_withheld_premium_model": "A budget near its limit withheld the premium model.",
    "policy_degrade": "A budget over its soft limit asked for the cheapest capable model.",
    "policy_model": "A budget over its soft limit names the model to use.",
    "policy_model_incapable": "A budget names a model that cannot serve this request, so it was not used.",
    "smart_routing_disabled": "Smart routing is switched off.",
    "mode_suggest": "Mode suggest: limits are reported, not applied.",
    "mode_dry_run": "Mode dry_run: the plan is recorded, not applied.",
    "mode_raised": "The caller asked for a stricter mode.",
    "mode_refused": "The caller asked for a looser mode, which is ignored.",
    "retry_attempt": "The attempt before it failed, so the same model is asked once more.",
    "failover_to_secondary": "The model before it could not serve, so the next one is asked.",
    "lease_deferred": "No place at the provider came free in time.",
    "cache_hit": "The same was asked a moment ago, and its answer was given again: no provider was asked.",
    "no_candidate": "No allowed model can serve this request.",
}


def amount_text(amount: int, metric: MetricKind) -> str:
    """An amount in its unit: every nano-dollar, or a number of tokens or requests."""
    if metric is MetricKind.ESTIMATED_COST_USD:
        return format_usd(amount)
    return plural(amount, "token" if metric is MetricKind.TOTAL_TOKENS else "request")


def instant_text(at: int, zone: str = "UTC") -> str:
    """An instant in a zone, to the second, as RFC 3339."""
    moment = datetime.fromtimestamp(at / 1000, UTC if zone == "UTC" else load_zone(zone))
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def moment_text(instant: int, zone: str, at: int) -> str:
    """The time of day, with the date where it is not that of `at`."""
    then, now = (datetime.fromtimestamp(ms / 1000, load_zone(zone)) for ms in (instant, at))
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


def evaluation_message(item: UsageBudgetEvaluation) -> str:
    """What one budget says, with its numbers: `Budget team-day would reach $1.05 of $1.00.`"""
    name = item.policy_id if item.scope_value == "*" else f"{item.policy_id} ({item.scope_value})"
    if item.cause is Cause.PRICE and item.status is EvaluationStatus.BLOCKED:
        return f"Budget {name} blocks models whose price nobody knows."
    if item.cause is Cause.DENIED:
        return f"Budget {name}: a person refused this a moment ago."
    total = amount_text(item.projected, item.metric_kind)
    if item.hard is None:
        return f"Budget {name} would reach {total}; it has no hard limit."
    limit = amount_text(item.hard, item.metric_kind)
    granted = f" plus {amount_text(item.grants, item.metric_kind)} granted" if item.grants else ""
    flat = " (counting a flat amount for an unknown price)" if item.pricing is Pricing.FLAT else ""
    return f"Budget {name} would reach {total} of {limit}{granted}{flat}."


def sentences(decision: RoutingDecision) -> tuple[str, ...]:
    """The whole decision, from what was asked to what would have passed."""
    said: list[str] = []
    asked = decision.requested_model
    if decision.actual_model and decision.actual_model != asked:
        said.append(f"{asked} was asked for; {decision.actual_model} was chosen.")
    elif decision.actual_model:
        said.append(f"{decision.actual_model} was asked for and chosen.")
    else:
        said.append(f"{asked} was asked for.")
    said += [text for code, text in _MODEL_REASONS.items() if code in decision.reason_codes]
    said += _passed_over(decision.candidates)
    estimate = decision.estimate
    bound, expected = estimate.get("bound_nano_usd"), estimate.get("expected_nano_usd")
    if bound is not None and expected is not None:
        said.append(
            f"It is expected to cost {format_usd(expected)} and cannot be held at more than {format_usd(bound)}."
        )
    elif estimate:
        said.append("Nobody knows what this model costs.")
    said += [evaluation_message(item) for item in decision.evaluations]
    if not decision.evaluations and estimate:
        said.append("No budget applies.")
    if "output_clamped" in decision.reason_codes:
        said.append(f"The answer was limited to {plural(decision.max_tokens or 0, 'token')} so that it fits.")
    if decision.would_block:
        said.append(f"In enforced mode it would have been stopped by {', '.join(decision.would_block)}.")
    if decision.counterfactual:
        said.append(
            "It would have passed with: " + "; ".join(_way(item, decision) for item in decision.counterfactual) + "."
        )
    return tuple(said)


NAMED_MOST = 3
"""Models of one fate that are named; the others are counted."""


def _passed_over(candidates: Iterable[CandidateReport]) -> list[str]:
    """One sentence for all models of one fate: of many that could not serve it, nobody reads a line each."""
    fates: dict[tuple[str, ...], list[str]] = {}
    for candidate in candidates:
        if candidate.reasons:
            fates.setdefault(candidate.reasons, []).append(candidate.model)
    said: list[str] = []
    for reasons, models in fates.items():
        more = len(models) - NAMED_MOST
        named = ", ".join(models[:NAMED_MOST]) + (f" and {plural(more, 'other')}" if more > 0 else "")
        said.append(f"{named} {'was' if len(models) == 1 else 'were'} passed over: {', '.join(reasons)}.")
    return said


def _way(item: Counterfactual, decision: RoutingDecision) -> str:
    """What would have passed; an instant in the zone of the budget that was over, whose window it ends."""
    if item.kind != "time" or not isinstance(item.value, int):
        return item.text
    over = [one.timezone for one in decision.evaluations if one.refused or one.would_refuse]
    zone = over[0] if over else "UTC"
    return f"a start at {moment_text(item.value, zone, decision.at)} ({zone}) or later"


def refusal_message(decision: RoutingDecision) -> str:
    """What a refused caller reads: the budgets that refuse, and the nearest ways past them."""
    refusing = [evaluation_message(item) for item in decision.evaluations if item.refused]
    ways = [item.text for item in decision.counterfactual if item.kind in ("model", "time", "max_tokens")]
    if not refusing:
        return "No allowed model can serve this request."
    return " ".join(refusing) + (f" It would pass with {' or '.join(ways)}." if ways else "")
