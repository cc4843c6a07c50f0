"""What is left to say on a terminal that is too small to work on."""

from palyra.control.snapshots import Snapshot
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.bridge import Link
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, cut, line, muted, part, strong


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
    return [cut(summary, width), cut(line(muted(f"have {width}×{height}, enlarge to 80×24 (q quits)")), width)]
