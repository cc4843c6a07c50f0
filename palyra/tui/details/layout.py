"""Shapes that details share: labelled values in one or two columns, small aligned tables."""

from collections.abc import Sequence

from palyra.core.safe_text import cells
from palyra.tui import glyphs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, Part, column, line, muted, part

LABEL_CELLS = 11
TWO_COLUMNS_FROM = 72

Pair = tuple[str, Part]
"""A label and its value."""


def pairs(values: Sequence[Pair], width: int) -> list[Line]:
    """Labelled values, two beside each other where there is room."""
    if width < TWO_COLUMNS_FROM:
        return [line(" ", column(label, LABEL_CELLS, Tone.MUTED), value) for label, value in values]
    half = (width - 2) // 2
    lines: list[Line] = []
    for left, right in zip(values[::2], [*values[1::2], None], strict=False):
        room = half - LABEL_CELLS - 1
        parts = [part(" "), column(left[0], LABEL_CELLS, Tone.MUTED)]
        if right is None:
            lines.append((*parts, left[1]))
            break
        fitted = column(left[1].text, room, left[1].tone, bold=left[1].bold)
        lines.append((*parts, fitted, part(" "), column(right[0], LABEL_CELLS, Tone.MUTED), right[1]))
    return lines


def heading(text: str) -> Line:
    return line(" ", muted(text))


def rule(width: int) -> Line:
    return (part(glyphs.RULE * width, Tone.MUTED),)


Cell = str | Part


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], width: int, *, right: frozenset[int]) -> list[Line]:
    """A small table: the first column takes what room is left, those in `right` are aligned to the right."""
    texts = [[cell.text if isinstance(cell, Part) else cell for cell in row] for row in rows]
    widths = [max([cells(head[number]), *(cells(row[number]) for row in texts)]) for number in range(len(head))]
    others = sum(widths[1:]) + 3 * (len(head) - 1) + 1
    widths[0] = max(6, min(widths[0], width - others))
    lines = [_row([muted(text) for text in head], widths, right)]
    lines.extend(_row([cell if isinstance(cell, Part) else part(cell) for cell in row], widths, right) for row in rows)
    return lines


def _row(row: Sequence[Part], widths: Sequence[int], right: frozenset[int]) -> Line:
    parts = [part(" ")]
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        if number:
            parts.append(part("   "))
        parts.append(column(cell.text, width, cell.tone, right=number in right, bold=cell.bold))
    return tuple(parts)
