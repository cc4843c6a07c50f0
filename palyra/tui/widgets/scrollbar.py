"""A scrollbar that is made once for each place it stands at: under load it moves with every snapshot, and Textual's own
takes half as long as all the rest of the picture."""

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style, StyleType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip

from palyra.tui.widgets.plain import plain_lines

_Look = tuple[Size, int, int, float, StyleType, Style]
"""Its cells, how long what it scrolls is, how much of that is seen, from where on, its style, and that of what lies
under it."""


class PlainScrollBar(ScrollBar):
    """A vertical scrollbar whose lines go to the screen as they are."""

    def __init__(self, *, thickness: int) -> None:
        super().__init__(name="vertical", thickness=thickness)
        self._made: tuple[_Look, list[Strip]] | None = None

    def render_lines(self, crop: Region) -> list[Strip]:
        strips = self._strips(self.rich_style)
        return plain_lines(self, crop, lambda y, base: strips[y] if y < len(strips) else Strip.blank(crop.width, base))

    def _strips(self, under: Style) -> list[Strip]:
        drawn = self.render()
        assert isinstance(drawn, ScrollBarRender)
        look = (self.size, drawn.virtual_size, drawn.window_size, drawn.position, drawn.style, under)
        if self._made is None or self._made[0] != look:
            self._made = (look, _bar(drawn, self.size, under, self.app.console))
        return self._made[1]


def _bar(drawn: ScrollBarRender, size: Size, under: Style, console: Console) -> list[Strip]:
    """Cells that look the same are one strip: it is filtered and cut once."""
    (cells,) = drawn.__rich_console__(console, console.options.update(width=size.width, height=size.height))
    assert isinstance(cells, Segments)
    made: dict[int, Strip] = {}
    for cell in cells.segments:
        if id(cell) not in made:
            style = under if cell.style is None else under + cell.style
            made[id(cell)] = Strip([Segment(cell.text, style)], size.width)
    return [made[id(cell)] for cell in cells.segments]


class PlainScrollView(ScrollView):
    """Scrolls with a plain scrollbar."""

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        """Made when it is needed first."""
        if self._vertical_scrollbar is None:
            self._vertical_scrollbar = PlainScrollBar(thickness=self.scrollbar_size_vertical)
            self._vertical_scrollbar.display = False
            self.app._start_widget(self, self._vertical_scrollbar)
        return self._vertical_scrollbar
