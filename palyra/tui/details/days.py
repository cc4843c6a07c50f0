"""What the days before were like for whom something is about, as bars: what a limit, or a request, is judged by."""

from palyra.control.incidents_queries import IncidentView
from palyra.control.snapshots import AlertView, ApprovalView, BudgetView
from palyra.control.usage_queries import UsageAnswer, UsageQuery
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.values import value
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
_SERVING = ("provider", "model")


@value
class Days:
    """Whose days they are (`name`, and `whose` in words), of which zone, what of them is counted, and where."""

    name: str
    whose: str
    timezone: str
    metric_kind: str
    where: UsageFilter


def days_of_budget(budget: BudgetView) -> Days | None:
    """Days of its own zone. None for a scope that usage is not told apart by, or for all values of one."""
    where = ANYTHING
    if budget.scope_kind != "global":
        if budget.scope_value in ("", "*") or not hasattr(ANYTHING, budget.scope_kind):
            return None
        where = UsageFilter(**{budget.scope_kind: budget.scope_value})
    return Days(budget.policy_id, scope_words(budget), budget.timezone, budget.metric_kind, where)


def days_of_requester(approval: ApprovalView, zone: str) -> Days | None:
    """What the requester used; `zone` where no budget says whose days count."""
    if not approval.principal or not approval.refused:
        return None
    zones = [one.timezone for one in approval.evaluations]
    where = UsageFilter(user=approval.principal)
    return Days(approval.principal, "all their requests", next(iter(zones), zone), approval.excess_metric, where)


def days_of_serving(about: IncidentView | AlertView, zone: str) -> Days | None:
    """What a provider or model in trouble served; None for trouble of another kind."""
    related = {about.subject_kind: about.subject} if isinstance(about, AlertView) else about.related
    kind = next((kind for kind in _SERVING if related.get(kind)), "")
    if not kind:
        return None
    return Days(related[kind], f"all asked of this {kind}", zone, "requests", UsageFilter(**{kind: related[kind]}))


def days_query(days: Days, now: int) -> UsageQuery:
    """What is asked for at `now` (UTC unix ms): whole days."""
    end = window_for(Interval.DAILY, days.timezone, now).end
    assert end is not None, "days always end"
    since = window_for(Interval.DAILY, days.timezone, end - DAYS_SHOWN * show.DAY).start
    return UsageQuery(since, end, "model", "day", days.timezone, MODELS_TOLD, where=days.where)


def days_lines(days: Days, answer: UsageAnswer, width: int, rows: int, *, marks: bool) -> list[Line]:
    """At most `rows` lines of `width` cells: bars by model, the newest day in words. Empty where nothing was used."""
    if not answer.timeline or not (answer.total.requests or answer.total.attempts):
        return []
    measure: Measure = MEASURES[_MEASURES.get(days.metric_kind, 0)]
    series, newest = series_of(answer, measure), len(answer.timeline) - 1
    height = min(TALLEST, rows - HEAD_ROWS - AXIS_ROWS)
    plot = plot_of(answer, measure, series, newest, days.timezone, width=width - 2, height=height, marks=marks)
    told = f"{measure.name} of {days.whose} {glyphs.SEPARATOR} last {DAYS_SHOWN} days, {days.timezone}"
    words = bucket_words(answer.timeline[-1], newest, "day", series, days.timezone, width - 1, marks=marks)
    return [
        line(" ", strong(days.name), muted(f"  {told}")),
        BLANK,
        *((part(" "), *row) for row in plot.lines),
        words,
    ]
