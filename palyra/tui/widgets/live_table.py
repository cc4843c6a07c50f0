"""A table that shows live rows without repainting what did not change, and whose selection stays on its object.

Rows have keys. New rows are compared with the shown ones line by line and only lines that differ are painted again,
from prepared strips. The selected row stays selected while rows come, go or change places around it, and the table
knows since when it has shown the same, so that a key pressed a moment too late does not act on something else.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from palyra.core.safe_text import fit
from palyra.tui.glyphs import CURSOR
from palyra.tui.themes import ANSI_VARIABLES, Tone, tone_styles
from palyra.tui.widgets.columns import Column, Place, arrange
from palyra.tui.widgets.lines import BLANK, Line, Styles, cut, part, strip_of, width_of, wrap
from palyra.tui.widgets.plain import plain_lines
from palyra.tui.widgets.rows import Cell, Row, parts_of
from palyra.tui.widgets.scrollbar import PlainScrollView

MAX_ROWS = 500
"""Rows beyond these are not taken; longer lists are paged by whoever fills the table."""

MARKER_CELLS = 1
"""The first cell of each line is the selection's mark."""


class Mark(Enum):
    """How a row is marked as the selected one."""

    NONE = 0
    FOCUSED = 1
    BLURRED = 2


class LiveTable(PlainScrollView, can_focus=True):
    """Keyed rows under a fixed heading, one of them selected."""

    DEFAULT_CSS = """
    LiveTable {
        height: 1fr;
        background: transparent;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False, id="table.down"),
        Binding("k,up", "move(-1)", "Up", show=False, id="table.up"),
        Binding("g,home", "first", "First", show=False, id="table.first"),
        Binding("G,end", "last", "Last", show=False, id="table.last"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("enter", "open", "Open", show=False, id="table.open"),
    ]

    class Selected(Message):
        """Another row is selected now; `key` is None when there are no rows."""

        def __init__(self, table: "LiveTable", key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "LiveTable":
            return self.table

    class Moved(Message):
        """A key moved the selection, or would have if it were not at an end; with `to_first` or `to_last` to the
        first or the last of all."""

        def __init__(self, table: "LiveTable", *, to_first: bool = False, to_last: bool = False) -> None:
            super().__init__()
            self.table = table
            self.to_first = to_first
            self.to_last = to_last

    class Opened(Message):
        """The row was opened with Enter or a double click."""

        def __init__(self, table: "LiveTable", key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "LiveTable":
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        heading: bool = True,
        empty: str | Iterable[Line] = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty` is shown while there are no rows: text to be wrapped, or prepared lines."""
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._heading = 1 if heading else 0
        self._empty = empty if isinstance(empty, str) else tuple(empty)
        self._rows: tuple[Row, ...] = ()
        self._index_of: dict[str, int] = {}
        self._selected: str | None = None
        self._sorted_by: tuple[str, bool] | None = None
        self._places: tuple[Place, ...] = ()
        self._width = 0
        self._styles: Styles | None = None
        self._cursor = Style()
        self._cursor_styles: Styles = {}
        self._strips: dict[str, tuple[Row, Mark, Strip]] = {}

    # What is shown and selected.

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows it has, in their order."""
        return self._rows

    @property
    def selected_key(self) -> str | None:
        """The key of the selected row."""
        return self._selected

    @property
    def selected_row(self) -> Row | None:
        """The selected row."""
        return None if self._selected is None else self._rows[self._index_of[self._selected]]

    def update_rows(self, rows: Iterable[Row]) -> None:
        """Shows these rows, at most 500, and paints the lines that changed.

        The selection stays on its key. If that is gone, it goes to the nearest row after it that is still there, else
        to the nearest before it. Raises ValueError if two rows have the same key or a row does not fit the columns.
        """
        new = tuple(rows)[:MAX_ROWS]
        index_of = {row.key: index for index, row in enumerate(new)}
        if len(index_of) != len(new):
            raise ValueError("two rows of a table have the same key")
        if any(row.made and len(row.cells) != len(self._columns) for row in new):
            raise ValueError("a row of a table has not one cell for each column")
        old, old_index_of, old_key = self._rows, self._index_of, self._selected
        key = self._heir(old, old_key, index_of, new)
        with self.app.batch_update():
            top = round(self.scroll_y)
            self._rows, self._index_of, self._selected = new, index_of, key
            self._strips = {row_key: kept for row_key, kept in self._strips.items() if row_key in index_of}
            self._resize_content()
            if key is not None and key == old_key:
                self._hold_in_place(old_index_of[key], index_of[key], top)
            if round(self.scroll_y) == top:
                self._repaint_changes(old, old_key, top)
            if key != old_key:
                self._selection_changed()

    def select(self, key: str) -> bool:
        """Selects a row and brings it into view; False if there is none of that key."""
        if key not in self._index_of:
            return False
        self._move_to(self._index_of[key])
        return True

    def set_columns(self, columns: Sequence[Column], rows: Iterable[Row]) -> None:
        """Shows other columns, with rows that fit them."""
        self._columns = tuple(columns)
        self._forget()
        self.update_rows(rows)

    def set_empty(self, empty: str | Iterable[Line]) -> None:
        """Says something else while there are no rows."""
        new = empty if isinstance(empty, str) else tuple(empty)
        if new != self._empty:
            self._empty = new
            if not self._rows:
                self.refresh()

    def mark_sorted(self, column_key: str | None, *, descending: bool = False) -> None:
        """Marks in the heading by which column the rows come sorted."""
        mark = None if column_key is None else (column_key, descending)
        if mark != self._sorted_by:
            self._sorted_by = mark
            if self._heading:
                self.refresh(Region(0, 0, self.size.width, 1))

    # Moving.

    def action_move(self, step: int) -> None:
        self._move_by(step)
        self.post_message(self.Moved(self))

    def action_page(self, pages: int) -> None:
        self._move_by(pages * max(1, self._visible - 1))
        self.post_message(self.Moved(self))

    def action_first(self) -> None:
        self._move_to(0)
        self.post_message(self.Moved(self, to_first=True))

    def action_last(self) -> None:
        self._move_to(len(self._rows) - 1)
        self.post_message(self.Moved(self, to_last=True))

    def action_open(self) -> None:
        if self._selected is not None:
            self.post_message(self.Opened(self, self._selected))

    def _move_by(self, step: int) -> None:
        if self._selected is not None:
            self._move_to(self._index_of[self._selected] + step)

    def _move_to(self, index: int) -> None:
        if not self._rows:
            return
        index = max(0, min(index, len(self._rows) - 1))
        key = self._rows[index].key
        if key != self._selected:
            before, self._selected = self._selected, key
            self._repaint_row(before)
            self._repaint_row(key)
            self._selection_changed()
        self._bring_into_view(index)

    def _selection_changed(self) -> None:
        if self._selected is not None:
            self._bring_into_view(self._index_of[self._selected])
        self.post_message(self.Selected(self, self._selected))

    @staticmethod
    def _heir(old: Sequence[Row], old_key: str | None, index_of: Mapping[str, int], new: Sequence[Row]) -> str | None:
        """Which row is selected after an update."""
        if old_key is None or old_key in index_of:
            return old_key or (new[0].key if new else None)
        keys = [row.key for row in old]
        place = keys.index(old_key)
        for key in [*keys[place:], *reversed(keys[:place])]:
            if key in index_of:
                return key
        return new[min(place, len(new) - 1)].key if new else None

    # Scrolling.

    @property
    def _visible(self) -> int:
        return max(0, self.size.height - self._heading)

    def _bring_into_view(self, index: int) -> None:
        top = round(self.scroll_y)
        if index < top:
            self._scroll(index)
        elif index >= top + self._visible > top:
            self._scroll(index - self._visible + 1)

    def _hold_in_place(self, old_index: int, index: int, top: int) -> None:
        """Scrolls along with the selected row, so that it does not move on the screen; the list's top stays the top."""
        if top <= old_index < top + self._visible:
            if top > 0:
                self._scroll(index - (old_index - top))
            self._bring_into_view(index)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=max(0, min(top, self.max_scroll_y)), animate=False)

    def _resize_content(self) -> None:
        size = Size(self.size.width, len(self._rows) + self._heading)
        if size == self.virtual_size:
            return
        overflowed, overflows = (each.height > self.size.height for each in (self.virtual_size, size))
        if overflowed == overflows and not self.styles.auto_dimensions:
            # Nothing to lay out while the scrollbar neither comes nor goes: what changed is painted and no more.
            self.set_reactive(Widget.virtual_size, size)
            if overflows:
                self.vertical_scrollbar.window_virtual_size = size.height
        else:
            self.virtual_size = size
        if self.scroll_y > self.max_scroll_y:
            self._scroll(self.max_scroll_y)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._heading + (len(self._rows) or len(self._empty_lines(width)))

    def on_resize(self, event: events.Resize) -> None:
        self._resize_content()
        if self._selected is not None:
            self._bring_into_view(self._index_of[self._selected])

    # Painting.

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._forget()

    def on_focus(self) -> None:
        self._repaint_row(self._selected)

    def on_blur(self) -> None:
        self._repaint_row(self._selected)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self._heading:
            return
        index = offset.y - self._heading + round(self.scroll_y)
        if index < len(self._rows):
            event.stop()
            self._move_to(index)
            if event.chain == 2:
                self.action_open()

    def render_lines(self, crop: Region) -> list[Strip]:
        if self.styles.gutter.totals != (0, 0):
            return super().render_lines(crop)
        return plain_lines(self, crop, self._strip)

    def render_line(self, y: int) -> Strip:
        return self._strip(y, self.rich_style)

    def _strip(self, y: int, base: Style) -> Strip:
        width = self.size.width - self.scrollbar_size_vertical
        if self._styles is None or width != self._width:
            self._styles = tone_styles(self.app)
            self._cursor = Style(bgcolor=_cursor_colour(self.app.theme_variables).rich_color)
            self._cursor_styles = _readable_on(self._cursor, self._styles)
            self._width = width
            self._places = arrange(self._columns, width - MARKER_CELLS)
            self._strips.clear()
        if y < self._heading:
            return strip_of(self._heading_line(), width, base, self._styles)
        index = y - self._heading + round(self.scroll_y)
        if index < len(self._rows):
            return self._row_strip(self._rows[index], base, self._styles)
        lines = () if self._rows else self._empty_lines(width)
        line = lines[index] if index < len(lines) else BLANK
        return strip_of(line, width, base, self._styles)

    def _row_strip(self, row: Row, base: Style, styles: Styles) -> Strip:
        mark = Mark.NONE if row.key != self._selected else Mark.FOCUSED if self.has_focus else Mark.BLURRED
        kept = self._strips.get(row.key)
        if kept is not None and kept[0] == row and kept[1] is mark:
            return kept[2]
        if mark is not Mark.NONE:
            base, styles = base + self._cursor, self._cursor_styles
        strip = strip_of(self._row_line(row, mark), self._width, base, styles)
        self._strips[row.key] = (row, mark, strip)
        return strip

    def _row_line(self, row: Row, mark: Mark) -> Line:
        sign = part(" ") if mark is Mark.NONE else part(CURSOR, Tone.ACCENT if mark is Mark.FOCUSED else Tone.MUTED)
        parts = [sign]
        used = 0
        covered = 0
        for place in self._places:
            if place.index < covered:
                continue
            value = row.cells[place.index]
            width = place.width
            if isinstance(value, Cell) and value.span > 1:
                covered = place.index + value.span
                width = max(each.x + each.width for each in self._places if each.index < covered) - place.x
            shown = cut(parts_of(value), width)
            room = width - width_of(shown)
            indent = place.x - used + (room if place.column.align == "right" else 0)
            if indent:
                parts.append(part(" " * indent))
            parts += shown
            used = place.x + width - (0 if place.column.align == "right" else room)
        return tuple(parts)

    def _heading_line(self) -> Line:
        parts = [part(" " * MARKER_CELLS)]
        used = 0
        for place in self._places:
            title: str = place.column.title
            if self._sorted_by is not None and self._sorted_by[0] == place.column.key:
                title += "↓" if self._sorted_by[1] else "↑"
            parts.append(part(" " * (place.x - used) + fit(title, place.width, align=place.column.align), Tone.MUTED))
            used = place.x + place.width
        return tuple(parts)

    def _empty_lines(self, width: int) -> Sequence[Line]:
        if not self._empty:
            return ()
        if isinstance(self._empty, str):
            return wrap(self._empty, max(1, width - MARKER_CELLS), indent=" ", tone=Tone.MUTED)
        return [(part(" " * MARKER_CELLS), *line) for line in self._empty]

    def _forget(self) -> None:
        self._styles = None
        self._strips.clear()
        self.refresh()

    def _repaint_row(self, key: str | None) -> None:
        index = self._index_of.get(key) if key is not None else None
        if index is not None:
            self._repaint_line(index - round(self.scroll_y))

    def _repaint_line(self, line: int, x: int = 0, width: int | None = None) -> None:
        if 0 <= line < self._visible:
            self.refresh(Region(x, line + self._heading, self.size.width if width is None else width, 1))

    def _repaint_changes(self, old: Sequence[Row], old_key: str | None, top: int) -> None:
        new = self._rows
        if not old or not new:
            if old or new:
                self.refresh()
            return
        for line in range(self._visible):
            index = top + line
            was = old[index] if index < len(old) else None
            now = new[index] if index < len(new) else None
            if was is None and now is None:
                break
            if was is None or now is None or was.key != now.key or (was.key == old_key) != (now.key == self._selected):
                self._repaint_line(line)
            elif was.cells != now.cells:
                self._repaint_cells(line, was, now)

    def _repaint_cells(self, line: int, was: Row, now: Row) -> None:
        changed = [place for place in self._places if was.cells[place.index] != now.cells[place.index]]
        if not changed:
            return
        x = MARKER_CELLS + changed[0].x
        end = MARKER_CELLS + changed[-1].x + changed[-1].width
        if any(isinstance(value, Cell) and value.span > 1 for row in (was, now) for value in row.cells):
            end = self.size.width
        self._repaint_line(line, x, end - x)


def _cursor_colour(variables: Mapping[str, str]) -> Color:
    return Color.parse(variables.get("cursor-row", ANSI_VARIABLES["cursor-row"]))


def _readable_on(cursor: Style, styles: Styles) -> Styles:
    """The styles for the selected row: with sixteen colours, a tone may have the row's own colour."""
    return {tone: styles[Tone.PLAIN] if style.color == cursor.bgcolor else style for tone, style in styles.items()}
