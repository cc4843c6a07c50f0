"""How soon trouble was found, taken up and ended: means over episodes, by severity and window."""

from collections.abc import Sequence

from palyra.control.incidents_queries import IncidentStats, MeasuresView
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.incident import severity_tone
from palyra.tui.details.layout import Cell, table
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, wrap

WORDS = (
    "Means over the episodes that began in a window. MTTD: from the condition to its incident; MTTA: from there to the "
    "first acknowledgement, of those that got one; MTTR: from the opening to the end, of those that ended."
)


def measures_lines(windows: Sequence[IncidentStats], width: int) -> list[Line]:
    """A table for each window, all severities together first."""
    lines: list[Line] = []
    for stats in windows:
        head = (stats.window, "episodes", "not acked", "not over", "MTTD", "MTTA", "MTTR")
        rows = [_row(one) for one in stats.measures if one.episodes or not one.severity]
        lines += [*table(head, rows, width, right=frozenset(range(1, len(head)))), BLANK]
    return [*lines, *wrap(WORDS, width - 1, indent=" ", tone=Tone.MUTED)]


def means_line(stats: IncidentStats) -> Line:
    """`MTTA 2:10 · MTTR 8:41 in 7d`; nothing where nothing happened."""
    whole = next((one for one in stats.measures if not one.severity), None)
    if whole is None or not whole.episodes:
        return ()
    words = f"MTTA {lasting(whole.mtta_ms)} {glyphs.SEPARATOR} MTTR {lasting(whole.mttr_ms)}"
    return line(muted(f"{words} in {stats.window}"))


def lasting(milliseconds: int | None) -> str:
    """A mean: `0.4 s` below a second, else as lists show an age."""
    if milliseconds is None:
        return show.NONE
    return f"{milliseconds / 1000:.1f} s" if milliseconds < show.SECOND else show.age(milliseconds)


def _row(one: MeasuresView) -> list[Cell]:
    return [
        part(one.severity or "all", severity_tone(one.severity) if one.severity else Tone.STRONG),
        f"{one.episodes:,}",
        f"{one.unacknowledged:,}",
        f"{one.unresolved:,}",
        lasting(one.mttd_ms),
        lasting(one.mtta_ms),
        lasting(one.mttr_ms),
    ]
