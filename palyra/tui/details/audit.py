"""An entry of the audit chain, opened: all that was written down, and the digest that vouches for it."""

from palyra.control.audit_queries import AuditEntry, told_pairs
from palyra.tui import format as show
from palyra.tui.details.layout import Pair, heading, pairs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, part, strong, wrap


def audit_lines(entry: AuditEntry, zone: str, width: int) -> list[Line]:
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
    data: list[Pair] = [(name, part(told)) for name, told in told_pairs(entry)]
    long = [item for item in data if len(item[0]) >= 11]
    lines = [*told, BLANK, heading("what was written down"), *pairs([item for item in data if item not in long], width)]
    for name, content in long:
        lines += wrap(f"{name} {content.text}", width - 1, indent=" ")
    if not data:
        lines.append((part(" "), part("nothing more", Tone.MUTED)))
    digest = wrap(entry.digest, width - 1, indent=" ", tone=Tone.MUTED)
    return [*lines, BLANK, heading("digest of this entry and all before it"), *digest]
