"""An alert, opened."""

from palyra.control.snapshots import AlertView
from palyra.tui import format as show
from palyra.tui.details.words import alert_mark
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, wrap


def alert_lines(alert: AlertView, zone: str, now: int, width: int) -> list[Line]:
    glyph, word, tone = alert_mark(alert)
    since = show.moment(alert.first_seen, zone, now)
    head = line(
        " ", strong(alert.kind.replace("_", " ")), "  ", part(f"{glyph} {word}", tone), muted(f"  since {since}")
    )
    return [head, BLANK, *wrap(alert.summary, width - 2, indent=" ")]
