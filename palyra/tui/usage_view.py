"""What the Usage screen looks at: a span of time, a measure, a breakdown; and the numbers in words. Pure functions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from palyra.control.protocol import Control
from palyra.control.usage_queries import (
    InsightsAnswer,
    InsightsQuery,
    UsageAnswer,
    UsageEntry,
    UsageNumbers,
    UsageQuery,
    UsageStep,
)
from palyra.core.usage_filter import UsageFilter
from palyra.core.values import value
from palyra.core.windows import HOUR_MS, Interval, window_for
from palyra.tui import format as show
from palyra.tui.themes import Tone
from palyra.tui.widgets.charts import Plot, Series, legend, stacked_columns, top_series
from palyra.tui.widgets.lines import Line, line, muted, part, strong, width_of

Bucket = Literal["hour", "day"]
HOURS = 24
DAYS = 30
BREAKDOWNS = ("model", "user", "session", "key", "provider", "agent", "job", "tag")
SMALL_PLOT = 7
LISTED = 50
"""Entries on a page of the breakdown; more pages are asked for when somebody wants more."""
MOST_PAGES = 20
TOP_USERS = 5
NEWEST = 5
ALL = "all"
NONE_NAMED = "(none)"
"""Work that names no session, job or the like."""


@value
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


@value
class Sight:
    """All that is shown of one span: its numbers, its dearest users, why requests went where they went."""

    usage: UsageAnswer
    users: tuple[UsageEntry, ...]
    insights: InsightsAnswer


def span_of(bucket: Bucket, zone: str, now: int) -> tuple[int, int]:
    """[since, until) in UTC unix ms: the last 24 hours or 30 local days, the running bucket included."""
    if bucket == "hour":
        until = window_for(Interval.HOURLY, zone, now).end
        assert until is not None, "hours always end"
        return until - HOURS * HOUR_MS, until
    midnight = window_for(Interval.DAILY, zone, now).end
    assert midnight is not None, "days always end"
    return window_for(Interval.DAILY, zone, midnight - DAYS * show.DAY).start, midnight


def query_for(bucket: Bucket, by: str, zone: str, now: int) -> UsageQuery:
    """The question whose answer the screen shows at `now`, UTC unix ms."""
    since, until = span_of(bucket, zone, now)
    return UsageQuery(since=since, until=until, by=by, bucket=bucket, timezone=zone, limit=LISTED)


async def look(control: Control, query: UsageQuery, pages: int = 1) -> Sight:
    """Asks for all that is shown of a span, with so many pages of its breakdown."""
    users: tuple[UsageEntry, ...] = ()
    if query.by != "user":
        answer = await control.ask(
            UsageQuery(query.since, query.until, by="user", bucket="none", timezone=query.timezone, limit=TOP_USERS)
        )
        users = answer.breakdown
    insights = await control.ask(InsightsQuery(query.since, query.until, NEWEST))
    usage = await control.ask(query)
    for _ in range(1, pages):
        if not usage.next_cursor:
            break
        more = await control.ask(replace(query, bucket="none", cursor=usage.next_cursor))
        usage = replace(usage, breakdown=(*usage.breakdown, *more.breakdown), next_cursor=more.next_cursor)
    return Sight(usage, users or (usage.breakdown[:TOP_USERS] if query.by == "user" else ()), insights)


def ranked(entries: Sequence[UsageEntry], measure: Measure) -> list[UsageEntry]:
    """The largest in a measure first; among equals, as they come."""
    return sorted(entries, key=lambda entry: -measure.of(entry.numbers))


def filter_for(by: str, key: str) -> UsageFilter:
    """The work that an entry of a breakdown counts."""
    return UsageFilter(**{by: key})


def name_of(by: str, key: str) -> str:
    """An entry's key as it is shown."""
    if not key:
        return NONE_NAMED
    return show.short_model(key) if by == "model" else key


def metric_line(numbers: UsageNumbers, median: int | None = None) -> Line:
    """The grid of what was used; an export has the cost to the nano-dollar. `median` is of the latency, in ms."""
    unpriced = (muted("   unpriced "), part(show.count(numbers.unpriced), Tone.WARN)) if numbers.unpriced else ()
    middle = () if median is None else (muted(" median "), strong(show.latency(median)))
    return line(
        muted(" tokens "),
        strong(show.tokens(numbers.total_tokens)),
        muted("  cost "),
        strong(show.money(numbers.cost_nano_usd)),
        muted("  latency "),
        strong(show.latency(numbers.average_latency_ms)),
        *middle,
        muted("  requests "),
        strong(show.count(numbers.requests)),
        muted("  refused "),
        part(show.count(numbers.refused), Tone.WARN if numbers.refused else Tone.STRONG, bold=True),
        *unpriced,
    )


def series_of(answer: UsageAnswer, measure: Measure) -> tuple[Series, ...]:
    """The timeline's series by what it is broken down by, the largest first; what is not told apart is "other"."""
    names: dict[str, list[int]] = {}
    others = [0] * len(answer.timeline)
    for number, step in enumerate(answer.timeline):
        for key, numbers in step.series.items():
            name = name_of(answer.by, key)
            names.setdefault(name, [0] * len(answer.timeline))[number] += measure.of(numbers)
        if answer.by != "tag":
            told = sum(measure.of(numbers) for numbers in step.series.values())
            others[number] = max(0, measure.of(step.total) - told)
    return top_series({name: [max(0, value) for value in values] for name, values in names.items()}, others=others)


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
    """The bars of an answer, as they fit."""
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
    step: UsageStep, number: int, bucket: str, series: tuple[Series, ...], zone: str, width: int, *, marks: bool
) -> Line:
    """The bucket under the cursor in words, with as much of its mix as fits in full."""
    total = step.total
    head = line(
        " ",
        strong(bucket_title(step, bucket, zone)),
        "  ",
        part(show.exact_money(total.cost_nano_usd), bold=True),
        muted("  "),
        part(f"{total.requests:,} req"),
        muted("  "),
        part(f"{show.tokens(total.total_tokens)} tok"),
        muted("  "),
    )
    mix = legend(series, number, marks=marks)
    for kept in range(len(mix), 0, -2):
        rest = (muted(f"  +{(len(mix) - kept) // 2}"),) if kept < len(mix) else ()
        words = (*head, *mix[:kept], *rest)
        if width_of(words) < width:
            return words
    return head
