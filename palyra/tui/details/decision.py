"""A routing decision in words."""

from palyra.control.queries import DecisionDetail
from palyra.tui import format as show
from palyra.tui.details.layout import heading, pairs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, wrap


def decision_lines(decision: DecisionDetail, zone: str, now: int, width: int) -> list[Line]:
    """What was decided, why in sentences, and the codes for those who count them."""
    lines = pairs(
        [
            ("decision", part(show.short_id(decision.decision_id))),
            ("made", part(show.moment(decision.at, zone, now))),
            ("outcome", strong(decision.outcome.replace("_", " "))),
            ("mode", part(decision.mode)),
        ],
        width,
    )
    return [*lines, BLANK, heading("why"), *why_lines(decision, width)]


def why_lines(decision: DecisionDetail, width: int) -> list[Line]:
    """The explanation's sentences and the reason codes."""
    lines: list[Line] = []
    for sentence in decision.sentences:
        lines.extend(wrap(sentence, width - 1, indent="   "))
    if decision.reason_codes:
        codes = "  ".join(decision.reason_codes)
        lines.extend(wrap(codes, width - 1, indent="   ", tone=Tone.MUTED))
    return lines or [line("   ", muted("no explanation was recorded"))]
