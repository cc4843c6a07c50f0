"""What stands under the numbers of a span: who used most, why requests went their ways, where budgets are going."""

from collections.abc import Sequence

from palyra.control.snapshots import AlertView, BudgetView, ForecastView, Snapshot
from palyra.control.usage_queries import UsageEntry
from palyra.core.money import NANO
from palyra.core.safe_text import fit, safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.words import level_tone
from palyra.tui.themes import Tone
from palyra.tui.usage_view import Sight, name_of
from palyra.tui.widgets.charts import bar
from palyra.tui.widgets.lines import BLANK, Line, Part, cut, line, muted, part, strong, width_of

LABEL = 11
"""Cells of the words at the left."""
BAR = 14
SHOWN = 5
"""Lines of a list in the panel."""


def under_lines(sight: Sight, snapshot: Snapshot, by: str, zone: str, now: int, width: int) -> list[Line]:
    """The essence, a line each: what alarms first."""
    room = width - LABEL - 2
    rows: list[tuple[str, Sequence[Part]]] = [
        ("alert", _alert_parts(snapshot.alerts, room)),
        ("forecast", _forecast_parts(sight, snapshot.tightest, zone, now, room)),
        ("routing", _fitting([(part(f"{count:,} "), muted(code)) for code, count in _reasons(sight)], room)),
    ]
    if by != "user":
        rows.append(("top users", _fitting([_user(entry) for entry in sight.users], room)))
    return [cut(line(muted(f" {label:{LABEL}}"), *parts), width - 1) for label, parts in rows if parts]


def _fitting(groups: Sequence[Sequence[Part]], room: int) -> Sequence[Part]:
    """As many groups as fit in full, the first in any case."""
    for count in range(len(groups), 1, -1):
        parts = _joined(groups[:count])
        if width_of(tuple(parts)) <= room:
            return parts
    return _joined(groups[:1])


def panel_lines(sight: Sight, snapshot: Snapshot, zone: str, now: int, width: int) -> list[Line]:
    """The same in two columns, what alarms at the top, with the mix of models as bars."""
    half = (width - 3) // 2
    left = [
        *_bars("model mix", [(name_of("model", entry.key), entry) for entry in sight.insights.mix], half),
        BLANK,
        *_bars("top users", [(name_of("user", entry.key), entry) for entry in sight.users], half),
    ]
    right: list[Line] = []
    if snapshot.alerts:
        right += [line(" ", strong("alerts")), *[line(" ", *_alert(alert)) for alert in snapshot.alerts[:2]], BLANK]
    right += [line(" ", strong("routing"))]
    right += [line(f" {count:>9,}  ", part(code)) for code, count in _reasons(sight)[:SHOWN]]
    right += [BLANK, line(" ", strong("forecasts"))]
    right += [line(" ", *_forecast(view, zone, now)) for view in sight.insights.forecasts[:SHOWN]] or [
        line(" ", muted("no budget has a window that ends"))
    ]
    height = max(len(left), len(right))
    left += [BLANK] * (height - len(left))
    right += [BLANK] * (height - len(right))
    return [_beside(one, other, half) for one, other in zip(left, right, strict=True)]


def _beside(one: Line, other: Line, half: int) -> Line:
    kept = cut(one, half)
    return (*kept, part(" " * (half + 2 - width_of(kept))), *cut(other, half))


def _bars(title: str, entries: Sequence[tuple[str, UsageEntry]], width: int) -> list[Line]:
    name_width = max(8, width - BAR - 20)
    lines = [line(" ", strong(title))]
    for name, entry in entries[:SHOWN]:
        lines.append(
            line(
                " ",
                part(fit(safe(name), name_width)),
                " ",
                part(bar(entry.share, BAR), Tone.ACCENT),
                part(fit(safe(show.money(entry.numbers.cost_nano_usd)), 10, align="right")),
                muted(fit(safe(show.percent(entry.share)), 6, align="right")),
            )
        )
    return lines if entries else [*lines, line(" ", muted("nobody"))]


def _reasons(sight: Sight) -> list[tuple[str, int]]:
    return list(sight.insights.reasons.items())


def _user(entry: UsageEntry) -> Sequence[Part]:
    return (part(name_of("user", entry.key)), muted(f" {show.money(entry.numbers.cost_nano_usd)}"))


def _alert_parts(alerts: Sequence[AlertView], room: int) -> Sequence[Part]:
    """The gravest, and how many there are beside it; the count is never what is cut."""
    if not alerts:
        return ()
    more = (muted(f" and {len(alerts) - 1} more"),) if len(alerts) > 1 else ()
    return (*cut(tuple(_alert(alerts[0])), room - width_of(more)), *more)


def _alert(alert: AlertView) -> Sequence[Part]:
    tone = Tone.BAD if alert.severity == "danger" else Tone.WARN
    return (part(f"{glyphs.ATTENTION} {alert.summary}", tone),)


def _forecast_parts(sight: Sight, tightest: BudgetView | None, zone: str, now: int, room: int) -> Sequence[Part]:
    """Budgets that will not last first, then those that end highest; without any, how the tightest stands."""
    views = sorted(
        sight.insights.forecasts,
        key=lambda view: (view.reaches_at is None, view.reaches_at or 0, -_fullness(view), view.policy_id),
    )
    if views:
        return _fitting([_forecast(view, zone, now) for view in views], room)
    if tightest is None:
        return ()
    metric = tightest.metric_kind
    return (
        part(tightest.policy_id),
        part(" "),
        part(show.quantity(metric, tightest.settled + tightest.held), level_tone(tightest.used_ratio, tightest)),
        muted(" of "),
        part(show.quantity(metric, tightest.hard_limit)),
        muted(f", renews {show.renewal(tightest.window_end, tightest.timezone, now)}"),
    )


def _fullness(view: ForecastView) -> float:
    return view.projected / view.limit if view.limit else 0.0


def _forecast(view: ForecastView, zone: str, now: int) -> Sequence[Part]:
    """`team-day reaches $45.00 at 15:20` or `month ends near $931 of $1,200`."""
    name = view.policy_id if view.scope_value == "*" else f"{view.policy_id} {view.scope_value}"
    metric = view.metric_kind
    if view.reaches_at is not None:
        at = show.local(view.reaches_at, zone)
        when = f"{at:%H:%M}" if abs(view.reaches_at - now) < show.DAY else f"{at:%a %m-%d %H:%M}"
        return (part(name), muted(" reaches "), part(f"{_about(metric, view.limit)} at {when}", Tone.WARN))
    of = () if view.limit is None else (muted(f" of {_about(metric, view.limit)}"),)
    return (part(name), muted(" ends near "), part(_about(metric, view.projected)), *of)


def _about(metric: str, amount: int | None) -> str:
    """An amount as near as a forecast can tell it: whole dollars from a hundred on."""
    if metric == "estimated_cost_usd" and amount is not None and amount >= 100 * NANO:
        return f"${(amount + NANO // 2) // NANO:,}"
    return show.quantity(metric, amount)


def _joined(groups: Sequence[Sequence[Part]]) -> Sequence[Part]:
    parts: list[Part] = []
    for group in groups:
        if parts:
            parts.append(muted(f" {glyphs.SEPARATOR} "))
        parts += group
    return parts
