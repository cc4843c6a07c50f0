"""How `palyra usage` prints for people."""

from datetime import UTC, datetime

from palyra.cli.output import amount, instant, say, table
from palyra.control.usage_queries import (
    InsightsAnswer,
    UsageAnswer,
    UsageEntry,
    UsageNumbers,
)
from palyra.core.money import format_usd, format_usd_short
from palyra.core.plural import plural
from palyra.core.windows import load_zone

NOBODY = "(none)"
"""Work that names no session, job or the like."""
SERIES_SHOWN = 3


def print_summary(answer: UsageAnswer, period: str) -> None:
    """Prints the sums of a period."""
    total = answer.total
    median = "" if answer.median_latency_ms is None else f" (median {answer.median_latency_ms:,} ms)"
    say(
        f"{period}: {format_usd(total.cost_nano_usd)} · {plural(total.requests, 'request')} ·"
        f" {plural(total.input_tokens, 'token')} in, {total.output_tokens:,} out · {total.refused:,} refused"
        + (f" · {total.unpriced:,} unpriced" if total.unpriced else "")
        + (f" · latency {total.average_latency_ms:,} ms{median}" if total.attempts else "")
    )
    print_breakdown(answer)


def print_breakdown(answer: UsageAnswer) -> None:
    """Prints usage by one thing, the dearest first."""
    if not answer.breakdown:
        say("nothing was used")
        return
    table(
        (answer.by, "requests", "in", "out", "cost", "share", "latency"),
        [_entry(entry) for entry in answer.breakdown],
        right=(1, 2, 3, 4, 5, 6),
    )
    if answer.next_cursor:
        say(f"more with --cursor '{answer.next_cursor}'")


def _entry(entry: UsageEntry) -> tuple[str, ...]:
    numbers = entry.numbers
    return (
        entry.key or NOBODY,
        f"{numbers.requests:,}",
        f"{numbers.input_tokens:,}",
        f"{numbers.output_tokens:,}",
        format_usd_short(numbers.cost_nano_usd),
        f"{entry.share:.0%}",
        f"{numbers.average_latency_ms:,} ms",
    )


def print_timeline(answer: UsageAnswer) -> None:
    """Prints usage over time."""
    zone = load_zone(answer.timezone)
    table(
        (answer.bucket, "requests", "refused", "in", "out", "cost", f"the most by {answer.by}"),
        [
            (
                datetime.fromtimestamp(step.start / 1000, UTC).astimezone(zone).strftime(_PATTERNS[answer.bucket]),
                f"{step.total.requests:,}",
                f"{step.total.refused:,}",
                f"{step.total.input_tokens:,}",
                f"{step.total.output_tokens:,}",
                format_usd_short(step.total.cost_nano_usd),
                _most(step.series),
            )
            for step in answer.timeline
        ],
        right=(1, 2, 3, 4, 5),
    )
    total = answer.total
    say(f"{format_usd(total.cost_nano_usd)} · {plural(total.requests, 'request')}, in {answer.timezone}")


_PATTERNS = {"hour": "%Y-%m-%d %H:%M %Z", "day": "%Y-%m-%d"}


def _most(series: dict[str, UsageNumbers]) -> str:
    ranked = sorted(series.items(), key=lambda item: (-item[1].cost_nano_usd, -item[1].requests, item[0]))
    return " · ".join(
        f"{key or NOBODY} {format_usd_short(numbers.cost_nano_usd)}" for key, numbers in ranked[:SERIES_SHOWN]
    )


def print_insights(answer: InsightsAnswer) -> None:
    """Prints why requests went where they went."""
    say(f"{instant(answer.since)} to {instant(answer.until)}")
    if answer.reasons:
        table(("reason", "decisions"), [(reason, f"{count:,}") for reason, count in answer.reasons.items()], right=(1,))
    if answer.mix:
        say("")
        table(
            ("model", "requests", "cost", "share"),
            [
                (
                    entry.key or NOBODY,
                    f"{entry.numbers.requests:,}",
                    format_usd_short(entry.numbers.cost_nano_usd),
                    f"{entry.share:.0%}",
                )
                for entry in answer.mix
            ],
            right=(1, 2, 3),
        )
    if answer.decisions:
        say("")
        table(
            ("newest", "decision", "action", "model", "reasons"),
            [
                (instant(one.at), one.decision_id, one.action, one.model, " ".join(one.reason_codes))
                for one in answer.decisions
            ],
        )
    for alert in answer.alerts:
        say(f"alert {alert.severity}: {alert.summary}")
    for view in answer.forecasts:
        where = "" if view.scope_value == "*" else f" ({view.scope_value})"
        reaches = "" if view.reaches_at is None else f", past its limit at {instant(view.reaches_at)}"
        limit = "" if view.limit is None else f" of {amount(view.limit, view.metric_kind)}"
        say(
            f"forecast {view.policy_id}{where}: {amount(view.projected, view.metric_kind)}{limit} by"
            f" {instant(view.window_end)}{reaches}"
        )
