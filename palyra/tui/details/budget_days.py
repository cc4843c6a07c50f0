"""What the days before were like for whom a budget covers, as bars: what a limit is judged by."""

from palyra.control.snapshots import BudgetView
from palyra.control.usage_queries import UsageAnswer, UsageQuery
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.windows import Interval, window_for
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.budget import scope_words
from palyra.tui.usage_view import MEASURES, SMALL_PLOT, Measure, bucket_words, plot_of, series_of
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong

DAYS_SHOWN = 14
MODELS_TOLD = 10
HEAD_ROWS, AXIS_ROWS = 2, 4
"""What stands above the bars, and what below them."""
TALLEST = 16
LEAST_ROWS = HEAD_ROWS + SMALL_PLOT + AXIS_ROWS
_MEASURES = {"estimated_cost_usd": 0, "total_tokens": 1, "requests": 2}


def days_query(budget: BudgetView, now: int) -> UsageQuery | None:
    """What is asked for at `now` (UTC unix ms): whole days of the budget's own zone. None for a scope that usage is not
    told apart by, or for all values of one."""
    where = ANYTHING
    if budget.scope_kind != "global":
        if budget.scope_value in ("", "*") or not hasattr(ANYTHING, budget.scope_kind):
            return None
        where = UsageFilter(**{budget.scope_kind: budget.scope_value})
    end = window_for(Interval.DAILY, budget.timezone, now).end
    assert end is not None, "days always end"
    since = window_for(Interval.DAILY, budget.timezone, end - DAYS_SHOWN * show.DAY).start
    return UsageQuery(since, end, "model", "day", budget.timezone, MODELS_TOLD, where=where)


def days_lines(budget: BudgetView, answer: UsageAnswer, width: int, rows: int, *, marks: bool) -> list[Line]:
    """At most `rows` lines of `width` cells: bars by model, the newest day in words. Empty where nothing was used."""
    if not answer.timeline or not (answer.total.requests or answer.total.attempts):
        return []
    measure: Measure = MEASURES[_MEASURES.get(budget.metric_kind, 0)]
    series, newest = series_of(answer, measure), len(answer.timeline) - 1
    height = min(TALLEST, rows - HEAD_ROWS - AXIS_ROWS)
    plot = plot_of(answer, measure, series, newest, budget.timezone, width=width - 2, height=height, marks=marks)
    told = f"{measure.name} of {scope_words(budget)} {glyphs.SEPARATOR} last {DAYS_SHOWN} days, {budget.timezone}"
    words = bucket_words(answer.timeline[-1], newest, "day", series, budget.timezone, width - 1, marks=marks)
    return [
        line(" ", strong(budget.policy_id), muted(f"  {told}")),
        BLANK,
        *((part(" "), *row) for row in plot.lines),
        words,
    ]
