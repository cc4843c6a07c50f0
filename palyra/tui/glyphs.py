"""The signs the console speaks with, and what stands for each where a terminal knows only ASCII.

Screens write the Unicode signs; with `--ascii` one line filter replaces them on their way to the terminal, cell for
cell, whoever drew them. A sign never stands alone: a word beside it says the same.
"""

import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widget import Widget

OK = "●"
IDLE = "○"
ATTENTION = "▲"
BAD = "✖"
NOTE = "·"
GRANT = "◆"
CROSSED = "◇"
CURSOR = "▌"
SEPARATOR = "·"
TRAIL = "›"
RULE = "─"
ENTER = "⏎"

ASCII = {
    OK: "*",
    IDLE: "o",
    ATTENTION: "!",
    BAD: "x",
    NOTE: "-",
    GRANT: "+",
    CROSSED: "%",
    RULE: "-",
    ENTER: "<",
    "…": "~",
    "–": "-",
    "—": "-",
    "≤": "<",
    "≥": ">",
    "‘": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "✓": "v",
    "◐": "o",
    "∞": "8",
    "Σ": "S",
    "\u00a0": " ",
    "×": "x",
    "→": ">",
    "←": "<",
    "↑": "^",
    "↓": "v",
    "’": "'",
    "│": "|",
    "┤": "|",
    "├": "|",
    "┼": "+",
    "┬": "+",
    "┴": "+",
    "┌": "+",
    "┐": "+",
    "└": "+",
    "┘": "+",
    "▁": "_",
    "▂": ".",
    "▃": ":",
    "▄": "-",
    "▅": "=",
    "▆": "+",
    "▇": "*",
    "█": "#",
    "▉": "#",
    "▊": "#",
    "▋": "=",
    "▌": "|",
    "▍": "|",
    "▎": ".",
    "▏": ".",
    "▐": "|",
    "░": ".",
    "▒": ":",
    "▓": "#",
    "▔": "-",
    "▕": "|",
    "▸": ">",
    "▾": "v",
    "⟨": "<",
    "⟩": ">",
    "‹": "<",
    "›": ">",
}


WITH_SPACE = {"≤ ": "<=", "≥ ": ">=", "→ ": "->", "← ": "<-"}
"""Signs that take two cells to be told from others: the space behind them is theirs."""


def to_ascii(text: str) -> str:
    """The same number of cells in ASCII; what has no likeness becomes question marks."""
    if text.isascii():
        return text
    for sign, plain in WITH_SPACE.items():
        text = text.replace(sign, plain)
    return "".join(map(_stand_in, text))


def _stand_in(char: str) -> str:
    if char.isascii():
        return char
    if char in ASCII:
        return ASCII[char]
    width = cell_len(char)
    plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return plain if plain.isprintable() and len(plain) == width else "?" * width


class AsciiFilter(LineFilter):
    """Replaces every sign outside ASCII in what goes to the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.text.isascii() else Segment(to_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def repaint(screens: Iterable[Screen[Any]]) -> None:
    """Has screens painted anew through the filters there are now."""
    for screen in screens:
        for part in screen.walk_children(Widget, with_self=True):
            part.refresh()
