"""What is left to say on a terminal that is too small to work on."""

from palyra.control.snapshots import Snapshot
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.bridge import Link
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, cut, line, muted, part, strong

LEAST_WIDTH = 80
LEAST_HEIGHT = 24


def too_small(width: int, height: int) -> bool:
    """Whether nothing can be shown well enough to act on it."""
    return width < LEAST_WIDTH or height < LEAST_HEIGHT


def small_lines(snapshot: Snapshot | None, link: Link, width: int, height: int) -> list[Line]:
    """One line of what matters, and how to see more."""
    if snapshot is None:
        summary = line(muted(link.value))
    elif snapshot.engine.trouble:
        summary = line(
            part(f"{glyphs.ATTENTION} {snapshot.engine.phase}, no gateway: {snapshot.engine.trouble}", Tone.WARN)
        )
    else:
        asking = snapshot.approvals_pending
        summary = line(
            part(f"A {asking}", Tone.WARN if asking else Tone.MUTED, bold=asking > 0),
            "  ",
            part(f"I {snapshot.incidents_open}", Tone.BAD if snapshot.incidents_open else Tone.MUTED),
            "  ",
            strong(show.money(snapshot.spend_today_nano_usd)),
            muted(" today"),
        )
    return [
        cut(summary, width),
        cut(line(muted(f"have {width}×{height}, enlarge to {LEAST_WIDTH}×{LEAST_HEIGHT} (q quits)")), width),
    ]
