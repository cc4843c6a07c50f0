"""What the Usage screen looks at: a span of time, a measure, a breakdown; and the numbers in words. Pure functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from palyra.control.queries import UsageAnswer, UsageNumbers, UsageQuery, UsageStep
from palyra.core.windows import HOUR_MS, Interval, window_for
from palyra.tui import format as show
from palyra.tui.themes import Tone
from palyra.tui.widgets.charts import Plot, Series, legend, stacked_columns, top_series
from palyra.tui.widgets.lines import Line, line, muted, part, strong

Bucket = Literal["hour", "day"]
HOURS = 24
DAYS = 30
BREAKDOWNS = ("model", "user", "session", "key", "provider", "agent", "job", "tag")
SMALL_PLOT = 7
TALL_PLOT = 14
ALL = "all"


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is counted: its name, how to take it from numbers, how to write it."""

    name: str
    of: Callable[[UsageNumbers], int]
    write: Callable[[int], str]


MEASURES = (
    Measure("cost", lambda numbers: numbers.cost_nano_usd, show.money),
    Measure("tokens", lambda numbers: numbers.total_tokens, show.tokens),
    Measure("requests", lambda numbers: numbers.requests, show.count),
    Measure("refused", lambda numbers: numbers.refused, show.count),
)


def span_of(bucket: Bucket, zone: str, now: int) -> tuple[int, int]:
    """[since, until) in UTC unix ms: the last 24 hours or 30 local days, the running bucket included."""
    if bucket == "hour":
        until = (now // HOUR_MS + 1) * HOUR_MS
        return until - HOURS * HOUR_MS, until
    midnight = window_for(Interval.DAILY, zone, now).end
    assert midnight is not None, "days always end"
    return window_for(Interval.DAILY, zone, midnight - DAYS * show.DAY).start, midnight


def query_for(bucket: Bucket, by: str, zone: str, now: int) -> UsageQuery:
    since, until = span_of(bucket, zone, now)
    return UsageQuery(since=since, until=until, by=by, bucket=bucket, timezone=zone)


def metric_line(numbers: UsageNumbers) -> Line:
    """The grid of what was used; the cost to the nano-dollar."""
    unpriced = (muted("   unpriced "), part(show.count(numbers.unpriced), Tone.WARN)) if numbers.unpriced else ()
    return line(
        muted(" tokens "),
        strong(show.tokens(numbers.total_tokens)),
        muted("  cost "),
        strong(show.exact_money(numbers.cost_nano_usd)),
        muted("  latency "),
        strong(show.latency(numbers.average_latency_ms)),
        muted("  requests "),
        strong(show.count(numbers.requests)),
        muted("  refused "),
        part(show.count(numbers.refused), Tone.WARN if numbers.refused else Tone.STRONG, bold=True),
        *unpriced,
    )


def series_of(answer: UsageAnswer, measure: Measure) -> tuple[Series, ...]:
    """The timeline's series, which are models, the largest first."""
    names: dict[str, list[int]] = {}
    for number, step in enumerate(answer.timeline):
        parts = step.series or ({ALL: step.total} if step.total.requests else {})
        for key, numbers in parts.items():
            name = show.short_model(key)
            names.setdefault(name, [0] * len(answer.timeline))[number] += measure.of(numbers)
    return top_series(names)


def plot_of(
    answer: UsageAnswer,
    measure: Measure,
    series: tuple[Series, ...],
    cursor: int,
    zone: str,
    *,
    width: int,
    height: int,
    marks: bool,
) -> Plot:
    labels = [bucket_label(step, answer.bucket, zone) for step in answer.timeline]
    return stacked_columns(series, labels, width=width, height=height, value=measure.write, cursor=cursor, marks=marks)


def bucket_label(step: UsageStep, bucket: str, zone: str) -> str:
    """`08:00` or `11-22`."""
    start = show.local(step.start, zone)
    return f"{start:%m-%d}" if bucket == "day" else f"{start:%H:%M}"


def bucket_title(step: UsageStep, bucket: str, zone: str) -> str:
    """`08:00–09:00` or `Sun 11-22`."""
    start, end = show.local(step.start, zone), show.local(step.end, zone)
    return f"{start:%a %m-%d}" if bucket == "day" else f"{start:%H:%M}–{end:%H:%M}"


def bucket_words(
    step: UsageStep, number: int, bucket: str, series: tuple[Series, ...], zone: str, *, marks: bool
) -> Line:
    """The bucket under the cursor in words, with its mix."""
    total = step.total
    return line(
        " ",
        strong(bucket_title(step, bucket, zone)),
        "  ",
        part(show.exact_money(total.cost_nano_usd), bold=True),
        muted("  "),
        part(f"{total.requests:,} req"),
        muted("  "),
        part(f"{show.tokens(total.total_tokens)} tok"),
        muted("  "),
        *legend(series, number, marks=marks),
    )
