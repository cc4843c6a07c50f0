"""What the terminal shows, cell by cell, so that only what differs from it has to be sent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.segment import Segment
from rich.style import Style

NEAR = 6
"""Cells that are the same but lie between two changes no farther apart are written again: a jump costs as much."""

MANY = 12
"""Fewer pieces than these are written in their order."""

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
        """Puts cells down from column `x` on."""
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
            pen.write(start, y, line.known_from(start), bound=True)
            return
        for start, stop in _runs(differing):
            pen.write(start, y, cells[start - x : stop - x])


@dataclass(slots=True)
class _Piece:
    """Text of one look. What is `bound` follows the piece before it wherever that ended; where one ends that is not
    `sure` nobody knows."""

    x: int
    y: int
    look: Look
    text: str
    width: int
    bound: bool
    sure: bool


class Pen:
    """Writes cells, changing the look of the terminal as little as it can."""

    def __init__(self, console: Console) -> None:
        self.system = COLOR_SYSTEMS[console.color_system or "truecolor"]
        self._pieces: list[_Piece] = []

    def write(self, x: int, y: int, cells: Sequence[Cell], *, bound: bool = False) -> None:
        """`bound`: the cells follow each other wherever the terminal thinks that each ends."""
        piece: _Piece | None = None
        for place, (text, look) in enumerate(cells, x):
            both = look if piece is None or look is piece.look else _both(piece.look, look)
            if piece is None or both is None:
                piece = _Piece(place, y, look, text, 1, bound and place > x, not bound)
                self._pieces.append(piece)
            else:
                piece.look = both
                piece.text += text
                piece.width += 1

    def finish(self) -> str:
        """Everything written, with the terminal's look as it was before."""
        pieces = self._pieces
        in_order = _written(pieces)
        if len(pieces) < MANY or not all(piece.sure for piece in pieces):
            return in_order
        # To jump costs less than to change colours: much is shorter written colour by colour.
        return min(in_order, _written(sorted(pieces, key=lambda piece: _order(piece.look))), key=len)


def _written(pieces: Iterable[_Piece]) -> str:
    """Pieces one after another, from a plain look and back to it."""
    told: list[str] = []
    shown = PLAIN
    x, y, exact = -1, -1, False
    for piece in pieces:
        if not piece.bound and (piece.x, piece.y) != (x, y):
            if exact and piece.y == y and piece.x > x:
                told.append(f"\x1b[{piece.x - x}C")
            else:
                told.append(f"\x1b[{piece.y + 1};{piece.x + 1}H")
                exact = True
        # Some terminals give two cells to characters that others give one.
        exact = exact and piece.text.isascii()
        look = piece.look if piece.look.foreground else _on_space(shown, piece.look)
        if look is not shown:
            if look.link != shown.link:
                told.append(f"\x1b]8;;{look.link}\x1b\\")
            told.append(_change(shown, look))
            shown = look
        told.append(piece.text)
        x, y = (piece.x + piece.width, piece.y) if piece.sure else (-1, -1)
    if shown.link:
        told.append("\x1b]8;;\x1b\\")
    if shown != PLAIN:
        told.append(RESET)
    return "".join(told)


def _on_space(shown: Look, look: Look) -> Look:
    """The look of spaces in which as much as can be stays as it is shown."""
    if look.attributes <= _UNSEEN_ON_SPACES and shown.attributes <= _UNSEEN_ON_SPACES:
        return shown._replace(background=look.background, link=look.link)
    return look._replace(foreground=PLAIN.foreground)


@lru_cache(maxsize=8192)
def _both(before: Look, after: Look) -> Look | None:
    """The look in which both can be written where one of them is of spaces; None where none can."""
    if before == after:
        return before
    if before[1::2] != after[1::2] or not (before.attributes | after.attributes) <= _UNSEEN_ON_SPACES:
        return None
    if not after.foreground:
        return before
    return after if not before.foreground else None


@lru_cache(maxsize=8192)
def _order(look: Look) -> tuple[str, str, str, tuple[str, ...]]:
    return look.link, look.background, look.foreground, tuple(sorted(look.attributes))


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
