"""Alerts in words. Nothing is decided here: every sentence is derived from a payload, today or years later."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from palyra.config.choices import MetricKind
from palyra.core.money import format_usd, format_usd_short
from palyra.core.plural import plural
from palyra.governance.alerts import AlertKind
from palyra.governance.explain import amount_text, moment_text

Payload = Mapping[str, Any]

_HOUR_MS = 3_600_000
_STATES = {
    "soft_limit": "is past its soft limit",
    "override_applied": "draws on a grant",
    "hard_limit": "is over its limit",
    "blocked": "refuses requests",
    "approval_required": "asks a person",
}


def alert_summary(kind: str, payload: Payload, at: int) -> str:
    """One line. Instants are told in the budget's zone, with their date where it is not that of `at`."""
    return _SUMMARIES[AlertKind(kind)](payload, at)


def alert_sentences(kind: str, payload: Payload, at: int) -> tuple[str, ...]:
    """What the numbers are, and what can be done."""
    return tuple(_SENTENCES[AlertKind(kind)](payload, at))


def _spike_summary(p: Payload, at: int) -> str:
    hours = _span(p["half_ms"])
    newer, older = format_usd_short(p["newer_nano_usd"]), format_usd_short(p["older_nano_usd"])
    return f"spending rose: {newer} in {hours}, {older} in the {hours} before"


def _spike(p: Payload, at: int) -> list[str]:
    hours = _span(p["half_ms"])
    return [
        f"{format_usd(p['newer_nano_usd'])} were charged in the newest {hours}, {format_usd(p['older_nano_usd'])} in "
        f"the {hours} before: more than twice as much, and more than {format_usd(p['threshold_nano_usd'])}.",
        "Usage by model, user or session shows whose work it is.",
    ]


def _health_summary(p: Payload, at: int) -> str:
    if p["breaker"] != "closed":
        return f"provider {p['provider']} is cut off: its breaker is {_words(p['breaker'])}"
    if p["health"] != "degraded" and (ending := p.get("ending")):
        return f"credential {ending[0]['credential']} of provider {p['provider']} ends soon"
    return f"provider {p['provider']} is {p['health']}"


def _health(p: Payload, at: int) -> list[str]:
    said = [f"Provider {p['provider']}: health {_words(p['health'])}, breaker {_words(p['breaker'])}."]
    for one in p.get("ending", ()):
        when = datetime.fromtimestamp(one["at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        said.append(
            f"Its credential {one['credential']} ends at {when}. Palyra renews none: keep a new one in the vault."
        )
    return said


def _mix_summary(p: Payload, at: int) -> str:
    return f"{p['model']} serves {_percent(p['runs'], p['of_runs'])} of all runs"


def _mix(p: Payload, at: int) -> list[str]:
    return [
        f"{p['runs']:,} of {plural(p['of_runs'], 'run')} in {_span(p['lookback_ms'])} were served by "
        f"{p['model']}, though {p['chat_models']} chat models are there. More than {p['threshold_percent']} % is told.",
    ]


def _regression_summary(p: Payload, at: int) -> str:
    worse = [word for word, true in (("fails more", p["fails_more"]), ("is slower", p["slower"])) if true]
    return f"{p['model']} {' and '.join(worse)} than {p['default_model']}"


def _regression(p: Payload, at: int) -> list[str]:
    return [
        f"{p['failed']:,} of {plural(p['runs'], 'run')} that routing gave to {p['model']} failed "
        f"({_percent(p['failed'], p['runs'])}); of {p['default_model']}'s {plural(p['default_runs'], 'run')} "
        f"{p['default_failed']:,} did ({_percent(p['default_failed'], p['default_runs'])}).",
        f"Half of them took at most {_seconds(p['p50_ms'])}, of {p['default_model']}'s "
        f"{_seconds(p['default_p50_ms'])}.",
    ]


def _budget_summary(p: Payload, at: int) -> str:
    state = _STATES.get(p["status"], _words(p["status"]))
    return f"{p['policy_id']} {state}: {_used_of(p)}{_of_whom(p)}"


def _budget(p: Payload, at: int) -> list[str]:
    metric = MetricKind(p["metric_kind"])
    said = [f"Settled {amount_text(p['settled'], metric)}, held {amount_text(p['held'], metric)}: {_used_of(p)}."]
    if p["soft_limit"] is not None:
        said.append(f"It warns above {amount_text(p['soft_limit'], metric)}.")
    if p["granted"]:
        said.append(f"Grants add {amount_text(p['granted'], metric)}.")
    if p["refusals"]:
        last = f"the last at {_moment(p['refused_at'], p, at)}"
        said.append(f"It did not let {plural(p['refusals'], 'request')} pass in this window, {last}.")
    return [*said, _renewal(p, at)]


def _forecast_summary(p: Payload, at: int) -> str:
    return f"{p['policy_id']} reaches its limit at {_moment(p['reaches_at'], p, at)}{_of_whom(p)}"


def _forecast(p: Payload, at: int) -> list[str]:
    metric = MetricKind(p["metric_kind"])
    return [
        f"{amount_text(p['burned'], metric)} were used since {_moment(p['burn_since'], p, at)}. "
        f"At this pace {amount_text(p['limit'], metric)} are reached at {_moment(p['reaches_at'], p, at)}, "
        f"and the window ends near {amount_text(nearly(p['projected']), metric)}.",
        _renewal(p, at),
    ]


def nearly(amount: int) -> int:
    """An amount that is only expected, to three digits: no more of it is known."""
    return round(amount, 3 - len(str(amount)))


def _price_summary(p: Payload, at: int) -> str:
    return f"nobody has said what {p['model']} costs"


def _price(p: Payload, at: int) -> list[str]:
    return [
        f"{p['model']} of provider {p['provider']} is used, and its price is not known. Budgets in dollars count it as "
        "their on_unknown_price says.",
        "Declare it with a [[pricing]] row, or with free = true for the model.",
    ]


def _drift_summary(p: Payload, at: int) -> str:
    if not p["expected_tokens"] or 4 * abs(p["actual_tokens"] - p["expected_tokens"]) <= p["expected_tokens"]:
        return f"{p['model']} cost more than its bound {plural(p['overruns'], 'time')} in {p['samples']}"
    return f"{p['model']} used {_percent(p['actual_tokens'], p['expected_tokens'])} of the tokens it was expected to"


def _drift(p: Payload, at: int) -> list[str]:
    return [
        f"The newest {plural(p['samples'], 'attempt')} on {p['model']} were expected to read "
        f"{plural(p['expected_tokens'], 'token')} "
        f"and read {p['actual_tokens']:,}; {plural(p['overruns'], 'attempt')} cost more than the bound held for it.",
        'With bound_estimator = "proven" no bound on text can be exceeded.',
    ]


_Lines = Callable[[Payload, int], list[str]]
_SUMMARIES: Mapping[AlertKind, Callable[[Payload, int], str]] = {
    AlertKind.COST_SPIKE: _spike_summary,
    AlertKind.PROVIDER_HEALTH: _health_summary,
    AlertKind.UNUSUAL_MODEL_MIX: _mix_summary,
    AlertKind.ROUTING_REGRESSION: _regression_summary,
    AlertKind.BUDGET_ALERT: _budget_summary,
    AlertKind.BUDGET_FORECAST: _forecast_summary,
    AlertKind.PRICE_UNKNOWN: _price_summary,
    AlertKind.ESTIMATE_DRIFT: _drift_summary,
}
_SENTENCES: Mapping[AlertKind, _Lines] = {
    AlertKind.COST_SPIKE: _spike,
    AlertKind.PROVIDER_HEALTH: _health,
    AlertKind.UNUSUAL_MODEL_MIX: _mix,
    AlertKind.ROUTING_REGRESSION: _regression,
    AlertKind.BUDGET_ALERT: _budget,
    AlertKind.BUDGET_FORECAST: _forecast,
    AlertKind.PRICE_UNKNOWN: _price,
    AlertKind.ESTIMATE_DRIFT: _drift,
}


def _of_whom(p: Payload) -> str:
    """Whose counter it is, at the end of a line: a narrow screen cuts it before the amounts."""
    return "" if p["scope_value"] == "*" else f" ({p['scope_value']})"


def _used_of(p: Payload) -> str:
    used = _short(p["settled"] + p["held"], p)
    limit = p["hard_limit"]
    return used if limit is None else f"{used} of {_short(limit, p)}"


def _short(amount: int, p: Payload) -> str:
    metric = MetricKind(p["metric_kind"])
    return format_usd_short(amount) if metric is MetricKind.ESTIMATED_COST_USD else amount_text(amount, metric)


def _renewal(p: Payload, at: int) -> str:
    end = p["window_end"]
    if end is None:
        return "Its window never ends."
    return f"It begins anew at {_moment(end, p, at)} ({p['timezone']})."


def _moment(instant: int, p: Payload, at: int) -> str:
    return moment_text(instant, p["timezone"], at)


def _span(ms: int) -> str:
    hours, rest = divmod(ms, _HOUR_MS)
    return f"{ms // 60_000} min" if rest else f"{hours} h"


def _seconds(ms: int | None) -> str:
    return "an unknown time" if ms is None else f"{ms / 1000:.1f} s"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part // whole} %" if whole else "more than 100 %"


def _words(name: str) -> str:
    return name.replace("_", " ")
