"""What was asked for in words: who asks, how much room, why, and how its budgets stand before anything is spent."""

from palyra.control.snapshots import ApprovalView
from palyra.tui import format as show
from palyra.tui.details.layout import Cell, table
from palyra.tui.details.words import counter_words, place_words, remedy_words
from palyra.tui.widgets.lines import Line, line, muted, part, strong, wrap

WIDE_TABLE_FROM = 72


def room_words(approval: ApprovalView) -> str:
    """`$5.00 more`, `room up to the limit once more`, or the remedy that is asked for."""
    if approval.subject:
        return remedy_words(approval)
    if approval.wanted is None:
        return "room, no amount named"
    return f"{show.quantity(approval.excess_metric, approval.wanted)} more than the limit"


def session_words(approval: ApprovalView) -> str:
    """A grant without a session serves each of the principal's; a remedy is for an incident."""
    return place_words(approval) if approval.subject else approval.session or "every one of theirs"


def reason_lines(approval: ApprovalView, width: int) -> list[Line]:
    """Every reason in full, with who gave it."""
    lines: list[Line] = []
    for one in approval.applicants:
        how = " (gateway key)" if one.attestation == "key" else f" ({one.attestation})" if one.attestation else ""
        lines.append(line(" ", muted("asked by   "), strong(one.name.removeprefix("key:")), muted(how)))
        lines.extend(wrap(one.reason, width - 1, indent=" " * 12))
    return lines


def standing_lines(approval: ApprovalView, now: int, width: int) -> list[Line]:
    """The budgets that room is asked in, as they stood when it was asked."""
    if width < WIDE_TABLE_FROM:
        lines: list[Line] = []
        for item in approval.evaluations:
            metric = item.metric_kind
            lines += wrap(counter_words(item), width - 1, indent=" ")
            used = f"{show.quantity(metric, item.settled)} + held {show.quantity(metric, item.held)}"
            lines += wrap(f"settled {used} of {show.quantity(metric, item.hard_limit)}", width - 3, indent="   ")
            lines.append(line("   ", muted(f"renews {show.renewal(item.window_end, item.timezone, now)}")))
        return lines
    rows: list[list[Cell]] = [
        [
            counter_words(item),
            show.quantity(item.metric_kind, item.settled),
            show.quantity(item.metric_kind, item.held),
            show.quantity(item.metric_kind, item.hard_limit),
            show.quantity(item.metric_kind, item.granted),
            part(show.quantity(item.metric_kind, approval.wanted), bold=True),
            show.renewal(item.window_end, item.timezone, now),
        ]
        for item in approval.evaluations
    ]
    head = ("budget", "settled", "held", "limit", "granted", "asked", "renews")
    return table(head, rows, width, right=frozenset([1, 2, 3, 4, 5]))
