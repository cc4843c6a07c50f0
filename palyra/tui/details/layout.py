"""Shapes that details share: labelled values in one or two columns, small aligned tables.

Nothing is cut here: what does not fit its place gets lines of its own, since people decide on what they read.
"""

from collections.abc import Sequence
from dataclasses import replace

from palyra.core.safe_text import cells
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, Part, column, line, muted, part, wrap

LABEL_CELLS = 11
TWO_COLUMNS_FROM = 72
LEAST_FIRST_COLUMN = 6
GAP = 2

Pair = tuple[str, Part]
"""A label and its value."""


def pairs(values: Sequence[Pair], width: int) -> list[Line]:
    """Labelled values, two beside each other where there is room; a long one alone, wrapped."""
    half = (width - 2) // 2
    room = half - LABEL_CELLS - 1 if width >= TWO_COLUMNS_FROM else 0
    lines: list[Line] = []
    waiting: Pair | None = None
    for label, value in values:
        if cells(value.text) > room:
            if waiting is not None:
                lines += _alone(*waiting, width)
            lines += _alone(label, value, width)
            waiting = None
        elif waiting is None:
            waiting = (label, value)
        else:
            left = column(waiting[1].text, room, waiting[1].tone, bold=waiting[1].bold)
            lines.append((part(" "), _label(waiting[0]), left, part(" "), _label(label), value))
            waiting = None
    return lines if waiting is None else [*lines, *_alone(*waiting, width)]


def _label(text: str) -> Part:
    return column(text, LABEL_CELLS, Tone.MUTED)


def _alone(label: str, value: Part, width: int) -> list[Line]:
    rows = wrap(value.text, max(8, width - LABEL_CELLS - 2))
    first, *more = [replace(piece, tone=value.tone, bold=value.bold) for row in rows for piece in row]
    indent = part(" " * (LABEL_CELLS + 1))
    return [(part(" "), _label(label), first), *((indent, piece) for piece in more)]


def heading(text: str) -> Line:
    """The line above a part of a detail."""
    return line(" ", muted(text))


Cell = str | Part


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], width: int, *, right: frozenset[int]) -> list[Line]:
    """A small table; columns in `right` are aligned to the right.

    The first column takes what room is left; a text too long for it stands above its row.
    """
    made = [[cell if isinstance(cell, Part) else part(cell) for cell in row] for row in rows]
    widths = [max([cells(head[number]), *(cells(row[number].text) for row in made)]) for number in range(len(head))]
    others = sum(widths[1:]) + GAP * (len(head) - 1) + 1
    widths[0] = max(LEAST_FIRST_COLUMN, min(widths[0], width - others))
    lines = [_row([muted(text) for text in head], widths, right)]
    for first, *rest in made:
        if cells(first.text) > widths[0]:
            lines += wrap(first.text, width - 1, indent=" ", tone=first.tone)
            lines.append(_row([part(""), *rest], widths, right))
        else:
            lines.append(_row([first, *rest], widths, right))
    return lines


def _row(row: Sequence[Part], widths: Sequence[int], right: frozenset[int]) -> Line:
    parts = [part(" ")]
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        if number:
            parts.append(part(" " * GAP))
        parts.append(column(cell.text, width, cell.tone, right=number in right, bold=cell.bold))
    return tuple(parts)
