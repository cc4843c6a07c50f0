"""What the terminal shows, cell by cell, so that only what differs from it has to be sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.control import Control
from rich.segment import Segment
from rich.style import Style

NEAR = 6
"""Cells that are the same but lie between two changes no farther apart are written again: a jump costs as much."""

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
    """How text is drawn: SGR codes of foreground, background and attributes, and where it links to.

    On spaces the foreground cannot be seen and is empty: any will do.
    """

    foreground: str
    background: str
    attributes: frozenset[str]
    link: str = ""


class Cell(NamedTuple):
    """A cell of the terminal. The second cell of a wide character has no text."""

    text: str
    look: Look


PLAIN = Look("39", "49", frozenset())
RESET = "\x1b[0m"


@dataclass(slots=True)
class Line:
    """A line of the terminal: its cells, None where unknown, and what was drawn last if that began the line."""

    cells: list[Cell | None]
    last: Sequence[Segment] | None = None
    is_odd: bool = False
    """Whether there are characters that are wide or made of several."""

    def put(self, x: int, cells: Sequence[Cell]) -> None:
        end = x + len(cells)
        if x and _is_second_half(self.cells[x]):
            self.cells[x - 1] = None
        if end < len(self.cells) and _is_second_half(self.cells[end]):
            self.cells[end] = None
        self.cells[x:end] = cells
        self.is_odd = _is_odd(self.cells if self.is_odd else cells)

    def known_from(self, start: int) -> list[Cell]:
        """The cells from there to the first unknown one."""
        return [cell for cell in takewhile(lambda cell: cell is not None, self.cells[start:]) if cell is not None]


class Picture:
    """What the terminal shows. What is not known to be shown is unknown and will be sent."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}

    def forget(self) -> None:
        """Nothing is known any more; may be called from any thread."""
        self._lines = {}

    def draw(self, pen: "Pen", x: int, y: int, segments: Sequence[Segment]) -> None:
        """Has the pen write what is not shown already of these segments, which begin at a cell of a line."""
        line = self._lines.setdefault(y, Line([]))
        if x == 0 and line.last == segments:
            return
        cells = [cell for segment in segments for cell in cells_of(segment.text, segment.style, pen.system)]
        line.last = None if x else segments
        line.cells.extend([None] * (x + len(cells) - len(line.cells)))
        shown = line.cells[x : x + len(cells)]
        if shown == cells:
            return
        differing = [place for place, (was, now) in enumerate(zip(shown, cells, strict=True), x) if was != now]
        odd = line.is_odd
        line.put(x, cells)
        if odd or line.is_odd:
            # Terminals disagree about the width of such characters: whatever stands behind them may stand elsewhere.
            start = differing[0]
            while start > x and cells[start - x].text == "":
                start -= 1
            pen.write(start, y, line.known_from(start))
            return
        for start, stop in _runs(differing):
            pen.write(start, y, cells[start - x : stop - x])


class Pen:
    """Writes cells, changing the look of the terminal as little as it can."""

    def __init__(self, console: Console) -> None:
        self.system = COLOR_SYSTEMS[console.color_system or "truecolor"]
        self._look = PLAIN
        self._place: tuple[int, int] | None = None
        self._pieces: list[str] = []

    def write(self, x: int, y: int, cells: Sequence[Cell]) -> None:
        if self._place != (x, y):
            self._pieces.append(Control.move_to(x, y).segment.text)
        wanted: Look | None = None
        for text, look in cells:
            if look is not wanted:
                wanted = look
                self._take(look)
            self._pieces.append(text)
        self._place = (x + len(cells), y)

    def _take(self, look: Look) -> None:
        shown = look if look.foreground else self._on_space(look)
        if shown.link != self._look.link:
            self._pieces.append(f"\x1b]8;;{shown.link}\x1b\\")
        self._pieces.append(_change(self._look, shown))
        self._look = shown

    def finish(self) -> str:
        """Everything written, with the terminal's look as it was before."""
        if self._look.link:
            self._pieces.append("\x1b]8;;\x1b\\")
        if self._look != PLAIN:
            self._pieces.append(RESET)
        return "".join(self._pieces)

    def _on_space(self, look: Look) -> Look:
        if self._look.attributes <= _UNSEEN_ON_SPACES:
            return self._look._replace(background=look.background, link=look.link)
        return look._replace(foreground=PLAIN.foreground)


@lru_cache(maxsize=8192)
def cells_of(text: str, style: Style | None, system: ColorSystem) -> tuple[Cell, ...]:
    """Text of one style as cells in the colours of a colour system."""
    look = look_of(style, system)
    blank = Look("", look.background, frozenset(), look.link) if look.attributes <= _UNSEEN_ON_SPACES else look
    if text.isascii():
        return tuple(Cell(char, blank if char == " " else look) for char in text)
    cells: list[Cell] = []
    for start, end, width in split_graphemes(text)[0]:
        grapheme = text[start:end]
        if width:
            cells.append(Cell(grapheme, blank if grapheme == " " else look))
            cells += [Cell("", look)] * (width - 1)
    return tuple(cells)


@lru_cache(maxsize=4096)
def look_of(style: Style | None, system: ColorSystem) -> Look:
    """A style in the codes of a colour system."""
    if style is None:
        return PLAIN
    foreground = ";".join(style.color.downgrade(system).get_ansi_codes(foreground=True)) if style.color else "39"
    background = ";".join(style.bgcolor.downgrade(system).get_ansi_codes(foreground=False)) if style.bgcolor else "49"
    attributes = frozenset(code for name, code in _ATTRIBUTES.items() if getattr(style, name))
    return Look(foreground, background, attributes, style.link or "")


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


def _is_odd(cells: Sequence[Cell | None]) -> bool:
    return any(cell is not None and len(cell.text) != 1 for cell in cells)


def _is_second_half(cell: Cell | None) -> bool:
    return cell is not None and cell.text == ""


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Places as half-open ranges, near ones joined."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and place - runs[-1][1] < NEAR:
            runs[-1] = (runs[-1][0], place + 1)
        else:
            runs.append((place, place + 1))
    return runs
