"""Rendering for widgets without border, padding, tint or opacity: their lines go to the screen as they are.

Textual takes every line of a widget through the effects a style sheet may ask for. On a live screen that takes longer
than making the lines; these widgets never ask for any.
"""

from collections.abc import Callable

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


def plain_lines(widget: Widget, crop: Region, make: Callable[[int, Style], Strip]) -> list[Strip]:
    """The lines of `crop`, in the widget's own coordinates; `make(y, base)` makes line y of the content.

    Strips that `make` keeps are filtered and cut only once.
    """
    base = widget.rich_style
    filters = widget.get_line_filters()
    background = widget.background_colors[1]
    width = widget.region.width
    first, last = crop.column_span
    lines: list[Strip] = []
    for y in crop.line_range:
        strip = make(y, base)
        if strip.cell_length != width:
            strip = strip.adjust_cell_length(width, base)
        for each in filters:
            strip = strip.apply_filter(each, background)
        lines.append(strip if (first, last) == (0, width) else strip.crop(first, last))
    return lines
