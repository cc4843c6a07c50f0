"""An approval, opened: who asks for what, which budgets it breaks, and what would pass without a person."""

from palyra.control.queries import ApprovalDetail
from palyra.control.snapshots import ApprovalView, CounterfactualView, EvaluationView, GrantView
from palyra.core.plural import plural
from palyra.core.safe_text import cells
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.asked import reason_lines, room_words, session_words, standing_lines
from palyra.tui.details.layout import Cell, Pair, heading, pairs, table
from palyra.tui.details.words import approval_mark, breached, counter_words, risk_tone, status_tone
from palyra.tui.themes import Tone
from palyra.tui.widgets.charts import sparkline
from palyra.tui.widgets.lines import (
    BLANK,
    Line,
    Part,
    cut,
    line,
    muted,
    part,
    spread,
    strong,
    text_of,
    width_of,
    wrap,
)

WIDE_TABLE_FROM = 72
OVERRIDE_LABEL = 15
EQUALS = " = "
PREVIEW_LABEL = 13
"""Cells of what stands at the left under a list."""
WAYS_LINES = 2


def waiting_words(approval: ApprovalView, now: int) -> Line:
    """`waiting 0:41 of 1:00 (2)`, or how it ended."""
    glyph, word, tone = approval_mark(approval)
    if approval.status != "pending":
        by = f" by {approval.decided_by}" if approval.decided_by else ""
        return (part(f"{glyph} {word}{by}", tone),)
    waited = show.stopwatch(now - approval.requested_at)
    left = approval.expires_at - now
    if approval.waiting and approval.park_until is not None:
        patience = show.stopwatch(approval.park_until - approval.requested_at)
        return (part(f"waiting {waited} of {patience} ({approval.waiting})", Tone.WARN),)
    return (muted(f"open {waited}, lapses in {show.stopwatch(left)}"),)


def approval_lines(
    approval: ApprovalView, detail: ApprovalDetail | None, zone: str, now: int, width: int
) -> list[Line]:
    """Everything an operator weighs, most telling first."""
    lines = pairs([*(_refused(approval) if approval.refused else _asked(approval)), *_patience(approval, now)], width)
    lines += reason_lines(approval, width)
    if approval.status != "pending":
        lines.extend(_outcome(approval, zone, now, width))
        if detail is not None:
            lines += [row for grant in detail.grants for row in grant_words(grant, zone, now, width)]
    if approval.refused:
        lines += [BLANK, *_budgets(approval.evaluations, zone, now, width)]
        for policy_id, text, tone in by_now(approval, detail):
            lines += _now_lines(f"{policy_id} {text}", tone, width)
    elif approval.evaluations:
        lines += [BLANK, *standing_lines(approval, now, width)]
    if approval.refused:
        lines += [BLANK, heading("would pass without you"), *_counterfactual(approval, now, width)]
    return [*lines, BLANK, *_history(approval, detail, zone, now, width)]


def _refused(approval: ApprovalView) -> list[Pair]:
    """What a refused request is, and what it would cost."""
    size = f"{show.size(approval.prompt_bytes)}, ~{plural(approval.expected_input, 'token')}"
    offered = f", {plural(approval.tools, 'tool')}" if approval.tools else ""
    asked = "" if approval.max_tokens is None else f", max {approval.max_tokens:,}"
    return [
        ("who", _who(approval)),
        ("session", part(approval.session)),
        ("wants", strong(approval.model)),
        ("risk", _risk(approval)),
        ("prompt", part(size)),
        ("complexity", part(f"{approval.complexity:.2f}{offered}{asked}")),
        ("estimate", part(estimate_words(approval))),
        ("over", part(show.quantity(approval.excess_metric, approval.excess))),
    ]


def _asked(approval: ApprovalView) -> list[Pair]:
    """What was asked for in words, with no request behind it."""
    if approval.subject:
        return [
            ("remedy", strong(room_words(approval))),
            ("incident", part(approval.subject.split(":")[1])),
            ("risk", part(approval.risk, risk_tone(approval.risk))),
        ]
    return [
        ("who", _who(approval)),
        ("session", part(session_words(approval))),
        ("asks for", strong(room_words(approval))),
        ("risk", _risk(approval)),
    ]


def _patience(approval: ApprovalView, now: int) -> list[Pair]:
    """Who waits for a word and how much longer, and when it is too late for one."""
    if approval.status != "pending":
        return []
    waited = show.stopwatch(now - approval.requested_at)
    waiting = part(f"nobody, asked {waited} ago", Tone.MUTED)
    if approval.waiting and approval.park_until is not None:
        patience = show.stopwatch(approval.park_until - approval.requested_at)
        waiting = part(f"{plural(approval.waiting, 'client')}, {waited} of {patience}", Tone.WARN)
    return [("waiting", waiting), ("lapses", part(f"in {show.stopwatch(approval.expires_at - now)}"))]


def _now_lines(text: str, tone: Tone, width: int) -> list[Line]:
    first, *more = wrap(text, width - 7, tone=tone)
    return [line(" ", muted("now   "), *first), *(line(" " * 7, *row) for row in more)]


def by_now(approval: ApprovalView, detail: ApprovalDetail | None) -> list[tuple[str, str, Tone]]:
    """Where each budget that is over has got to since it was asked, and whether allowing once still does.

    The amounts shown are those of the request, and so is what a grant for one run may draw.
    """
    if detail is None or approval.status != "pending":
        return []
    told: list[tuple[str, str, Tone]] = []
    for item in breached(approval):
        found = next((one for one in detail.present if (one.policy_id, one.scope_value) == _counter(item)), None)
        if found is None or item.hard_limit is None or (found.settled, found.held) == (item.settled, item.held):
            continue
        metric, total = item.metric_kind, found.settled + found.held + item.bound
        over = total - item.hard_limit - item.granted
        words, tone = f"{show.quantity(metric, total)} of {show.quantity(metric, item.hard_limit)}", Tone.PLAIN
        if over <= 0:
            words, tone = f"{words}: it would pass by now", Tone.GOOD
        elif over > item.once_cap:
            once = show.quantity(metric, item.once_cap)
            words, tone = f"{words}: once ≤ {once} is too little, A does", Tone.WARN
        told.append((item.policy_id, words, tone))
    return told


def _counter(item: EvaluationView) -> tuple[str, str]:
    return item.policy_id, item.scope_value


def _who(approval: ApprovalView) -> Part:
    key = f" (key {approval.key_id})" if approval.key_id else ""
    return strong(f"{approval.principal}{key}")


def _risk(approval: ApprovalView) -> Part:
    words = f"{approval.risk} {glyphs.SEPARATOR} {approval.risk_percent:.0f} % over"
    return part(words, risk_tone(approval.risk))


def estimate_words(approval: ApprovalView) -> str:
    """What it is expected to cost, and what would be held for it."""
    return f"{show.money(approval.expected_nano_usd)}, at most {show.money(approval.bound_nano_usd)}"


def _outcome(approval: ApprovalView, zone: str, now: int, width: int) -> list[Line]:
    glyph, word, tone = approval_mark(approval)
    when = show.moment(approval.resolved_at, zone, now)
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    lines = [line(" ", muted(f"{'outcome':<11}"), part(f"{glyph} {word}{by}", tone), muted(f"  {when}"))]
    if approval.reason:
        lines.extend(wrap(approval.reason, width - 1, indent=" " * 12))
    return lines


def _budgets(evaluations: tuple[EvaluationView, ...], zone: str, now: int, width: int) -> list[Line]:
    if width < WIDE_TABLE_FROM:
        return _narrow_budgets(evaluations, now, width)
    rows: list[list[Cell]] = []
    for item in evaluations:
        tone = status_tone(item.status)
        rows.append(
            [
                counter_words(item),
                show.quantity(item.metric_kind, item.settled),
                show.quantity(item.metric_kind, item.held),
                show.quantity(item.metric_kind, item.bound),
                part(show.quantity(item.metric_kind, item.projected), tone, bold=True),
                show.quantity(item.metric_kind, item.hard_limit),
                show.renewal(item.window_end, item.timezone, now),
            ]
        )
    head = ("budget", "settled", "held", "this", "total", "limit", "renews")
    return table(head, rows, width, right=frozenset([1, 2, 3, 4, 5]))


def _narrow_budgets(evaluations: tuple[EvaluationView, ...], now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for item in evaluations:
        parts = arithmetic(item)
        at = next(number for number, piece in enumerate(parts) if piece.text == EQUALS)
        total = parts[at + 1 :]
        *above, last = wrap(counter_words(item), width - 2 - width_of(total), indent=" ", tone=Tone.STRONG)
        lines += [*above, spread(last, total, width - 1)]
        lines += _terms(parts[:at], width)
        lines.append(line("   ", muted(f"renews {show.renewal(item.window_end, item.timezone, now)}")))
    return lines


def _terms(parts: Line, width: int) -> list[Line]:
    """What an amount is the sum of, in two lines where one would cut it."""
    whole = line("   ", *parts)
    if width_of(whole) < width:
        return [whole]
    *first, sign, this = parts
    return [line("   ", *first), line("  ", sign, this)]


def arithmetic(item: EvaluationView) -> Line:
    """`settled $19.02 + held $0.31 + this $1.51 = $20.84 of $20.00`."""
    metric = item.metric_kind
    total = part(show.quantity(metric, item.projected), status_tone(item.status), bold=True)
    granted = f" + {show.quantity(metric, item.granted)} granted" if item.granted else ""
    return line(
        muted("settled "),
        show.quantity(metric, item.settled),
        muted(" + held "),
        show.quantity(metric, item.held),
        muted(" + this "),
        show.quantity(metric, item.bound),
        muted(EQUALS),
        total,
        muted(" of "),
        show.quantity(metric, item.hard_limit),
        granted,
    )


def _counterfactual(approval: ApprovalView, now: int, width: int) -> list[Line]:
    found = [_way(way, approval, now) for way in approval.counterfactual if way.kind != "grant"] or ["nothing"]
    return [row for way in found for row in wrap(way, width - 1, indent="   ")]


def ways(approval: ApprovalView, now: int) -> str:
    """What would pass without anybody's word, in one line."""
    found = [_way(way, approval, now) for way in approval.counterfactual if way.kind != "grant"]
    return f" {glyphs.SEPARATOR} ".join(found) or "nothing short of a grant"


def _way(way: CounterfactualView, approval: ApprovalView, now: int) -> str:
    """`max_tokens ≤ 212`, `meridian/atlas-mini`, `after 10:00 (15 min)` in the zone of the budget that is over."""
    match way.kind, way.target:
        case "max_tokens", int(tokens):
            return f"max_tokens ≤ {tokens:,}"
        case "model", str(model):
            return model
        case "time", int(at):
            budget = next(iter(breached(approval) or approval.evaluations), None)
            if at <= now:
                return "by now"
            return f"after {show.instant(at, 'UTC' if budget is None else budget.timezone, now)}"
        case _:
            return way.value


def _history(approval: ApprovalView, detail: ApprovalDetail | None, zone: str, now: int, width: int) -> list[Line]:
    if detail is None:
        return [line(" ", muted("requester …"))]
    lines = _week(approval, detail, width)
    last = detail.last_override
    if last is not None:
        when = show.moment(last.at, zone, now)
        drawn = f"{show.quantity(last.metric_kind, last.drawn)} drawn of {show.quantity(last.metric_kind, last.cap)}"
        first, *more = wrap(f"{when} by {last.by}, {last.kind}, {drawn}", width - 2 - OVERRIDE_LABEL)
        lines.append(line(" ", muted(f"{'last override':<{OVERRIDE_LABEL}}"), *first))
        lines += [line(" " * (OVERRIDE_LABEL + 1), *rest) for rest in more]
    return lines


def _week(approval: ApprovalView, detail: ApprovalDetail, width: int) -> list[Line]:
    spark = part(sparkline(detail.daily_cost), Tone.ACCENT)
    week = line(" ", part(approval.principal), muted(" this week   "), spark)
    words = part(requester_words(detail))
    if width_of(week) + 3 + cells(words.text) < width:
        return [(*week, muted("   "), words)]
    return [
        *wrap(approval.principal, width - 1, indent=" "),
        line("   ", muted("this week   "), spark),
        line("   ", words),
    ]


def requester_words(detail: ApprovalDetail) -> str:
    """What is known of who asks."""
    dot = f" {glyphs.SEPARATOR} "
    return dot.join(
        [
            plural(detail.requester_runs, "run"),
            show.money(detail.requester_cost_nano_usd),
            plural(detail.requester_overrides, "override"),
        ]
    )


def grant_words(grant: GrantView, zone: str, now: int, width: int) -> list[Line]:
    """One grant: what it serves, what is drawn, whether it goes on."""
    drawn = f"{show.quantity(grant.metric_kind, grant.drawn)} drawn of {show.quantity(grant.metric_kind, grant.cap)}"
    ends = grant.state
    if grant.state == "active":
        ends = "no end" if grant.expires_at is None else f"ends {show.renewal(grant.expires_at, zone, now)}"
    words = f"{grant.kind} on {grant.policy_id}, {drawn}, {ends}"
    first, *more = wrap(words, width - 13)
    indent = part(" " * 12)
    return [(part(" "), muted("grant      "), *first), *((indent, *rest) for rest in more)]


def _sum_lines(item: EvaluationView, width: int) -> list[Line]:
    """A budget and its arithmetic; in two lines where one would cut an amount, what it comes to first."""
    parts = arithmetic(item)
    name = f"{item.policy_id:<{PREVIEW_LABEL}}"
    whole = line(" ", part(name), "  ", *parts)
    if width_of(whole) < width:
        return [whole]
    at = next(number for number, piece in enumerate(parts) if piece.text == EQUALS)
    total = line("  ", *parts[at + 1 :])
    head = cut(line(" ", part(name)), width - 1 - width_of(total))
    return [(*head, *total), line(" " * (PREVIEW_LABEL + 3), *parts[:at])]


def approval_preview(approval: ApprovalView, detail: ApprovalDetail | None, now: int, width: int) -> list[Line]:
    """The essence in four lines, under the list."""
    what = approval.model if approval.refused else room_words(approval)
    who = line(
        " ",
        strong(approval.principal),
        muted(" asks for "),
        strong(what),
        muted(" in " if approval.subject else " in session "),
        part(session_words(approval)),
    )
    lines = [spread(who, waiting_words(approval, now), width - 1)]
    if approval.applicants:
        lines += [cut(row, width) for row in reason_lines(approval, width)[:2]]
    for item in breached(approval)[:1] or approval.evaluations[:1]:
        lines += _sum_lines(item, width)
    for _, text, tone in by_now(approval, detail)[:1]:
        lines.append(line(" ", muted(f"{'now':<{PREVIEW_LABEL}}  "), part(text, tone)))
    more = len(approval.policy_ids) - 1
    if more > 0:
        lines.append(line(" ", muted(f"and {plural(more, 'more budget')}; open it to see them")))
    if not approval.refused:
        return [*lines, *_requester_line(detail)]
    passing = [text_of(row) for row in wrap(ways(approval, now), width - PREVIEW_LABEL - 4)]
    if len(passing) > WAYS_LINES:
        passing = [*passing[: WAYS_LINES - 1], f"{passing[WAYS_LINES - 1]} …"]
    for number, text in enumerate(passing):
        lines.append(line(" ", muted("would pass     " if number == 0 else " " * 15), part(text)))
    return [*lines, *_requester_line(detail)]


def _requester_line(detail: ApprovalDetail | None) -> list[Line]:
    if detail is None:
        return []
    return [line(" ", muted("requester      "), part(f"this week {requester_words(detail)}"))]
