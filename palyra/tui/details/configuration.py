"""How the configuration stands: its file, what is wrong with it, and what waits to be put in force."""

from collections.abc import Sequence

from palyra.control.config_queries import ConfigAnswer, ConfigProblemView
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part, strong, wrap

MOST_KEYS = 40
"""More changed keys than these are counted; the file has them all."""


def configuration_lines(told: ConfigAnswer, zone: str, now: int, width: int) -> list[Line]:
    """The file, its problems and warnings in full, and each key whose new value waits."""
    lines = [
        *wrap(f"file: {told.path or 'none, everything is at its default'}", width, hang="      "),
        line(muted("read again: "), _last(told, zone, now)),
        *_findings(told.problems, "problem", glyphs.BAD, Tone.BAD, width),
        *_findings(told.warnings, "warning", glyphs.ATTENTION, Tone.WARN, width),
    ]
    if told.problems:
        return [*lines, BLANK, *wrap("Nothing of the file is applied until all of it is right.", width)]
    sections = [name for name in told.pending_restart if not any(_section(key) == name for key in told.waiting)]
    waits = {"reload": [key for key, by in told.waiting.items() if by == "reload"]}
    waits["restart"] = [key for key, by in told.waiting.items() if by == "restart"] + sections
    lines += _keys(waits["reload"], "applied by reading it again", width)
    lines += _keys(waits["restart"], "applied by a restart", width)
    if not any(waits.values()):
        lines += [BLANK, line(part(f"{glyphs.OK} ", Tone.GOOD), part("The engine works with what the file says."))]
    return lines


def _section(key: str) -> str:
    return key.partition(".")[0].partition("[")[0]


def _last(told: ConfigAnswer, zone: str, now: int) -> Part:
    if told.reloaded_at is None:
        return part("not since the engine started")
    at = show.moment(told.reloaded_at, zone, now)
    return part(f"{at}, applied") if told.reload_ok else part(f"{at}, refused", Tone.WARN)


def _findings(found: Sequence[ConfigProblemView], noun: str, glyph: str, tone: Tone, width: int) -> list[Line]:
    if not found:
        return []
    lines = [BLANK, line(part(f"{glyph} ", tone), strong(plural(len(found), noun)))]
    for one in found:
        lines += wrap(one.text, width, indent="  ", hang="    ")
    return lines


def _keys(keys: Sequence[str], words: str, width: int) -> list[Line]:
    if not keys:
        return []
    more = f" and {len(keys) - MOST_KEYS:,} more" if len(keys) > MOST_KEYS else ""
    told = f"{', '.join(keys[:MOST_KEYS])}{more}"
    return [BLANK, line(strong(f"{plural(len(keys), 'change')}"), muted(f", {words}")), *wrap(told, width, indent="  ")]
