"""What is out of the ordinary now: facts and settings in, candidates out. Pure; how alerts live is told elsewhere.

Amounts are in the unit of the metric named beside them (nano-dollars, tokens or requests), instants UTC unix ms. Shares
are compared by whole numbers, so what lies exactly at a threshold never alerts.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.core.values import value
from palyra.governance.evaluate import EvaluationStatus
from palyra.governance.forecast import Forecast
from palyra.governance.standing import Standing
from palyra.pricing.drift import EstimateDrift

ERROR_POINTS = 10
"""A routed model may fail this many percentage points more often than the default."""
SLOWER_TIMES = 2
SPIKE_TIMES = 2
ROUTED_LEAST_RUNS = 20
BREAKER_CLOSED = "closed"


class AlertKind(StrEnum):
    """What is out of the ordinary."""

    COST_SPIKE = "cost_spike"
    PROVIDER_HEALTH = "provider_health"
    UNUSUAL_MODEL_MIX = "unusual_model_mix"
    ROUTING_REGRESSION = "routing_regression"
    BUDGET_ALERT = "budget_alert"
    BUDGET_FORECAST = "budget_forecast"
    PRICE_UNKNOWN = "price_unknown"
    ESTIMATE_DRIFT = "estimate_drift"


class Severity(StrEnum):
    """Weak to strong."""

    WARNING = "warning"
    DANGER = "danger"

    @property
    def rank(self) -> int:
        """Higher is worse, to sort by."""
        return 1 if self is Severity.DANGER else 0


class SubjectKind(StrEnum):
    """What an alert is about, so that a console can go there."""

    NOTHING = ""
    BUDGET = "budget"
    PROVIDER = "provider"
    MODEL = "model"


@value
class AlertSettings:
    """The `[governance]` keys of alerts; durations in ms, `spike_usd` in nano-dollars."""

    lookback_ms: int = 86_400_000
    cooldown_ms: int = 900_000
    spike_usd: int = 500_000_000
    mix_percent: int = 75
    mix_min_runs: int = 20


@value
class Spend:
    """Cost of the look-back's halves, nano-dollars. `recorded_since` is when recording began, None if it never did."""

    older: int
    newer: int
    recorded_since: int | None


@value
class ProviderState:
    """`breaker`: closed, open, half_open; `health`: ok, degraded, down, unknown, missing_auth, disabled. `ending`:
    credentials that end within minutes, each with when (UTC unix ms)."""

    provider_id: str
    breaker: str = BREAKER_CLOSED
    health: str = "ok"
    ending: tuple[tuple[str, int], ...] = ()


@value
class ModelMix:
    """Runs served by each chat model within the look-back, and how many chat models could have served them."""

    runs: Mapping[str, int]
    chat_models: int


@value
class ModelRecord:
    """How a model did within the look-back. `p50_ms` is None where no run of it was completed."""

    model: str
    runs: int
    failed: int
    p50_ms: int | None


@value
class Routes:
    """The default model's record, and those of runs that routing gave to another model."""

    default: ModelRecord
    routed: tuple[ModelRecord, ...]


@value
class Refusals:
    """What a counter refused of late: how and when the last was, how many there were in its window, and the hash of
    the terms under which it refused."""

    status: EvaluationStatus
    at: int
    count: int
    sha256: str


@value
class CounterFact:
    """One counter: where it stands, what it refused of late, and where it is going."""

    standing: Standing
    refusals: Refusals | None = None
    forecast: Forecast | None = None


@value
class UnpricedUse:
    """A model that was used and that has no price now."""

    provider: str
    model: str


@value
class AlertFacts:
    """What was looked at; parts that were not are empty and say nothing."""

    at: int
    spend: Spend | None = None
    providers: tuple[ProviderState, ...] = ()
    mix: ModelMix | None = None
    routes: Routes | None = None
    counters: tuple[CounterFact, ...] = ()
    unpriced: tuple[UnpricedUse, ...] = ()
    drifts: tuple[EstimateDrift, ...] = ()


@value
class AlertCandidate:
    """A condition that holds now. Candidates of one `dedupe_key` are the same alert again."""

    kind: AlertKind
    severity: Severity
    dedupe_key: str
    subject_kind: SubjectKind = SubjectKind.NOTHING
    subject: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)


def build_alert_candidates(facts: AlertFacts, settings: AlertSettings) -> tuple[AlertCandidate, ...]:
    """Every condition that these facts meet, in the order of kinds; at most one candidate for each key."""
    found = [
        _cost_spike(facts, settings),
        *(_provider_health(state) for state in facts.providers),
        _model_mix(facts.mix, settings),
        *_regressions(facts.routes),
        *(_budget_alert(fact) for fact in facts.counters),
        *(_budget_forecast(fact) for fact in facts.counters),
        *(_price_unknown(use) for use in facts.unpriced),
        *(_estimate_drift(drift) for drift in facts.drifts),
    ]
    return tuple({one.dedupe_key: one for one in found if one is not None}.values())


def counter_key(kind: AlertKind, policy_id: str, scope_value: str) -> str:
    """The key of a budget's alerts: one for each counter."""
    return f"{kind.value}:{policy_id}:{scope_value}"


def health_key(provider_id: str) -> str:
    """The dedupe key of the alert about a provider's health."""
    return f"{AlertKind.PROVIDER_HEALTH.value}:{provider_id}"


def price_key(provider: str, model: str) -> str:
    """The dedupe key of the alert about a model without a price."""
    return f"{AlertKind.PRICE_UNKNOWN.value}:{provider}:{model}"


def drift_key(provider: str, model: str) -> str:
    """The dedupe key of the alert about a model whose estimates drift."""
    return f"{AlertKind.ESTIMATE_DRIFT.value}:{provider}:{model}"


def _cost_spike(facts: AlertFacts, settings: AlertSettings) -> AlertCandidate | None:
    spend = facts.spend
    if spend is None or spend.recorded_since is None or spend.recorded_since > facts.at - settings.lookback_ms:
        return None
    if spend.newer <= settings.spike_usd or spend.newer <= SPIKE_TIMES * spend.older:
        return None
    payload = {
        "newer_nano_usd": spend.newer,
        "older_nano_usd": spend.older,
        "half_ms": settings.lookback_ms // 2,
        "threshold_nano_usd": settings.spike_usd,
    }
    return AlertCandidate(AlertKind.COST_SPIKE, Severity.WARNING, AlertKind.COST_SPIKE.value, payload=payload)


def _provider_health(state: ProviderState) -> AlertCandidate | None:
    if state.breaker != BREAKER_CLOSED:
        severity = Severity.DANGER
    elif state.health == "degraded" or state.ending:
        severity = Severity.WARNING
    else:
        return None
    payload: dict[str, Any] = {"provider": state.provider_id, "breaker": state.breaker, "health": state.health}
    if state.ending:
        payload["ending"] = [{"credential": name, "at": at} for name, at in state.ending]
    return AlertCandidate(
        AlertKind.PROVIDER_HEALTH,
        severity,
        health_key(state.provider_id),
        SubjectKind.PROVIDER,
        state.provider_id,
        payload,
    )


def _model_mix(mix: ModelMix | None, settings: AlertSettings) -> AlertCandidate | None:
    total = 0 if mix is None else sum(mix.runs.values())
    if mix is None or mix.chat_models < 2 or total < settings.mix_min_runs or not total:
        return None
    model, runs = max(mix.runs.items(), key=lambda item: (item[1], item[0]))
    if runs * 100 <= settings.mix_percent * total:
        return None
    return AlertCandidate(
        AlertKind.UNUSUAL_MODEL_MIX,
        Severity.WARNING,
        f"{AlertKind.UNUSUAL_MODEL_MIX.value}:{model}",
        SubjectKind.MODEL,
        model,
        {
            "model": model,
            "runs": runs,
            "of_runs": total,
            "chat_models": mix.chat_models,
            "lookback_ms": settings.lookback_ms,
            "threshold_percent": settings.mix_percent,
        },
    )


def _regressions(routes: Routes | None) -> list[AlertCandidate]:
    if routes is None or routes.default.runs < ROUTED_LEAST_RUNS:
        return []
    return [
        _regression(record, routes.default)
        for record in routes.routed
        if record.runs >= ROUTED_LEAST_RUNS and (_fails_more(record, routes.default) or _slower(record, routes.default))
    ]


def _fails_more(record: ModelRecord, default: ModelRecord) -> bool:
    more = record.failed * default.runs - default.failed * record.runs
    return more * 100 > ERROR_POINTS * record.runs * default.runs


def _slower(record: ModelRecord, default: ModelRecord) -> bool:
    if record.p50_ms is None or default.p50_ms is None:
        return False
    return record.p50_ms > SLOWER_TIMES * default.p50_ms


def _regression(record: ModelRecord, default: ModelRecord) -> AlertCandidate:
    return AlertCandidate(
        AlertKind.ROUTING_REGRESSION,
        Severity.WARNING,
        f"{AlertKind.ROUTING_REGRESSION.value}:{record.model}",
        SubjectKind.MODEL,
        record.model,
        {
            "model": record.model,
            "runs": record.runs,
            "failed": record.failed,
            "p50_ms": record.p50_ms,
            "default_model": default.model,
            "default_runs": default.runs,
            "default_failed": default.failed,
            "default_p50_ms": default.p50_ms,
            "fails_more": _fails_more(record, default),
            "slower": _slower(record, default),
        },
    )


_OVER = frozenset({EvaluationStatus.SOFT_LIMIT, EvaluationStatus.OVERRIDE_APPLIED, EvaluationStatus.HARD_LIMIT})


def _budget_alert(fact: CounterFact) -> AlertCandidate | None:
    standing = fact.standing
    refusals = fact.refusals
    status = standing.status if refusals is None else refusals.status
    if not standing.policy.enabled or (not status.refusing and status not in _OVER):
        return None
    policy = standing.policy
    payload = _budget(fact) | {
        "status": status.value,
        "settled": standing.settled,
        "held": standing.held,
        "granted": standing.granted,
        "soft_limit": policy.soft,
        "hard_limit": policy.hard_limit,
        "action": policy.action.value,
        "refusals": 0 if refusals is None else refusals.count,
        "refused_at": None if refusals is None else refusals.at,
        "sha256": policy.sha256,
    }
    severity = Severity.DANGER if status.refusing else Severity.WARNING
    return _of_budget(AlertKind.BUDGET_ALERT, severity, standing, payload)


def _budget_forecast(fact: CounterFact) -> AlertCandidate | None:
    """What is at its limit already needs no forecast: the budget alert tells of it."""
    forecast = fact.forecast
    if forecast is None or forecast.reaches_at is None or not fact.standing.policy.enabled:
        return None
    if forecast.limit is None or forecast.used >= forecast.limit:
        return None
    payload = _budget(fact) | {
        "used": forecast.used,
        "burned": forecast.burned,
        "burn_since": forecast.burn_since,
        "projected": forecast.projected,
        "limit": forecast.limit,
        "reaches_at": forecast.reaches_at,
    }
    return _of_budget(AlertKind.BUDGET_FORECAST, Severity.WARNING, fact.standing, payload)


def _budget(fact: CounterFact) -> dict[str, Any]:
    policy, window = fact.standing.policy, fact.standing.window
    return {
        "policy_id": policy.policy_id,
        "scope_kind": policy.scope_kind.value,
        "scope_value": fact.standing.scope_value,
        "metric_kind": policy.metric_kind.value,
        "interval_kind": policy.interval_kind.value,
        "timezone": policy.timezone,
        "revision": policy.revision,
        "window_start": window.start,
        "window_end": window.end,
    }


def _of_budget(kind: AlertKind, severity: Severity, standing: Standing, payload: dict[str, Any]) -> AlertCandidate:
    policy_id = standing.policy.policy_id
    key = counter_key(kind, policy_id, standing.scope_value)
    return AlertCandidate(kind, severity, key, SubjectKind.BUDGET, policy_id, payload)


def _price_unknown(use: UnpricedUse) -> AlertCandidate:
    key = price_key(use.provider, use.model)
    payload = {"provider": use.provider, "model": use.model}
    return AlertCandidate(AlertKind.PRICE_UNKNOWN, Severity.WARNING, key, SubjectKind.MODEL, use.model, payload)


def _estimate_drift(drift: EstimateDrift) -> AlertCandidate | None:
    if not drift.drifting:
        return None
    return AlertCandidate(
        AlertKind.ESTIMATE_DRIFT,
        Severity.WARNING,
        drift_key(drift.provider, drift.model),
        SubjectKind.MODEL,
        drift.model,
        {
            "provider": drift.provider,
            "model": drift.model,
            "samples": drift.samples,
            "expected_tokens": drift.expected,
            "actual_tokens": drift.actual,
            "overruns": drift.overruns,
        },
    )
