"""Text that attacks a terminal, an engine that tells nothing but such text, and the eye for what came through."""

import dataclasses
import enum
import random
import re
import types
import typing
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_overloads, get_type_hints

from palyra.control.commands import Command
from palyra.control.protocol import Control
from palyra.control.queries import Answer, Query
from palyra.control.snapshots import CommandResult, Snapshot, Topic

ATTACKS = {
    "csi": "\x1b[2J\x1b[31m\x1b[?1049l",
    "title": "\x1b]0;MARKED\x07\x1b]2;MARKED\x1b\\",
    "link": "\x1b]8;;http://evil.example/\x1b\\M\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;TUFSSw==\x07",
    "notice": "\x1b]9;MARKED\x07\x1b]777;notify;M;M\x1b\\",
    "dcs": '\x1bP$q"p\x1b\\\x1bP+q544e\x1b\\',
    "apc": "\x1b_Gf=100;AAAA\x1b\\",
    "pm": "\x1b^M\x1b\\\x1bXM\x1b\\",
    "reset": "\x1bc\x1b#8\x1b(0\x1b[!p",
    "c1": "\x9b31m\x9d0;M\x9c\x90M\x9c\x9eM\x9c\x9fM\x9c\x85\x84",
    "bell": "\x07\x07",
    "overwrite": "\r\x08\x08\x08\x7f\x1b[1A\x1b[2K",
    "null": "\x00\x0e\x0f\x11\x13\x18\x1a",
    "lines": "\nFORGED\r\nFORGED\x0bM\x0cM\x85FORGED\u2028M\u2029M\tM",
    "bidi": "\u202eM\u202d\u2066M\u2067\u2069\u200f\u061c\u202c",
    "invisible": "\u200b\u2060\ufeff\u00ad\u180e\u3164\u115f\u034f\u2061",
    "tags": "\U000e0041\U000e0042\U000e007f",
    "selectors": "\ufe0f\ufe0e\ufe00\U000e0100\U000e01ef",
    "marks": "\u0301" * 40 + "M\u0489" + "\u20dd" * 20 + "\u0e49" * 20,
    "wide": "日本語\uff21\U0001f469\u200d\U0001f469\u200d\U0001f467\U0001f1e9\U0001f1ea\u1100\u1161\u11a8",
    "ambiguous": "±§°①←─☐\u00a4\u2010",
    "markup": "[red]M[/] [/] [@click=app.exit]M[/] [link=http://evil.example/]M[/link] [[[",
    "surrogates": "\ud800M\udfff\udc9b31m",
    "private": "\ue000\U000f0000\U0010ffff\ufdd0\ufff9M\ufffb",
    "format": "%s %n {0} {self!r} $(reboot) `reboot`",
}
"""What hostile text does to a terminal, or to what is read on it, by its kind."""

LONG = "W\u0301" * 5_000 + "\x1b[2J"

PLAIN = re.compile(r"[ -~\n]*")
_HIDDEN = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
_DRAWS_NOTHING = frozenset(map(chr, [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810)]))
_SELECTORS = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
MOST_MARKS = 4


def obeyed(text: str) -> str | None:
    """The first thing in a text that a terminal would obey, hide or pile up, with what surrounds it; None if there is
    none. Line feeds are layout. Decided from Unicode's own tables, not from what cleans the text."""
    if PLAIN.fullmatch(text):
        return None
    marks = 0
    for at, char in enumerate(text):
        if char == "\n" or " " <= char <= "~":
            marks = 0
            continue
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        hidden = unicodedata.category(char) in _HIDDEN or char in _DRAWS_NOTHING or char in _SELECTORS
        if hidden or marks > MOST_MARKS:
            return f"{char!r} in {text[max(0, at - 60) : at + 60]!r}"
    return None


class Venom:
    """Makes texts hostile, each in one of the ways in turn, and takes it back."""

    def __init__(self, attacks: Sequence[str], *, after: int = 3) -> None:
        """`after`: how many characters of the text itself stay in front, so that it can be told apart."""
        self._attacks = attacks
        self._after = after
        self._was: dict[str, str] = {}
        self._made: dict[str, str] = {}

    def spoiled(self, text: str) -> str:
        """Always the same for the same text."""
        if text in self._was or not text:
            return text
        if text not in self._made:
            attack = self._attacks[len(self._made) % len(self._attacks)]
            made = text[: self._after] + attack + text[self._after :]
            self._made[text], self._was[made] = made, text
        return self._made[text]

    def cured(self, text: str) -> str:
        return self._was.get(text, text)


def mapped(data: Any, change: typing.Callable[[str, str], str], name: str = "") -> Any:
    """A copy of nested values in which each text went through `change(field's name, text)`; keys of mappings too."""
    if type(data) is str:
        return change(name, data)
    if isinstance(data, enum.Enum) or data is None or isinstance(data, bool | int | float | bytes):
        return data
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        changed = {
            one.name: mapped(getattr(data, one.name), change, one.name) for one in dataclasses.fields(data) if one.init
        }
        return dataclasses.replace(data, **changed)
    if isinstance(data, Mapping):
        return {mapped(key, change, name): mapped(value, change, name) for key, value in data.items()}
    if isinstance(data, tuple | list | frozenset):
        return type(data)(mapped(item, change, name) for item in data)
    return data


MOST_DEPTH = 7
VOCABULARY: Mapping[str, Sequence[str]] = {
    "timezone": ["UTC", "Europe/Prague"],
    "zone": ["UTC", "Europe/Prague"],
    "mark": ["", "forward", "back"],
    "cursor": [""],
    "next_cursor": [""],
    "sums_cursor": [""],
    "nano": ["0", "1.5"],
    "bucket": ["hour", "day"],
    "subject": ["", "remedy:1:2"],
    "interval_kind": ["daily", "monthly"],
}
"""Texts of which the engine alone decides and by which a program goes: they are looked up, not only shown."""
LAST = frozenset(["next_before"])
"""Where the next page begins: there is none."""


class _AnyName(dict[str, Any]):
    """Has every member."""

    def __init__(self, inventor: "Inventor", kind: Any, items: Mapping[str, Any]) -> None:
        super().__init__(items)
        self._inventor = inventor
        self._kind = kind

    def __missing__(self, name: str) -> Any:
        return self._inventor.value(self._kind, name, MOST_DEPTH)


class Inventor:
    """Values of any type, made up from its annotations: all their texts are hostile."""

    def __init__(self, seed: int, attacks: Sequence[str]) -> None:
        self._draw = random.Random(seed)
        self._attacks = attacks
        self._made = 0

    def text(self, name: str = "") -> str:
        if name in VOCABULARY:
            return self._draw.choice(VOCABULARY[name])
        self._made += 1
        return f"{name[:6]}{self._made}{self._attacks[self._made % len(self._attacks)]}~"

    def value(self, kind: Any, name: str = "", depth: int = 0) -> Any:
        """One of what may stand under this annotation."""
        if name in LAST:
            return None
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.value(arguments[0], name, depth)
        if origin is Literal:
            return self._draw.choice(arguments)
        if origin in (typing.Union, types.UnionType):
            return self._one_of(arguments, name, depth)
        if origin in (tuple, list, frozenset, Sequence, Collection):
            return self._several(origin, arguments, name, depth)
        if origin in (dict, Mapping):
            items = {self.text("k"): self.value(arguments[1], name, depth + 1) for _ in range(2 * (depth < MOST_DEPTH))}
            return _AnyName(self, arguments[1], items)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return self._draw.choice(list(kind))
        if origin is not None and dataclasses.is_dataclass(origin):
            parameters = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=True))
            return self._record(origin, parameters, depth)
        if dataclasses.is_dataclass(kind):
            return self._record(kind, {}, depth)
        if kind in _SCALARS:
            return _SCALARS[kind](self._draw)
        return self.text(name)

    def _record(self, kind: Any, parameters: Mapping[Any, Any], depth: int) -> Any:
        """`parameters`: what stands for the type variables of a generic one."""
        hints = hints_of(kind)
        made: dict[str, Any] = {}
        for one in dataclasses.fields(kind):
            hint = hints[one.name]
            for variable, meant in parameters.items():
                if hint is variable or variable in get_args(hint):
                    hint = meant
            made[one.name] = self.value(hint, one.name, depth + 1)
        return kind(**made)

    def _one_of(self, kinds: Sequence[Any], name: str, depth: int) -> Any:
        if depth >= MOST_DEPTH and type(None) in kinds:
            return None
        if str in kinds and self._draw.random() < 0.7:
            return self.text(name)
        some = [kind for kind in kinds if kind is not type(None)]
        return (
            None
            if len(some) < len(kinds) and self._draw.random() < 0.2
            else self.value(self._draw.choice(some), name, depth)
        )

    def _several(self, origin: Any, arguments: Sequence[Any], name: str, depth: int) -> Any:
        if origin is tuple and arguments[-1] is not Ellipsis:
            return tuple(self.value(kind, name, depth + 1) for kind in arguments)
        items = [self.value(arguments[0], name, depth + 1) for _ in range(2 if depth < MOST_DEPTH else 0)]
        return {list: list, frozenset: frozenset}.get(origin, tuple)(items)


def _an_amount(draw: random.Random) -> int:
    return draw.choice([0, 1, 2, 37, 1_795_344_120_000])


_SCALARS: dict[Any, typing.Callable[[random.Random], Any]] = {
    int: _an_amount,
    float: lambda draw: draw.choice([0.0, 0.5, 1.0, 12.25]),
    bool: lambda draw: draw.random() < 0.5,
    type(None): lambda _: None,
}


@cache
def hints_of(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def answers() -> dict[type[Any], Any]:
    """What each question is answered with, as the face of the engine declares it."""
    told: dict[type[Any], Any] = {}
    for overload in get_overloads(Control.ask):
        hints = get_type_hints(overload)
        asked = hints["query"]
        for kind in get_args(asked) if get_origin(asked) in (typing.Union, types.UnionType) else [asked]:
            told[kind] = hints["return"]
    return told


class HostileControl(Control):
    """An engine of which nothing is known but the types of what it tells."""

    def __init__(self, inventor: Inventor, *, accepts: bool = True) -> None:
        self._inventor = inventor
        self._accepts = accepts
        self.asked: set[str] = set()

    @property
    def attached(self) -> bool:
        return True

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        made = self._inventor.value(Snapshot)
        assert isinstance(made, Snapshot)
        return made

    async def send(self, command: Command) -> CommandResult:
        self.asked.add(type(command).__name__)
        made: CommandResult = self._inventor.value(CommandResult)
        return dataclasses.replace(made, status="accepted" if self._accepts else "denied")

    async def answer(self, query: Query) -> Answer:
        self.asked.add(type(query).__name__)
        made: Answer = self._inventor.value(answers()[type(query)])
        return made

    async def close(self) -> None:
        pass
