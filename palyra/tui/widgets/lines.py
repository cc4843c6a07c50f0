"""Prepared lines of toned text: the light widget behind status line, footer, details and plots.

A line is a tuple of parts; a part is safe text with a tone. Showing new lines repaints only those that differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.theme import Theme
from textual.widget import Widget

from palyra.core.safe_text import SafeText, cells, fit, safe
from palyra.core.values import value
from palyra.tui.themes import Tone, tone_styles
from palyra.tui.widgets.plain import plain_lines
from palyra.tui.widgets.scrollbar import PlainScrollView

Styles = dict[Tone, Style]


@value
class Part:
    """A piece of a line. `action` names the command that a click on it runs."""

    text: SafeText
    tone: Tone = Tone.PLAIN
    bold: bool = False
    action: str = ""


Line = tuple[Part, ...]
BLANK: Line = ()


def part(text: object, tone: Tone = Tone.PLAIN, *, bold: bool = False, action: str = "") -> Part:
    """A part of a line; whatever is shown passes through `safe` here."""
    return Part(safe(text), tone, bold, action)


def muted(text: object) -> Part:
    """Text that stands back."""
    return Part(safe(text), Tone.MUTED)


def strong(text: object) -> Part:
    """Text that stands out."""
    return Part(safe(text), Tone.STRONG)


def line(*parts: Part | str) -> Line:
    """A line of parts and plain strings."""
    return tuple(piece if isinstance(piece, Part) else Part(safe(piece)) for piece in parts)


def width_of(parts: Line) -> int:
    """Cells a line takes."""
    return sum(cells(piece.text) for piece in parts)


def column(text: object, width: int, tone: Tone = Tone.PLAIN, *, right: bool = False, bold: bool = False) -> Part:
    """Text as a part of exactly `width` cells."""
    return Part(fit(safe(text), width, align="right" if right else "left"), tone, bold)


def cut(parts: Line, width: int) -> Line:
    """The line in at most `width` cells; the part that does not fit ends in `…`."""
    left = width
    kept: list[Part] = []
    for piece in parts:
        taken = cells(piece.text)
        if taken <= left:
            kept.append(piece)
            left -= taken
            continue
        if left > 0:
            kept.append(replace(piece, text=fit(piece.text, left)))
        else:
            while kept and not kept[-1].text:
                kept.pop()
            last = kept.pop() if kept else replace(piece, text=safe(""))
            kept.append(replace(last, text=fit(last.text + "…", cells(last.text))))
        break
    return tuple(kept)


def spread(left: Line, right: Line, width: int) -> Line:
    """Both ends of one line; the left one gives way where they meet."""
    room = width - width_of(right)
    if room <= 0:
        return cut(right, width)
    shown = cut(left, max(0, room - 1))
    return (*shown, Part(safe(" " * (room - width_of(shown)))), *right)


def wrap(text: object, width: int, *, indent: str = "", hang: str | None = None, tone: Tone = Tone.PLAIN) -> list[Line]:
    """Text broken between words into lines of at most `width` cells; words longer than a line are broken within."""
    follow = indent if hang is None else hang
    lines: list[Line] = []
    for paragraph in safe(text, multiline=True).split("\n"):
        current, used = indent, cells(indent)
        fresh = True
        for word in paragraph.split(" "):
            while word:
                gap = 0 if fresh else 1
                taken = cells(word)
                if used + gap + taken <= width:
                    current += " " * gap + word
                    used += gap + taken
                    word = ""
                elif not fresh:
                    lines.append((part(current, tone),))
                    current, used, fresh = follow, cells(follow), True
                    continue
                else:
                    head = _head(word, max(2, width - used))
                    lines.append((part(current + head, tone),))
                    current, used = follow, cells(follow)
                    word = word[len(head) :]
                    continue
                fresh = False
        lines.append((part(current, tone),))
    return lines


def _head(word: str, width: int) -> str:
    end = used = 0
    for char in word:
        used += cells(char)
        if used > width and end:
            break
        end += 1
    return word[:end]


def text_of(parts: Line) -> str:
    """A line without its tones."""
    return "".join(piece.text for piece in parts)


class Lines(PlainScrollView, can_focus=False):
    """Shows prepared lines. Scrolls when there are more than fit; remembers whether its end has been seen."""

    DEFAULT_CSS = """
    Lines { height: auto; background: transparent; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    """

    class Clicked(Message):
        """A part that carries an action was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    class Resized(Message):
        """The width changed: lines made for the old one should be made again."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: tuple[Line, ...] = ()
        self._styles: Styles | None = None
        self._base: Style | None = None
        """The widget's own style while it renders: asking for it line by line takes longer than the lines."""
        self._strips: dict[int, tuple[Line, int, Style, Strip]] = {}
        """What each row of the widget showed last, with what it was made from."""
        self._end_seen = False
        self._told_width = 0

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines it shows."""
        return self._lines

    @property
    def room(self) -> int:
        """Cells of a line, beside the scrollbar."""
        return self.scrollable_content_region.width

    @property
    def end_seen(self) -> bool:
        """Whether the last line has been on the screen since the text last changed its length."""
        return self._end_seen or self.max_scroll_y <= 0

    def start_over(self) -> None:
        """Another text follows: back to its top, its end not yet seen."""
        self._end_seen = False
        self.scroll_to(y=0, animate=False)

    def show(self, lines: Iterable[Line]) -> None:
        """Shows these lines and repaints those that changed."""
        new = tuple(lines)
        old = self._lines
        if new == old:
            return
        self._lines = new
        if len(new) != len(old):
            self._end_seen = False
            size = Size(self.size.width, len(new))
            overflowed, overflows = (len(lines) > self.size.height for lines in (old, new))
            if self.styles.auto_dimensions:
                self.virtual_size = size
                self.refresh(layout=True)
                return
            if overflowed != overflows:
                # The scrollbar is told at once: found out of when all is laid out, it has all laid out once more.
                self.set_reactive(Widget.virtual_size, size)
                self._refresh_scrollbars()
                self.refresh(layout=True)
                return
            # The scrollbar neither comes nor goes, so nothing has to be laid out.
            self.set_reactive(Widget.virtual_size, size)
            if overflows:
                self.vertical_scrollbar.window_virtual_size = size.height
                if self.scroll_y > self.max_scroll_y:
                    self.scroll_to(y=self.max_scroll_y, animate=False)
        top = int(self.scroll_offset.y)
        for number, (was, now) in enumerate(zip_longest(old, new)):
            if was != now:
                self.refresh(Region(0, number - top, self.size.width, 1))

    def show_line(self, parts: Line) -> None:
        """Shows one line."""
        self.show((parts,))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._forget_styles)

    def _forget_styles(self, theme: Theme) -> None:
        self._styles = None
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(self.size.width, len(self._lines))
        if self.size.width != self._told_width:
            self._told_width = self.size.width
            self.post_message(self.Resized())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y > 0:
            self._end_seen = True

    def render_lines(self, crop: Region) -> list[Strip]:
        if self.styles.gutter.totals == (0, 0):
            return plain_lines(self, crop, self._strip)
        self._base = self.rich_style
        try:
            return super().render_lines(crop)
        finally:
            self._base = None

    def render_line(self, y: int) -> Strip:
        return self._strip(y, self.rich_style if self._base is None else self._base)

    def _strip(self, y: int, base: Style) -> Strip:
        number = y + int(self.scroll_offset.y)
        parts = self._lines[number] if number < len(self._lines) else BLANK
        width = self.size.width
        if self._styles is None:
            self._styles = tone_styles(self.app)
            self._strips.clear()
        kept = self._strips.get(y)
        if kept is not None and kept[0] is parts and kept[1] == width and kept[2] == base:
            return kept[3]
        strip = strip_of(parts, width, base, self._styles)
        self._strips[y] = (parts, width, base, strip)
        return strip

    async def _on_click(self, event: events.Click) -> None:
        number = event.y + int(self.scroll_offset.y)
        if number < len(self._lines):
            position = 0
            for piece in self._lines[number]:
                position += cells(piece.text)
                if event.x < position:
                    if piece.action:
                        event.stop()
                        self.post_message(self.Clicked(piece.action))
                    break
        await super()._on_click(event)


def strip_of(parts: Line, width: int, base: Style, styles: Styles) -> Strip:
    """A line as a strip of exactly `width` cells."""
    shown = cut(parts, width)
    segments = [Segment(piece.text, _style(base, styles[piece.tone], piece.bold)) for piece in shown]
    return Strip(segments, width_of(shown)).adjust_cell_length(width, base)


@lru_cache(maxsize=512)
def _style(base: Style, tone: Style, bold: bool) -> Style:
    return base + tone + (_BOLD if bold else _PLAIN)


_BOLD = Style(bold=True)
_PLAIN = Style()


def lines_text(lines: Sequence[Line]) -> str:
    """Lines as plain text, for copying."""
    return "\n".join(text_of(parts).rstrip() for parts in lines)
