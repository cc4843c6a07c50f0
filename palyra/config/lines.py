"""On which line each key of a TOML text stands, and how deep it nests.

The reader of values is `tomllib`, which forgets where they stood. This scan reads only keys and brackets; what it does
not understand ends it, for such a text is no TOML and tomllib says so better.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from palyra.core.values import value

Path = tuple[str | int, ...]

MAX_DEPTH = 16

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#\[{\"'=]+(?: [0-9][^\s,\]}#]*)?")
_STRINGS = tuple(
    (opening, re.compile(pattern, re.DOTALL))
    for opening, pattern in (
        ('"""', r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'),
        ("'''", r"'''(?:[^']|'{1,2}(?!'))*'{3,5}"),
        ('"', r'"((?:[^"\\\n]|\\.)*)"'),
        ("'", r"'([^'\n]*)'"),
    )
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class TooDeepError(Exception):
    """Nesting beyond `MAX_DEPTH`; `line` says where."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Unreadable(Exception):
    """The end of what the scan understands."""


def lines_of(text: str) -> dict[Path, int]:
    """The line (from 1) of every key, table header and row of a TOML text. Raises TooDeepError."""
    return _scanned(text).lines


@value
class Places:
    """Where things stand in a TOML text: `values` from where to where the value of each key goes, `heads` where the
    header of each table ends."""

    values: Mapping[Path, tuple[int, int]]
    heads: Mapping[Path, int]


def places_of(text: str) -> Places:
    """For editing a text that `tomllib` has read. Raises TooDeepError."""
    scan = _scanned(text)
    return Places(scan.values, scan.heads)


def set_twice(text: str) -> Mapping[int, tuple[Path, int]]:
    """What is set or declared although it is there already: by the line, its path and the line it stood on first."""
    try:
        return _scanned(text).again
    except TooDeepError:
        return {}


def _scanned(text: str) -> "_Scan":
    scan = _Scan(text)
    with suppress(_Unreadable):
        scan.document()
    return scan


@dataclass
class _Scan:
    text: str
    at: int = 0
    lines: dict[Path, int] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    heads: dict[Path, int] = field(default_factory=dict)
    dotted: set[Path] = field(default_factory=set)
    """Tables that are there by the dotted names of their keys."""
    again: dict[int, tuple[Path, int]] = field(default_factory=dict)
    rows: dict[Path, int] = field(default_factory=dict)
    """Rows seen so far of each array of tables."""
    _counted: tuple[int, int] = (0, 1)

    def document(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self._header("[[", "]]")
                self.rows[table] = self.rows.get(table, 0) + 1
                table = (*table, self.rows[table] - 1)
                self._note(table)
            elif self.text.startswith("[", self.at):
                table = self._header("[", "]")
                self._note(table)
                self._once(table)
                self.heads[table] = self.at
            else:
                self._pair(table)
                self._skip(_SPACES)
                if self.text[self.at : self.at + 1] not in ("", "\n", "\r", "#"):
                    raise _Unreadable

    def _header(self, opening: str, closing: str) -> Path:
        """The path a header names; a part that is an array of tables means its last row."""
        self.at += len(opening)
        path: Path = ()
        for name in self._names():
            if path in self.rows:
                path = (*path, self.rows[path] - 1)
            path = (*path, name)
            self._note(path)
        if opening == "[" and path in self.rows:
            raise _Unreadable
        self._expect(closing)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for name in self._names():
            path = (*path, name)
            self._note(path)
        self._expect("=")
        self._skip(_SPACES)
        begins = self.at
        self._once(path)
        self.dotted.update(path[:length] for length in range(len(table) + 1, len(path)))
        self._value(path)
        self.values[path] = (begins, self.at)

    def _names(self) -> Iterator[str]:
        while True:
            self._skip(_SPACES)
            yield self._name()
            self._skip(_SPACES)
            if not self.text.startswith(".", self.at):
                return
            self.at += 1

    def _name(self) -> str:
        if bare := _BARE.match(self.text, self.at):
            self.at = bare.end()
            return bare[0]
        for opening, pattern in _STRINGS[2:]:
            if (match := pattern.match(self.text, self.at)) is not None:
                self.at = match.end()
                return _ESCAPE.sub(_unescape, match[1]) if opening == '"' else match[1]
        raise _Unreadable

    def _value(self, path: Path) -> None:
        if self.text.startswith("[", self.at):
            self._array(path)
        elif self.text.startswith("{", self.at):
            self._inline(path)
        else:
            self._scalar()

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self.text.startswith("]", self.at):
                self.at += 1
                return
            self._note((*path, index))
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if not self.text.startswith("]", self.at):
                self._expect(",")

    def _inline(self, path: Path) -> None:
        self.at += 1
        self._skip(_BLANK)
        while not self.text.startswith("}", self.at):
            self._pair(path)
            self._skip(_BLANK)
            if not self.text.startswith("}", self.at):
                self._expect(",")
                self._skip(_BLANK)
        self.at += 1

    def _scalar(self) -> None:
        for opening, pattern in _STRINGS:
            if self.text.startswith(opening, self.at):
                match = pattern.match(self.text, self.at)
                break
        else:
            match = _SCALAR.match(self.text, self.at)
        if match is None:
            raise _Unreadable
        self.at = match.end()

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return self.at

    def _expect(self, token: str) -> None:
        if not self.text.startswith(token, self.at):
            raise _Unreadable
        self.at += len(token)

    def _once(self, path: Path) -> None:
        """Notes what is there already. Lines were counted up to here when its name was noted."""
        if path in self.values or path in self.heads or path in self.dotted:
            self.again.setdefault(self._counted[1], (path, self.lines[path]))

    def _note(self, path: Path) -> None:
        """Keeps the first line a path stands on. Lines are counted on from the last place asked for."""
        place, line = self._counted
        line += self.text.count("\n", place, self.at)
        self._counted = (self.at, line)
        if len(path) > MAX_DEPTH:
            raise TooDeepError(line)
        self.lines.setdefault(path, line)


def _unescape(match: re.Match[str]) -> str:
    short, long, single = match.groups()
    if single is not None:
        return _ESCAPES.get(single, single)
    code = int(short or long, 16)
    return chr(code) if code <= 0x10FFFF else match[0]
