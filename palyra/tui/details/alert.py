"""An alert, opened: what it says, how often and since when, and who has answered it."""

from palyra.control.snapshots import AlertView
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui.details.layout import Pair, pairs
from palyra.tui.details.words import alert_mark
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, wrap


def alert_lines(alert: AlertView, zone: str, now: int, width: int) -> list[Line]:
    """Everything about an alert, in lines."""
    glyph, word, tone = alert_mark(alert)
    head = line(
        " ",
        strong(alert.kind.replace("_", " ")),
        "  ",
        part(f"{glyph} {word}", tone),
        muted(f"  since {show.moment(alert.first_seen, zone, now)}"),
    )
    values: list[Pair] = [
        ("severity", part(alert.severity, tone)),
        ("state", part(_state(alert, zone, now))),
        ("seen", part(plural(alert.occurrences, "time"))),
        ("last", part(show.moment(alert.last_seen, zone, now))),
    ]
    if alert.subject:
        values.append((alert.subject_kind, part(alert.subject)))
    said = [row for sentence in alert.sentences for row in wrap(sentence, width - 2, indent=" ")]
    return [head, BLANK, *wrap(alert.summary, width - 2, indent=" "), BLANK, *said, BLANK, *pairs(values, width)]


def alert_preview(alert: AlertView, zone: str, now: int, width: int) -> list[Line]:
    """The essence: what it is, and the first of what it says."""
    glyph, word, tone = alert_mark(alert)
    seen = f"seen {plural(alert.occurrences, 'time')} since {show.moment(alert.first_seen, zone, now)}"
    head = line(" ", strong(alert.kind.replace("_", " ")), "  ", part(f"{glyph} {word}", tone), muted(f"  {seen}"))
    said = [row for sentence in alert.sentences[:2] for row in wrap(sentence, width - 2, indent=" ")]
    return [head, *(said or wrap(alert.summary, width - 2, indent=" "))[:4]]


def _state(alert: AlertView, zone: str, now: int) -> str:
    if alert.state == "snoozed":
        return f"snoozed until {show.moment(alert.snoozed_until, zone, now)}, by {alert.acted_by}"
    if alert.state == "acknowledged":
        return f"acknowledged by {alert.acted_by}"
    return alert.state
