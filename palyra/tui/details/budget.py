"""A budget, opened: where its counters stand and are going, what hangs on it, how it came to be, whom it refused."""

from palyra.control.queries import BudgetDetail, RevisionView
from palyra.control.snapshots import BudgetView, ForecastView
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.details.layout import Cell, heading, pairs, table
from palyra.tui.details.words import budget_mark, level_tone, refusal_words
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part, strong, wrap

_ACTIONS = {
    "block": "refuses what is over",
    "approval_required": "asks a person",
    "advise": "only warns",
}
_METRICS = {
    "estimated_cost_usd": "cost in US dollars",
    "total_tokens": "input and output tokens",
    "requests": "requests",
}
GAUGE_CELLS = 30
COUNTERS_FROM = 2
"""So many counters are worth a table."""
REVISIONS, REFUSALS = 6, 6


def scope_words(budget: BudgetView) -> str:
    """`global`, `user maria`, `model *`."""
    if budget.scope_kind == "global":
        return "global"
    return f"{budget.scope_kind} {budget.scope_value}"


def budget_lines(
    budget: BudgetView, detail: BudgetDetail | None, config_path: str, zone: str, now: int, width: int
) -> list[Line]:
    """`detail` is None until the journal has answered; `config_path` is where budgets of the file are edited."""
    glyph, word, tone = budget_mark(budget)
    metric, ratio = budget.metric_kind, budget.used_ratio
    level = level_tone(ratio, budget)
    limit = budget.hard_limit if budget.hard_limit is not None else budget.soft_limit
    lines = [
        line(" ", *gauge_parts(ratio, GAUGE_CELLS, level), part(f" {show.percent(ratio)}", level)),
        BLANK,
        *pairs(
            [
                ("budget", strong(budget.policy_id)),
                ("status", part(f"{glyph} {word}", tone)),
                ("covers", part(scope_words(budget))),
                ("counts", part(_METRICS.get(metric, metric))),
                ("settled", part(exact(metric, budget.settled))),
                ("held", part(exact(metric, budget.held))),
                ("limit", part(show.quantity(metric, limit))),
                ("warns at", part(show.quantity(metric, budget.soft_limit))),
                ("left", _left(budget)),
                ("granted", part(show.quantity(metric, budget.granted))),
                ("window", part(f"{budget.interval_kind.replace('_', ' ')}, {budget.timezone}")),
                ("renews", part(show.renewal(budget.window_end, budget.timezone, now))),
                ("when full", part(_ACTIONS.get(budget.action, budget.action))),
                ("mode", part(budget.mode)),
                ("from", part(f"{budget.source}, revision {budget.revision}")),
            ],
            width,
        ),
    ]
    if budget.incomplete:
        told = "rows of the journal are lost; more was used than is counted"
        lines += pairs([("incomplete", part(told, Tone.WARN))], width)
    if budget.forecast is not None:
        text, tone = forecast_words(budget.forecast, budget.timezone, now)
        lines += pairs([("forecast", part(text, tone))], width)
    if budget.source == "config":
        where = config_path or "palyra.toml"
        lines += [
            BLANK,
            *wrap(
                f"declared in {where}: change it there, then `palyra reload`", width - 1, indent=" ", tone=Tone.MUTED
            ),
        ]
    if detail is None:
        return [*lines, BLANK, line(" ", muted("counters, grants and history …"))]
    return lines + _hanging(budget, detail, zone, now, width)


def _left(budget: BudgetView) -> Part:
    """What may still be used with its grants, or how far it is over."""
    if budget.hard_limit is None:
        return part(show.NONE)
    left = budget.hard_limit + budget.granted - budget.settled - budget.held
    amount = show.quantity(budget.metric_kind, abs(left))
    return part(amount) if left >= 0 else part(f"none: {amount} over", Tone.BAD)


def forecast_words(forecast: ForecastView, timezone: str, now: int) -> tuple[str, Tone]:
    """`reaches $45.00 at 15:20`, or where it will stand when the window ends."""
    metric = forecast.metric_kind
    if forecast.reaches_at is not None:
        at = show.moment(forecast.reaches_at, timezone, now)
        return f"reaches {show.quantity(metric, forecast.limit)} at {at}", Tone.WARN
    return f"{show.quantity(metric, forecast.projected)} when the window ends", Tone.PLAIN


def _hanging(budget: BudgetView, detail: BudgetDetail, zone: str, now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    if len(detail.counters) >= COUNTERS_FROM:
        lines += [BLANK, *_counters(detail, width)]
        more = detail.counters[0].counters - len(detail.counters)
        if more > 0:
            lines.append(line(" ", muted(f"and {more:,} more")))
    if detail.grants:
        lines += [BLANK, heading("grants in force")]
        for one in detail.grants:
            metric = one.metric_kind
            drawn = f"{show.quantity(metric, one.drawn)} drawn of {show.quantity(metric, one.cap)}"
            ends = "" if one.expires_at is None else f", ends {show.renewal(one.expires_at, zone, now)}"
            who = f"{one.kind} of {one.principal} by {one.granted_by}: {drawn}{ends}"
            lines += wrap(who, width - 1, indent="   ", hang=" " * 5)
    if detail.approvals:
        lines += [BLANK, heading("waiting for a person")]
        for view in detail.approvals:
            over = show.quantity(view.excess_metric, view.excess)
            what = f"{view.principal} {view.model or 'asks for room'}, {over} over, {view.risk}"
            lines += wrap(what, width - 1, indent="   ", hang=" " * 5)
    if detail.refusals:
        lines += [BLANK, heading("newest it refused")]
        for run in detail.refusals[:REFUSALS]:
            when = show.moment(run.accepted_at, zone, now)
            what = f"{when}  {run.principal} {run.model or run.model_asked} {glyphs.SEPARATOR} {refusal_words(run)}"
            lines += wrap(what, width - 1, indent="   ", hang=" " * 5)
    if detail.revisions:
        lines += [BLANK, heading("revisions")]
        for revision in detail.revisions[:REVISIONS]:
            lines += wrap(_revision_words(revision, zone, now), width - 1, indent="   ", hang=" " * 5)
    return lines


def _counters(detail: BudgetDetail, width: int) -> list[Line]:
    rows: list[list[Cell]] = [
        [
            view.scope_value,
            show.quantity(view.metric_kind, view.settled),
            show.quantity(view.metric_kind, view.held),
            show.quantity(view.metric_kind, view.granted),
            part(show.percent(view.used_ratio), level_tone(view.used_ratio, view)),
        ]
        for view in detail.counters
    ]
    head = (detail.counters[0].scope_kind, "settled", "held", "granted", "used")
    return table(head, rows, width, right=frozenset([1, 2, 3, 4]))


def _revision_words(revision: RevisionView, zone: str, now: int) -> str:
    when = show.moment(revision.at, zone, now)
    head = f"{revision.revision}  {when} by {revision.by}"
    if revision.removed:
        return f"{head}: removed"
    if revision.revision == 1:
        return f"{head}: made"
    changes = [f"{name} {before or show.NONE} → {after}" for name, (before, after) in revision.changes.items()]
    return f"{head}: {', '.join(changes) or 'nothing changed'}"


def exact(metric: str, amount: int) -> str:
    """An amount of a budget to its last unit."""
    return show.exact_money(amount) if metric == "estimated_cost_usd" else show.quantity(metric, amount)
