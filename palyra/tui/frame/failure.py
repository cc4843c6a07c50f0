"""The panel that stands where a screen could not be shown: what happened, where the log is, what still works."""

from palyra.control.snapshots import Snapshot
from palyra.core.redact import redact
from palyra.tui import glyphs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, wrap


def failure_lines(error: BaseException, label: str, snapshot: Snapshot | None, width: int) -> list[Line]:
    """What is shown in the place of a screen that failed."""
    log = (snapshot.engine.log_file if snapshot is not None else "") or "the engine's log"
    what = redact(f"{type(error).__name__}: {error}")
    return [
        BLANK,
        line(" ", part(f"{glyphs.BAD} {label} could not be shown.", Tone.BAD, bold=True)),
        BLANK,
        *wrap(what, width - 2, indent="   ")[:6],
        BLANK,
        line(" ", muted("the details are in  "), part(log)),
        line(" ", muted("still working       "), strong("the engine, its gateway, and the other screens")),
        line(" ", muted("to go on            "), part("press a screen's number; pressing this one's tries again")),
    ]
