"""A request on its way to another wire: what it becomes there, or the first thing that wire has no words for."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.providers.strict_json import finite, no_constant


class UncarriedError(BadInputError):
    """The other wire cannot say this. `field` is its path in the caller's body."""

    code = "capability_missing"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has no counterpart on the wire of the model.", fix="Leave it out.")
        self.field = field


@value
class Crossing:
    """A request in the words of another wire.

    `body` lacks only the model and the ceiling of the answer, which are the attempt's; `ceiling` is the member that
    carries the latter, empty where the provider says which. `dropped` names hints that were left behind without
    changing what is asked.
    """

    body: dict[str, Any]
    ceiling: str = ""
    dropped: tuple[str, ...] = ()

    def bytes_for(self, *, model: str, max_tokens: int | None, field: str) -> bytes:
        """The body for one model. `field` is what its provider calls the ceiling."""
        named: dict[str, Any] = {"model": model}
        if max_tokens is not None:
            named[self.ceiling or field or "max_tokens"] = max_tokens
        return written({**named, **self.body})


class Used(Protocol):
    """What an answer used, in tokens: cached ones are part of the input, reasoning is part of the output."""

    @property
    def input_total(self) -> int:
        """Tokens of the input, cached ones included."""
        ...

    @property
    def output_total(self) -> int:
        """Tokens of the output, reasoning included."""
        ...

    @property
    def cache_read(self) -> int:
        """Tokens of the input that were read from the cache."""
        ...

    @property
    def cache_write(self) -> int:
        """Tokens of the input that were written to the cache."""
        ...

    @property
    def reasoning(self) -> int:
        """Tokens of the output that were reasoning."""
        ...


def said(content: object) -> bool:
    """Whether a member says anything; absent, null and empty ones do not."""
    return content is not None and content != [] and content != {} and content != ""


class Members:
    """Which top-level members of a body may cross.

    `carried` have a place on the other wire, or none is needed; `neutral` members say nothing where they have one of
    these values; `hints` are dropped and noted. Any other that says something stops the crossing.
    """

    def __init__(
        self, carried: frozenset[str], neutral: Mapping[str, tuple[object, ...]], hints: frozenset[str]
    ) -> None:
        self._carried = carried
        self._neutral = neutral
        self._hints = hints

    def check(self, data: Mapping[str, Any]) -> list[str]:
        """The hints that are dropped. Raises UncarriedError naming the first member that cannot cross."""
        dropped = []
        for name, content in data.items():
            if name in self._carried or not said(content) or content in self._neutral.get(name, ()):
                continue
            if name not in self._hints:
                raise UncarriedError(name[:64])
            dropped.append(name)
        return dropped


CACHE_CONTROL = "cache_control"


def note_cache_mark(part: Mapping[str, Any], dropped: list[str]) -> None:
    """Notes that a cache hint of this part is dropped."""
    if CACHE_CONTROL in part and part[CACHE_CONTROL] is not None and CACHE_CONTROL not in dropped:
        dropped.append(CACHE_CONTROL)


def objects(content: object, path: str) -> list[dict[str, Any]]:
    """A list of objects; nothing where the member is absent. Raises UncarriedError."""
    if content is None:
        return []
    if type(content) is not list:
        raise UncarriedError(path)
    for index, item in enumerate(content):
        if type(item) is not dict:
            raise UncarriedError(f"{path}[{index}]")
    return content


def text_of(content: Mapping[str, Any], name: str, path: str) -> str:
    """A member that must be a text. Raises UncarriedError."""
    text = content.get(name)
    if type(text) is not str:
        raise UncarriedError(f"{path}.{name}")
    return text


SHOWN_BELOW = "The result is shown below."
"""Stands for the text of a tool's result that is nothing but images."""


def shown_by(call_id: str, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The images of a tool's result as parts of what a chat user says, with a word on whose they are."""
    return [{"type": "text", "text": f"Shown by tool call {call_id}:"}, *images] if images else []


def parsed_arguments(text: str) -> dict[str, Any] | None:
    """The arguments of a tool call; None where they are no JSON object. No text at all are no arguments."""
    if not text.strip():
        return {}
    try:
        arguments = json.loads(text, parse_constant=no_constant, parse_float=finite)
    except (ValueError, RecursionError):
        return None
    return arguments if type(arguments) is dict else None


compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def written(data: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8; a lone surrogate, which has no UTF-8 form, keeps the whole to escapes."""
    try:
        return compact(data).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode("ascii")
