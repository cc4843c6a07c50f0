"""A budget, opened: where its counter stands and what it does when it is full."""

from palyra.control.snapshots import BudgetView
from palyra.tui import format as show
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.details.layout import pairs
from palyra.tui.details.words import budget_mark, level_tone
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, part, strong, wrap

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


def scope_words(budget: BudgetView) -> str:
    """`global`, `user maria`, `model *`."""
    if budget.scope_kind == "global":
        return "global"
    return f"{budget.scope_kind} {budget.scope_value}"


def budget_lines(budget: BudgetView, zone: str, now: int, width: int) -> list[Line]:
    glyph, word, tone = budget_mark(budget)
    metric, ratio = budget.metric_kind, budget.used_ratio
    level = level_tone(ratio, budget)
    left = (budget.hard_limit or 0) + budget.granted - budget.settled - budget.held
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
                ("left", part(show.quantity(metric, max(0, left)) if budget.hard_limit is not None else show.NONE)),
                ("granted", part(show.quantity(metric, budget.granted))),
                ("window", part(f"{budget.interval_kind.replace('_', ' ')}, {budget.timezone}")),
                ("renews", part(show.renewal(budget.window_end, budget.timezone, now))),
                ("full", part(_ACTIONS.get(budget.action, budget.action))),
                ("mode", part(budget.mode)),
                ("from", part(f"{budget.source}, revision {budget.revision}")),
            ],
            width,
        ),
    ]
    if budget.counters > 1:
        text = f"{budget.counters} counters, one for each {budget.scope_kind}; the fullest are listed"
        lines += [BLANK, *wrap(text, width - 1, indent=" ", tone=Tone.MUTED)]
    if budget.source == "config":
        lines += [BLANK, *wrap("declared in palyra.toml: change it there", width - 1, indent=" ", tone=Tone.MUTED)]
    return lines


def exact(metric: str, amount: int) -> str:
    """An amount of a budget to its last unit."""
    return show.exact_money(amount) if metric == "estimated_cost_usd" else show.quantity(metric, amount)
