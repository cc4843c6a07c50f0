"""Text that is safe to show on a terminal.

Whatever comes from models, users, providers, files, the environment or the network may carry bytes that a terminal
obeys (escape sequences, clipboard writes), characters that reorder or hide what is read (bidi controls, zero-width
characters), or piles of combining marks that climb over other rows. `safe` turns all of them into something visible and
harmless, and the type `SafeText` says that it was done. Nothing here ever raises.

Widths are terminal cells as `rich.cells` counts them, which is also how the screen counts.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, Self, SupportsIndex, overload

from rich.cells import cell_len, split_graphemes

MAX_BYTES = 64 * 1024
"""Longer texts (in UTF-8) are cut before they are looked at."""

MAX_MARKS = 4
"""Combining marks one base character may carry."""

MAX_TITLE = 80
"""Longest terminal title or notification, in characters."""

SHORT = 64
"""Texts of at most so many characters are cleaned once and remembered."""

TAB = "    "
LINE_BREAK = "⏎"

_INVISIBLE = frozenset(
    code
    for start, end in [
        (0x00AD, 0x00AD),
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x2060, 0x206F),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xE0000, 0xE01FF),
    ]
    for code in range(start, end + 1)
)
"""Characters that draw nothing although some of them count as letters or marks. What Unicode calls a format character,
all bidi controls among them, is found by its category."""

_FLAG_A, _FLAG_Z = 0x1F1E6, 0x1F1FF
_FLAG_LETTERS = {_FLAG_A + number: chr(ord("A") + number) for number in range(26)}
"""The letters of which flags are made are shown as letters: terminals disagree about how wide a flag is, which moves
what stands beside it."""
_HIDDEN_CATEGORIES = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
_OTHER_BREAKS = re.compile("\r\n|[\x85\u2028\u2029]")


class SafeText(str):
    """A string without anything that a terminal would obey or hide. May hold line feeds if made with `multiline`.

    Building one from any object cleans it; building one from a SafeText gives the same object back. Sums and multiples
    of SafeTexts are SafeTexts, and so is what one joins; anything else made of one is an ordinary string again.
    """

    __slots__ = ()

    def __new__(cls, text: object = "", *, multiline: bool = False) -> Self:
        if type(text) is cls:
            return text
        return super().__new__(cls, _clean(_as_text(text), multiline=multiline))

    @overload
    def __add__(self, other: "SafeText", /) -> "SafeText": ...
    @overload
    def __add__(self, other: str, /) -> str: ...
    def __add__(self, other: str, /) -> str:
        total = str.__add__(self, other)
        return _trusted(total) if isinstance(other, SafeText) else total

    def __mul__(self, times: SupportsIndex, /) -> "SafeText":
        return _trusted(str.__mul__(self, times))

    def join(self, parts: Iterable[str], /) -> "SafeText":
        return _trusted(str.join(self, [safe(part) for part in parts]))


def _trusted(text: str) -> SafeText:
    """Wraps what is known to be clean without looking at it again."""
    return str.__new__(SafeText, text)


def safe(text: object, *, multiline: bool = False) -> SafeText:
    """`text` with everything a terminal would obey or hide made visible; a SafeText passes unchanged.

    Line breaks stay as line feeds when `multiline`, otherwise each becomes `⏎`; tabs become four spaces or one. Bytes
    are read as UTF-8; any other object is shown as `str` shows it.
    """
    if type(text) is str and len(text) <= SHORT and not multiline:
        return _short(text)
    return text if isinstance(text, SafeText) else SafeText(text, multiline=multiline)


@lru_cache(maxsize=4096)
def _short(text: str) -> SafeText:
    """Lists show the same names, states and models over and over."""
    return SafeText(text)


def cells(text: str) -> int:
    """How many terminal cells one line of text takes."""
    return cell_len(text)


def fit(text: str, width: int, *, align: Literal["left", "right", "center"] = "left", ellipsis: str = "…") -> SafeText:
    """`text` as exactly `width` cells: padded with spaces, or cut between graphemes with `ellipsis` at its end."""
    line = safe(text)
    if width <= 0:
        return _trusted("")
    if "\n" in line:
        line = _trusted(line.replace("\n", LINE_BREAK))
    size = cells(line)
    if size > width:
        return _cut(line, width, ellipsis)
    if size == width:
        return line
    left = {"left": 0, "right": width - size, "center": (width - size) // 2}[align]
    return _trusted(" " * left + line + " " * (width - size - left))


def safe_title(text: object) -> str:
    """`text` as at most 80 printable ASCII characters, for the terminal's title and notifications."""
    plain = unicodedata.normalize("NFKD", safe(text).replace(LINE_BREAK, " ").translate(_TITLE_STAND_INS))
    ascii_only = "".join(char if " " <= char <= "~" else "?" for char in plain if not unicodedata.combining(char))
    return ascii_only if len(ascii_only) <= MAX_TITLE else ascii_only[: MAX_TITLE - 3] + "..."


def json_safe(document: str) -> str:
    """A JSON document with obeyed, hidden and piled characters as `\\uXXXX` escapes: the same JSON, safe on a terminal.

    Takes the text that `json.dumps` made; its line feeds are layout and stay.
    """
    if document.isascii() and document.isprintable():
        return document
    pieces: list[str] = []
    done = 0
    for piled in _PILED.finditer(document.translate(_SHAPES)):
        pieces += (
            document[done : piled.start()].translate(_JSON_ESCAPES),
            "".join(map(_escaped, document[slice(*piled.span())])),
        )
        done = piled.end()
    pieces.append(document[done:].translate(_JSON_ESCAPES))
    return "".join(pieces)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    try:
        return str(value)
    except Exception:  # a broken __str__ of a foreign object must not break the screen
        return f"<{type(value).__name__}>"


def _clean(text: str, *, multiline: bool) -> str:
    if text.isascii() and text.isprintable() and len(text) <= MAX_BYTES:
        return text
    text = _capped(text)
    text = _OTHER_BREAKS.sub("\n", text).replace("\t", TAB if multiline else " ")
    if not multiline:
        text = text.replace("\n", LINE_BREAK)
    pieces: list[str] = []
    last = ""
    done = 0
    for found_at in _NEEDS_WORK.finditer(text.translate(_SHAPES)):
        start, end = found_at.span()
        if start > done:
            pieces.append(text[done:start])
            last = text[start - 1]
        done = end
        if found_at.lastgroup == "dropped":
            continue
        found = text[start:end]
        match found_at.lastgroup:
            case "marks":
                treated = _piled(found, last)
            case "flags":
                treated = found.translate(_FLAG_LETTERS)
            case _:
                treated = "".join(map(_visible, found))
        pieces.append(treated)
        last = treated[-1]
    pieces.append(text[done:])
    return "".join(pieces)


def _capped(text: str) -> str:
    if len(text) * 4 <= MAX_BYTES:
        return text
    head = text[:MAX_BYTES].encode("utf-8", "surrogatepass")
    if len(text) <= MAX_BYTES and len(head) <= MAX_BYTES:
        return text
    # An incremental decoder leaves out a character that the cut went through.
    kept = len(codecs.getincrementaldecoder("utf-8")("surrogatepass").decode(head[:MAX_BYTES]))
    return f"{text[:kept]}… (+{len(text) - kept} chars)"


def _piled(marks: str, before: str) -> str:
    """At most MAX_MARKS of the marks, on a dotted circle where there is nothing (of the text's own) to carry them."""
    carrier = "◌" if before in ("", "\n", LINE_BREAK, "⟩") else ""
    rest = len(marks) - MAX_MARKS
    return carrier + marks[:MAX_MARKS] + (f"⟨+{rest}⟩" if rest > 0 else "")


def _visible(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"⟨U+{code:04X}⟩"


def _cut(line: SafeText, width: int, ellipsis: str) -> SafeText:
    end_size = cells(ellipsis)
    if end_size > width:
        return _trusted("." * width)
    room = width - end_size
    used = position = 0
    for start, end, size in split_graphemes(line)[0]:
        if used + size > room:
            position = start
            break
        used += size
        position = end
    return _trusted(line[:position] + ellipsis + " " * (room - used))


class _Shapes(dict[int, str]):
    """What each character is, as one letter: so that one pass of a regular expression finds everything to treat."""

    def __missing__(self, code: int) -> str:
        letter = self[code] = self._letter(code)
        return letter

    @staticmethod
    def _letter(code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if code == 0x0A:
            return "n"
        if code == 0x200D:
            return "j"
        if code == 0xFE0F:
            return "v"
        if 0x1F3FB <= code <= 0x1F3FF:
            return "t"
        if code == 0x20E3:
            return "q"
        if _FLAG_A <= code <= _FLAG_Z:
            return "f"
        if char in "0123456789#*":
            return "k"
        if code in _INVISIBLE or category in _HIDDEN_CATEGORIES:
            return "!"
        if category[0] in "SP" and cell_len(char + "\ufe0f") == 2:
            return "e"
        if category[0] == "M" or cell_len(char) == 0:
            return "m"
        return "."


_SHAPES = _Shapes()

_NEEDS_WORK = re.compile(
    # Joiner, emoji selector and skin tone inside an emoji are dropped: terminals disagree about the width of the whole.
    r"(?P<dropped>(?<=e)[vt]?j(?=e)|(?<=e)[vt]|(?<=k)v(?=q))"
    r"|(?P<hidden>!+|[jvt])"
    r"|(?P<marks>[mq]+)"
    r"|(?P<flags>f+)"
)

_TITLE_STAND_INS = str.maketrans({"⟨": "<", "⟩": ">", "…": "...", "—": "-", "–": "-", "·": "-", "’": "'"})


class _JsonEscapes(dict[int, str]):
    def __missing__(self, code: int) -> str:
        hidden = code != 0x0A and (code == 0x7F or _SHAPES[code] in "!jv")
        self[code] = _escaped(chr(code)) if hidden else chr(code)
        return self[code]


_JSON_ESCAPES = _JsonEscapes()
_PILED = re.compile(rf"(?<=[mq]{{{MAX_MARKS}}})[mq]+")
"""Marks beyond those that one character may carry."""
