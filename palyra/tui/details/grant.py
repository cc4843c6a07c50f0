"""A grant, opened: whom it serves, how much is drawn, when it ends."""

from palyra.control.snapshots import GrantView
from palyra.tui import format as show
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.details.layout import pairs
from palyra.tui.details.words import grant_mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, part, strong

GAUGE_CELLS = 30
_SERVES = {
    "once": "the request it was given for, or the next one of that session",
    "session": "every request of that person in that session",
    "timeboxed": "every request of that person in that session until it ends",
    "amount": "anybody, until it is drawn or the window ends",
}


def grant_lines(grant: GrantView, zone: str, now: int, width: int) -> list[Line]:
    """Everything about a grant, in lines."""
    glyph, word, tone = grant_mark(grant)
    ratio = grant.drawn / grant.cap if grant.cap else 1.0
    metric = grant.metric_kind
    return [
        line(" ", *gauge_parts(ratio, GAUGE_CELLS, Tone.ACCENT), f" {show.percent(ratio)} drawn"),
        BLANK,
        *pairs(
            [
                ("grant", strong(grant.kind)),
                ("state", part(f"{glyph} {grant.state if word == 'grant' else word}", tone)),
                ("who", strong(grant.principal)),
                ("session", part(grant.session or "every one of theirs")),
                ("budget", part(grant.policy_id)),
                ("counter", part(grant.scope_value)),
                ("drawn", part(show.quantity(metric, grant.drawn))),
                ("at most", part(show.quantity(metric, grant.cap))),
                ("given", part(show.moment(grant.created_at, zone, now))),
                ("ends", part(show.renewal(grant.expires_at, zone, now))),
                ("given by", part(grant.granted_by)),
            ],
            width,
        ),
        BLANK,
        line(" ", part(f"serves {_SERVES.get(grant.kind, grant.kind)}", Tone.MUTED)),
    ]
