"""How a table's columns share the width there is."""

from collections.abc import Sequence
from typing import Literal

from palyra.core.safe_text import SafeText
from palyra.core.values import value

GAP = 1
"""Cells between two columns."""


@value
class Column:
    """A column of a table.

    `width` is its cells, or the least of them if it has `flex`, its share of what is left over (up to `most` cells).
    `priority` 0 always stays; where the width does not suffice, the column with the highest priority leaves first.
    """

    key: str
    title: SafeText
    width: int
    flex: int = 0
    most: int = 1_000
    align: Literal["left", "right"] = "left"
    priority: int = 0


@value
class Place:
    """Where a column stands: its index among all columns, its first cell and its cells."""

    index: int
    x: int
    width: int
    column: Column


def arrange(columns: Sequence[Column], width: int) -> tuple[Place, ...]:
    """The columns that fit into `width` cells, in order, with what is left over shared among the flexible ones."""
    kept = list(enumerate(columns))
    while _least(kept) > width and any(column.priority for _, column in kept):
        kept.remove(max(kept, key=lambda item: (item[1].priority, item[0])))
    widths = _shared(kept, width)
    places: list[Place] = []
    x = 0
    for index, column in kept:
        cells = min(widths[index], width - x)
        if cells <= 0:
            break
        places.append(Place(index, x, cells, column))
        x += cells + GAP
    return tuple(places)


def _least(kept: Sequence[tuple[int, Column]]) -> int:
    return sum(column.width for _, column in kept) + GAP * (len(kept) - 1)


def _shared(kept: Sequence[tuple[int, Column]], width: int) -> dict[int, int]:
    widths = {index: column.width for index, column in kept}
    left = width - _least(kept)
    growing = [(index, column) for index, column in kept if column.flex > 0 and column.width < column.most]
    while left > 0 and growing:
        total = sum(column.flex for _, column in growing)
        shares = {index: max(1, left * column.flex // total) for index, column in growing}
        for index, column in growing:
            taken = min(shares[index], column.most - widths[index], left)
            widths[index] += taken
            left -= taken
        growing = [(index, column) for index, column in growing if widths[index] < column.most]
    return widths
