"""Sends what changed on the screen, and little more.

Textual repaints a changed piece of a line from the left edge of its widget, and gives every piece of text its colours
in full. In a table whose last column is a running clock that is every line whole, every second: most of what a slow
link has to carry. Here a change begins where it begins, and only the colours that differ from those before are sent.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import Console
from rich.control import Control
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate

_ATTRIBUTES = {
    "bold": "1",
    "dim": "2",
    "italic": "3",
    "underline": "4",
    "blink": "5",
    "blink2": "6",
    "reverse": "7",
    "conceal": "8",
    "strike": "9",
    "underline2": "21",
    "frame": "51",
    "encircle": "52",
    "overline": "53",
}
_UNSEEN_ON_SPACES = frozenset(["1", "2", "3"])


class Look(NamedTuple):
    """How the terminal draws text: SGR codes of foreground, background and attributes."""

    foreground: str
    background: str
    attributes: frozenset[str]


PLAIN = Look("39", "49", frozenset())
RESET = "\x1b[0m"


class Pen:
    """Writes segments one after another, changing the look of the terminal as little as it can."""

    def __init__(self, console: Console) -> None:
        self._system = ColorSystem[(console.color_system or "truecolor").upper()]
        self._look = PLAIN
        self._place: tuple[int, int] | None = None
        self._pieces: list[str] = []

    def move(self, x: int, y: int) -> None:
        if self._place != (x, y):
            self._pieces.append(Control.move_to(x, y).segment.text)
            self._place = (x, y)

    def write(self, segments: Iterable[Segment], cells: int) -> None:
        """Writes segments that together take so many cells."""
        for text, style, _ in segments:
            look = look_of(style, self._system)
            if text.isspace() and self._look.attributes <= _UNSEEN_ON_SPACES >= look.attributes:
                look = self._look._replace(background=look.background)
            self._pieces.append(_change(self._look, look))
            self._look = look
            if style is not None and style.link:
                self._pieces += (f"\x1b]8;id={style.link_id};{style.link}\x1b\\", text, "\x1b]8;;\x1b\\")
            else:
                self._pieces.append(text)
        if self._place is not None:
            self._place = (self._place[0] + cells, self._place[1])

    def finish(self) -> str:
        """Everything written, with the terminal's look as it was before."""
        if self._look != PLAIN:
            self._pieces.append(RESET)
        return "".join(self._pieces)


@lru_cache(maxsize=4096)
def look_of(style: Style | None, system: ColorSystem) -> Look:
    """A style in the codes of a colour system."""
    if style is None:
        return PLAIN
    foreground = ";".join(style.color.downgrade(system).get_ansi_codes(foreground=True)) if style.color else "39"
    background = ";".join(style.bgcolor.downgrade(system).get_ansi_codes(foreground=False)) if style.bgcolor else "49"
    return Look(foreground, background, frozenset(code for name, code in _ATTRIBUTES.items() if getattr(style, name)))


@lru_cache(maxsize=4096)
def _change(before: Look, after: Look) -> str:
    codes: list[str] = []
    if not before.attributes <= after.attributes:
        codes.append("0")
        before = PLAIN
    codes += sorted(after.attributes - before.attributes, key=int)
    if after.foreground != before.foreground:
        codes.append(after.foreground)
    if after.background != before.background:
        codes.append(after.background)
    return f"\x1b[{';'.join(codes)}m" if codes else ""


class TightUpdate(ChopsUpdate):
    """Some spans of some lines."""

    def render_segments(self, console: Console) -> str:
        pen = Pen(console)
        for y, start, end in self.spans:
            for chop_end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= end or chop_end <= start:
                    continue
                left, right = max(x, start), min(chop_end, end)
                pen.move(left, y)
                pen.write(strip.crop(left - x, right - x), right - left)
        return pen.finish()


class TightLayout(LayoutUpdate):
    """The whole screen."""

    def render_segments(self, console: Console) -> str:
        pen = Pen(console)
        for y, strips in enumerate(self.strips, self.region.y):
            pen.move(self.region.x, y)
            for strip in strips:
                pen.write(strip, strip.cell_length)
        return pen.finish()


class TightCompositor(Compositor):
    """A screen takes it by `self._compositor = TightCompositor()` when it is made."""

    def render_partial_update(self) -> TightUpdate | None:
        update = super().render_partial_update()
        return None if update is None else TightUpdate(update.chops, update.spans, update.chop_ends)

    def render_full_update(self, simplify: bool = False) -> TightLayout:
        update = super().render_full_update(simplify)
        return TightLayout(update.strips, update.region)
