"""An entry of the audit chain, opened: all that was written down, and the digest that vouches for it."""

from palyra.control.audit_queries import AuditEntry, told_pairs
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.layout import Pair, heading, pairs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, width_of, wrap

LABEL_CELLS = 11
INDENT = "   "


def audit_lines(entry: AuditEntry, fault: str, zone: str, width: int) -> list[Line]:
    """`fault` says what is wrong with the chain at this entry; empty where nothing is known to be."""
    broken = f"{glyphs.BAD} The chain cannot be trusted from here on: {fault}."
    told = pairs(
        [
            ("entry", part(f"{entry.seq:,}")),
            ("at", part(f"{show.local(entry.at, zone):%Y-%m-%d %H:%M:%S %Z}")),
            ("who", strong(entry.actor)),
            ("did", strong(f"{entry.kind} {entry.verb}".strip().replace("_", " "))),
            ("to", part(entry.subject or show.NONE)),
        ],
        width,
    )
    lines = [*(wrap(broken, width - 1, indent=" ", hang=INDENT, tone=Tone.BAD) if fault else []), *told, BLANK]
    data: list[Pair] = [(name, part(told)) for name, told in told_pairs(entry) if told not in ("", entry.verb)]
    lines.append(heading("what was written down"))
    short = [item for item in data if len(item[0]) < LABEL_CELLS]
    lines += pairs(short, width)
    for name, content in data:
        if len(name) >= LABEL_CELLS:
            beside = line(" ", muted(name), "  ", content)
            fits = width_of(beside) < width
            lines += [beside] if fits else [line(" ", muted(name)), *wrap(content.text, width - 1, indent=INDENT)]
    if not data:
        lines.append((part(" "), part("nothing more", Tone.MUTED)))
    digest = wrap(entry.digest, width - 1, indent=" ", tone=Tone.MUTED)
    return [*lines, BLANK, heading("digest of this entry and all before it"), *digest]
