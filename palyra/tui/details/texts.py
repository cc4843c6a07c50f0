"""What a run was asked and answered, where that is kept and wanted on the screen."""

from palyra.control.text_queries import RunTexts
from palyra.tui.details.layout import heading
from palyra.tui.widgets.lines import BLANK, Line, line, muted, wrap

MOST_SHOWN = 4_000
"""Characters of a text that are shown: all of them would take the screen too long to lay out."""


def text_lines(words: RunTexts, part: str, width: int) -> list[Line]:
    """One part under its name, as far as anybody reads; that it was not kept where it was not."""
    found = words.of(part)
    if found is None:
        return [BLANK, heading(part), line("   ", muted("not kept (runs.store_content)"))]
    shown = found.text[:MOST_SHOWN]
    marks = ["redacted"] * found.redacted + ["the beginning"] * (found.cut or len(shown) < len(found.text))
    named = f"{part}, {', '.join(marks)}" if marks else part
    return [BLANK, heading(named), *wrap(shown, width - 1, indent="   ")]
