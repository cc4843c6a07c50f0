"""Every kind of alert, just below, at and just above each of its thresholds."""

from dataclasses import replace
from typing import Any

import pytest

from palyra.core.windows import Window
from palyra.governance.alert_words import alert_sentences, alert_summary, nearly
from palyra.governance.alerts import (
    AlertCandidate,
    AlertFacts,
    AlertKind,
    AlertSettings,
    CounterFact,
    ModelMix,
    ModelRecord,
    ProviderState,
    Refusals,
    Routes,
    Severity,
    Spend,
    SubjectKind,
    UnpricedUse,
    build_alert_candidates,
)
from palyra.governance.evaluate import EvaluationStatus
from palyra.governance.forecast import forecast
from palyra.governance.standing import Standing
from palyra.pricing.drift import EstimateDrift
from tests.governance.policies import CENT, DOLLAR, policy

NOW = 1_795_348_800_000
DAY = 86_400_000
SETTINGS = AlertSettings()


def built(settings: AlertSettings = SETTINGS, **facts: Any) -> tuple[AlertCandidate, ...]:
    return build_alert_candidates(AlertFacts(NOW, **facts), settings)


def the_one(found: tuple[AlertCandidate, ...]) -> AlertCandidate:
    (one,) = found
    summary = alert_summary(one.kind, one.payload, NOW)
    assert summary
    assert not summary.endswith(".")
    assert all(sentence.endswith(".") for sentence in alert_sentences(one.kind, one.payload, NOW))
    return one


def test_nothing_looked_at_is_nothing_found() -> None:
    assert built() == ()


@pytest.mark.parametrize(
    ("older", "newer", "recorded_since", "alerts"),
    [
        (0, 50 * CENT, NOW - DAY, False),
        (0, 50 * CENT + 1, NOW - DAY, True),
        (DOLLAR, 2 * DOLLAR, NOW - DAY, False),
        (DOLLAR, 2 * DOLLAR + 1, NOW - DAY, True),
        (0, 9 * DOLLAR, NOW - DAY + 1, False),
        (0, 9 * DOLLAR, None, False),
        (9 * DOLLAR, 0, NOW - 9 * DAY, False),
    ],
)
def test_cost_spike(older: int, newer: int, recorded_since: int | None, alerts: bool) -> None:
    found = built(spend=Spend(older, newer, recorded_since))
    assert bool(found) is alerts
    if alerts:
        one = the_one(found)
        assert (one.kind, one.severity, one.dedupe_key) == (AlertKind.COST_SPIKE, Severity.WARNING, "cost_spike")
        assert (one.payload["newer_nano_usd"], one.payload["half_ms"]) == (newer, DAY // 2)


def test_cost_spike_follows_its_settings() -> None:
    settings = AlertSettings(lookback_ms=2 * DAY, spike_usd=DOLLAR)
    assert built(settings, spend=Spend(0, 2 * DOLLAR, NOW - 2 * DAY + 1)) == ()
    assert built(settings, spend=Spend(0, DOLLAR, NOW - 2 * DAY)) == ()
    assert len(built(settings, spend=Spend(0, DOLLAR + 1, NOW - 2 * DAY))) == 1


@pytest.mark.parametrize(
    ("breaker", "health", "severity"),
    [
        ("closed", "ok", None),
        ("closed", "unknown", None),
        ("closed", "down", None),
        ("closed", "degraded", Severity.WARNING),
        ("open", "ok", Severity.DANGER),
        ("half_open", "ok", Severity.DANGER),
        ("open", "degraded", Severity.DANGER),
    ],
)
def test_provider_health(breaker: str, health: str, severity: Severity | None) -> None:
    found = built(providers=(ProviderState("openai", breaker, health), ProviderState("anthropic")))
    assert [one.severity for one in found] == ([] if severity is None else [severity])
    if found:
        one = the_one(found)
        assert (one.subject_kind, one.subject) == (SubjectKind.PROVIDER, "openai")
        assert one.dedupe_key == "provider_health:openai"


@pytest.mark.parametrize(
    ("runs", "chat_models", "alerts"),
    [
        ({"a": 15, "b": 5}, 2, False),
        ({"a": 16, "b": 4}, 2, True),
        ({"a": 16, "b": 3}, 2, False),
        ({"a": 20}, 2, True),
        ({"a": 20}, 1, False),
        ({"a": 751, "b": 249}, 3, True),
        ({"a": 750, "b": 250}, 3, False),
        ({}, 2, False),
    ],
)
def test_unusual_model_mix(runs: dict[str, int], chat_models: int, alerts: bool) -> None:
    found = built(mix=ModelMix(runs, chat_models))
    assert bool(found) is alerts
    if alerts:
        one = the_one(found)
        assert (one.severity, one.dedupe_key) == (Severity.WARNING, "unusual_model_mix:a")
        assert (one.payload["runs"], one.payload["of_runs"]) == (runs["a"], sum(runs.values()))


def test_the_mix_follows_its_settings() -> None:
    mix = ModelMix({"a": 6, "b": 4}, 2)
    assert built(AlertSettings(mix_percent=60, mix_min_runs=10), mix=mix) == ()
    assert built(AlertSettings(mix_percent=59, mix_min_runs=11), mix=mix) == ()
    assert len(built(AlertSettings(mix_percent=59, mix_min_runs=10), mix=mix)) == 1


@pytest.mark.parametrize(
    ("routed", "default", "fails_more", "slower"),
    [
        # A tenth more than the default's, and not a run over.
        (ModelRecord("small", 100, 15, 100), ModelRecord("big", 100, 5, 100), False, False),
        (ModelRecord("small", 100, 16, 100), ModelRecord("big", 100, 5, 100), True, False),
        (ModelRecord("small", 20, 2, 100), ModelRecord("big", 30, 0, 100), False, False),
        (ModelRecord("small", 20, 3, 100), ModelRecord("big", 30, 0, 100), True, False),
        (ModelRecord("small", 20, 0, 200), ModelRecord("big", 20, 0, 100), False, False),
        (ModelRecord("small", 20, 0, 201), ModelRecord("big", 20, 0, 100), False, True),
        (ModelRecord("small", 20, 20, None), ModelRecord("big", 20, 0, 100), True, False),
        (ModelRecord("small", 20, 0, 100), ModelRecord("big", 20, 20, None), False, False),
        (ModelRecord("small", 19, 19, 900), ModelRecord("big", 20, 0, 100), False, False),
        (ModelRecord("small", 20, 20, 900), ModelRecord("big", 19, 0, 100), False, False),
        (ModelRecord("small", 20, 20, 900), ModelRecord("big", 20, 0, 100), True, True),
    ],
)
def test_routing_regression(routed: ModelRecord, default: ModelRecord, fails_more: bool, slower: bool) -> None:
    found = built(routes=Routes(default, (routed,)))
    assert bool(found) is (fails_more or slower)
    if found:
        one = the_one(found)
        assert (one.severity, one.dedupe_key) == (Severity.WARNING, "routing_regression:small")
        assert (one.payload["fails_more"], one.payload["slower"]) == (fails_more, slower)
        assert one.payload["default_model"] == "big"


WINDOW = Window(NOW - DAY // 2, NOW + DAY // 2)


def standing(settled: int, held: int = 0, granted: int = 0, *, hard: str = "1.00", **fields: str) -> Standing:
    made = policy("day", hard, **fields)  # type: ignore[arg-type]
    return Standing(made, "*", WINDOW, settled, held, granted, 1)


@pytest.mark.parametrize(
    ("where", "status", "severity"),
    [
        (standing(80 * CENT), None, None),
        (standing(80 * CENT + 1), "soft_limit", Severity.WARNING),
        (standing(80 * CENT, 1), "soft_limit", Severity.WARNING),
        (standing(DOLLAR), "soft_limit", Severity.WARNING),
        (standing(DOLLAR + 1), "hard_limit", Severity.WARNING),
        (standing(DOLLAR + 1, granted=1), "override_applied", Severity.WARNING),
        (standing(DOLLAR + 2, granted=1), "hard_limit", Severity.WARNING),
        (standing(DOLLAR, soft_limit="100%"), None, None),
        (standing(DOLLAR, enabled="false"), None, None),
        (standing(7, metric_kind="requests", hard="8", soft_limit="6"), "soft_limit", Severity.WARNING),
        (standing(DOLLAR, hard="none", soft_limit="0.50"), "soft_limit", Severity.WARNING),
    ],
)
def test_budget_alert_by_where_a_counter_stands(where: Standing, status: str | None, severity: Severity | None) -> None:
    found = built(counters=(CounterFact(where),))
    assert [(one.payload["status"], one.severity) for one in found] == ([] if status is None else [(status, severity)])
    if found:
        one = the_one(found)
        assert (one.subject_kind, one.subject, one.dedupe_key) == (SubjectKind.BUDGET, "day", "budget_alert:day:*")
        assert one.payload["settled"] == where.settled


@pytest.mark.parametrize("status", [EvaluationStatus.BLOCKED, EvaluationStatus.APPROVAL_REQUIRED])
@pytest.mark.parametrize("settled", [0, 90 * CENT, 2 * DOLLAR])
def test_a_budget_that_refuses_is_a_danger_wherever_it_stands(status: EvaluationStatus, settled: int) -> None:
    one = the_one(built(counters=(CounterFact(standing(settled), Refusals(status, NOW - 5, 3, "")),)))
    assert (one.severity, one.payload["status"], one.payload["refusals"]) == (Severity.DANGER, status.value, 3)


@pytest.mark.parametrize(
    ("settled", "burned", "alerts"),
    [
        # Half a day is left, four times as long as the quarter that burned.
        (50 * CENT, 12 * CENT, False),
        (50 * CENT, 12 * CENT + CENT // 2, False),
        (50 * CENT, 13 * CENT, True),
        (DOLLAR, 13 * CENT, False),
        (2 * DOLLAR, 13 * CENT, False),
        (50 * CENT, 0, False),
    ],
)
def test_budget_forecast(settled: int, burned: int, alerts: bool) -> None:
    where = standing(settled, soft_limit="100%")
    going = forecast(WINDOW, NOW, used=settled, burned=burned, limit=DOLLAR)
    found = [one for one in built(counters=(CounterFact(where, forecast=going),)) if one.kind == "budget_forecast"]
    assert bool(found) is alerts
    if alerts:
        one = the_one(tuple(found))
        assert (one.severity, one.dedupe_key) == (Severity.WARNING, "budget_forecast:day:*")
        assert (one.payload["reaches_at"], one.payload["limit"]) == (going.reaches_at if going else 0, DOLLAR)


def test_a_forecast_is_told_in_the_budgets_zone() -> None:
    where = standing(50 * CENT, timezone="Europe/Prague")
    going = forecast(WINDOW, NOW, used=50 * CENT, burned=25 * CENT, limit=DOLLAR)
    (one,) = built(counters=(CounterFact(where, forecast=going),))
    assert alert_summary(one.kind, one.payload, NOW) == "day reaches its limit at 19:00"
    assert alert_summary(one.kind, one.payload, NOW - DAY) == "day reaches its limit at 2026-11-22 19:00"


def test_what_is_only_expected_is_told_to_three_digits() -> None:
    where = standing(50 * CENT)
    going = forecast(WINDOW, NOW, used=50 * CENT, burned=25 * CENT + 7, limit=DOLLAR)
    assert going is not None
    assert nearly(going.projected) != going.projected
    (one,) = built(counters=(CounterFact(where, forecast=going),))
    said = " ".join(alert_sentences(one.kind, one.payload, NOW))
    assert "$0.250000007 were used since 09:00." in said
    assert "the window ends near $1.50." in said


@pytest.mark.parametrize(
    ("amount", "told"),
    [(0, 0), (7, 7), (999, 999), (1_234, 1_230), (318_270_580, 318_000_000), (999_600_000, 1_000_000_000)],
)
def test_three_digits(amount: int, told: int) -> None:
    assert nearly(amount) == told


def test_counters_of_one_budget_have_an_alert_each() -> None:
    where = standing(DOLLAR, scope_kind="user")
    found = built(counters=tuple(CounterFact(replace(where, scope_value=value)) for value in ("ann", "bob")))
    assert [one.dedupe_key for one in found] == ["budget_alert:day:ann", "budget_alert:day:bob"]
    assert alert_summary(found[0].kind, found[0].payload, NOW) == "day is past its soft limit: $1.00 of $1.00 (ann)"


def test_price_unknown() -> None:
    one = the_one(built(unpriced=(UnpricedUse("house", "acme-7b"),)))
    assert (one.severity, one.dedupe_key) == (Severity.WARNING, "price_unknown:house:acme-7b")
    assert (one.subject_kind, one.subject) == (SubjectKind.MODEL, "acme-7b")


@pytest.mark.parametrize(
    ("samples", "expected", "actual", "overruns", "alerts"),
    [
        (50, 100, 125, 0, False),
        (50, 100, 126, 0, True),
        (50, 100, 75, 0, False),
        (50, 100, 74, 0, True),
        (49, 100, 900, 9, False),
        (200, 100, 100, 1, True),
        (200, 100, 100, 0, False),
        (50, 0, 5, 0, True),
    ],
)
def test_estimate_drift(samples: int, expected: int, actual: int, overruns: int, alerts: bool) -> None:
    found = built(drifts=(EstimateDrift("openai", "gpt-5.4", samples, expected, actual, overruns),))
    assert bool(found) is alerts
    if alerts:
        one = the_one(found)
        assert (one.severity, one.dedupe_key) == (Severity.WARNING, "estimate_drift:openai:gpt-5.4")
