"""How the configuration stands: its file, what is wrong with it, and what waits to be put in force."""

import re
from collections import Counter
from collections.abc import Sequence

from palyra.control.config_queries import ConfigAnswer, ConfigProblemView
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part, strong, wrap

MOST_KEYS = 40
"""More changed keys than these are counted; the file has them all."""
WHOLE_FROM = 5
"""So many changed keys of one row or named table are told as the table: one that is new has dozens."""
_TABLE = re.compile(r"""[^.\[]+(?:\[\d+\]|\.(?:"[^"]*"|[^.\["]+))(?=[.\[])""")


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
    changes = gathered(keys)
    more = f" and {len(changes) - MOST_KEYS:,} more" if len(changes) > MOST_KEYS else ""
    told = f"{', '.join(changes[:MOST_KEYS])}{more}"
    head = line(strong(plural(len(changes), "change")), muted(f", {words}"))
    return [BLANK, head, *wrap(told, width, indent="  ")]


def gathered(keys: Sequence[str]) -> list[str]:
    """Changed keys in their order, those of a row or named table of which many changed as one: `providers.own (24
    values)`."""
    tables = {key: found[0] if (found := _TABLE.match(key)) else "" for key in keys}
    sizes = Counter(tables.values())
    told = {
        key if not table or sizes[table] < WHOLE_FROM else f"{table} ({sizes[table]} values)": None
        for key, table in tables.items()
    }
    return list(told)
