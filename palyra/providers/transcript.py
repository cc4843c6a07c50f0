"""The words of a conversation, for people: what was asked and answered, without media, settings and vectors."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from palyra.providers.stream import stream_reader
from palyra.providers.wires import Wire

_TEXTS = frozenset({"text", "input_text", "output_text", "summary_text", "refusal", None})
"""Types of parts that are text and nothing else."""
_CALLS = frozenset({"tool_use", "server_tool_use", "function_call", "custom_tool_call", "mcp_tool_use"})
_UNSPOKEN = frozenset({"thinking", "redacted_thinking", "reasoning"})


def prompt_words(data: dict[str, Any]) -> str:
    """A request body of any wire as `role: words`, one turn below the other; media are named by their type."""
    turns: list[str] = []
    for name in ("instructions", "system"):
        if words := _words(data.get(name)):
            turns.append(f"system: {words}")
    asked = data.get("messages", data.get("input"))
    if isinstance(asked, str):
        turns.append(f"user: {asked}")
    elif isinstance(asked, list):
        turns += [words for one in asked if (words := _turn(one))]
    return "\n".join(turns)


def answer_words(body: bytes) -> str:
    """A whole answer of any wire; empty for vectors and for what is no answer."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(data, dict):
        return ""
    if isinstance(choices := data.get("choices"), list):
        told = [_message(choice.get("message")) for choice in choices if isinstance(choice, dict)]
        return "\n".join(words for words in told if words)
    return _words(data.get("content", data.get("output")))


def streamed_words(wire: Wire, stream: bytes) -> str:
    """An answer out of its events, as far as they came. Raises RecursionError, as the others, for one that nests deeper
    than is meant for people."""
    reader = stream_reader(wire)
    pieces: dict[int, list[str]] = {}
    for event in reader.feed(stream):
        if event.error is None and reader.content is not None:
            for index, piece in _pieces(reader.content):
                pieces.setdefault(index, []).append(piece)
    return "\n".join("".join(found) for _, found in sorted(pieces.items()))


def _pieces(content: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """The words of one event, each with the number of the choice or part they belong to."""
    choices = content.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict):
            yield _index(choice, "index"), _message(delta)
    match content.get("type"):
        case "content_block_start" if isinstance(block := content.get("content_block"), dict):
            opened = _called(block) or _part(block)
            yield _index(content, "index"), opened
        case "content_block_delta" if isinstance(delta := content.get("delta"), dict):
            words = delta.get("text", delta.get("partial_json"))
            yield _index(content, "index"), words if isinstance(words, str) else ""
        case "response.output_item.added" if isinstance(item := content.get("item"), dict):
            yield _index(content, "output_index"), _called(item)
        case "response.output_text.delta" | "response.refusal.delta" | "response.function_call_arguments.delta":
            words = content.get("delta")
            yield _index(content, "output_index"), words if isinstance(words, str) else ""


def _index(content: dict[str, Any], name: str) -> int:
    index = content.get(name)
    return index if isinstance(index, int) else 0


def _turn(one: object) -> str:
    """A message with its role, an item of the responses wire, or an input of which a vector is made."""
    if isinstance(one, str):
        return one
    if not isinstance(one, dict):
        return "[tokens]" if isinstance(one, list) else ""
    words = _message(one) if "role" in one else _part(one)
    return f"{one['role']}: {words}" if "role" in one else words


def _message(message: object) -> str:
    """The words of a message or of a piece of one, and the tools it calls."""
    if not isinstance(message, dict):
        return ""
    told = [_words(message.get("content")), _words(message.get("refusal"))]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            called = f"[calls {function['name']}] " if function.get("name") else ""
            told.append(f"{called}{_plain(function.get('arguments'))}")
    return "".join(told)


def _words(content: object) -> str:
    if isinstance(content, str):
        return content
    return _joined(_part(one) for one in content) if isinstance(content, list) else ""


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    kind = part.get("type")
    if not isinstance(kind, str | None):
        return ""
    if kind in _CALLS:
        return f"[calls {part.get('name')}] {_plain(part.get('input', part.get('arguments')))}"
    if kind in _UNSPOKEN:
        return ""
    if kind in _TEXTS:
        return _plain(part.get("text", part.get("refusal")))
    nested = part.get("content", part.get("output"))
    if nested is not None:
        return _words(nested)
    return f"[{kind}]"


def _called(part: dict[str, Any]) -> str:
    """What begins a call of a tool whose arguments follow; nothing for other parts."""
    kind = part.get("type")
    return f"[calls {part.get('name')}] " if isinstance(kind, str) and kind in _CALLS else ""


def _joined(words: Iterable[str]) -> str:
    return "\n".join(one for one in words if one)


def _plain(given: object) -> str:
    if isinstance(given, str):
        return given
    return "" if given is None else json.dumps(given, ensure_ascii=False)
