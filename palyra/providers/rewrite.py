"""Changing single members of a body that otherwise keeps its bytes."""

import json
from collections.abc import Mapping
from typing import Any

from palyra.providers.request import ParsedRequest
from palyra.providers.wires import Wire

_scan_value = json.JSONDecoder().raw_decode
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_SPACE = " \t\n\r"


def rewrite_members(body: bytes, changes: Mapping[str, object]) -> bytes:
    """`body` with these top-level members set; every byte outside them stays.

    `body` must be a JSON object. Members that are absent are appended before its closing brace.
    """
    if not changes:
        return body
    text = body.decode("utf-8")
    spans, end = _spans(text)
    missing = [name for name in changes if name not in spans]
    pieces: list[str] = []
    done = 0
    for start, stop, name in sorted((*spans[name], name) for name in changes if name in spans):
        pieces += text[done:start], _written(changes[name])
        done = stop
    if missing:
        pieces.append(text[done:end])
        done = end
        added = ",".join(f"{_compact(name)}:{_written(changes[name])}" for name in missing)
        pieces += "," if spans else "", added
    pieces.append(text[done:])
    return "".join(pieces).encode("utf-8")


def without_member(body: bytes, name: str) -> bytes:
    """`body`, a JSON object, without this top-level member; every other byte stays but a comma beside it."""
    text = body.decode("utf-8")
    spans, _ = _spans(text)
    if name not in spans:
        return body
    start, stop = spans[name]
    before = max((end for _, end in spans.values() if end <= start), default=None)
    if before is not None:
        return (text[:before] + text[stop:]).encode("utf-8")
    following = _skip(text, stop)
    after = following + 1 if text[following] == "," else following
    return (text[: text.index("{") + 1] + text[after:]).encode("utf-8")


def upstream_body(request: ParsedRequest, *, model: str, max_tokens: int | None = None, field: str = "") -> bytes:
    """The caller's bytes with only what must change for this provider.

    `model` is the provider's own name for the model; `max_tokens` a ceiling to send instead of the caller's, in the
    members the caller used, or in the wire's own or `field` where it used none. A chat stream is always asked for its
    usage.
    """
    changes: dict[str, object] = {}
    if model != request.model:
        changes["model"] = model
    if max_tokens is not None and max_tokens != request.max_tokens:
        unsaid = "max_output_tokens" if request.wire is Wire.RESPONSES else field or "max_tokens"
        for name in request.max_tokens_fields or (unsaid,):
            changes[name] = max_tokens
        changes |= _less_thought(request, max_tokens)
    if request.wire is Wire.CHAT and request.stream and not request.include_usage:
        options: dict[str, Any] = request.data.get("stream_options") or {}
        changes["stream_options"] = {**options, "include_usage": True}
    return rewrite_members(request.body, changes)


LEAST_THINKING = 1_024
"""Tokens below which a provider takes no budget for thinking."""


def _less_thought(request: ParsedRequest, max_tokens: int) -> dict[str, object]:
    """What becomes of a budget for thinking that an answer's lowered ceiling has no room for: providers refuse one."""
    thinking: Any = request.data.get("thinking")
    budget = thinking.get("budget_tokens") if type(thinking) is dict else None
    if type(budget) is not int or request.max_tokens is None or not max_tokens <= budget < request.max_tokens:
        return {}
    if max_tokens <= LEAST_THINKING:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {**thinking, "budget_tokens": max_tokens - 1}}


def _written(value: object) -> str:
    text = _compact(value)
    # A lone surrogate has no UTF-8 form, so such a value keeps to escapes.
    return text if text.isascii() or _encodable(text) else json.dumps(value, separators=(",", ":"))


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _spans(text: str) -> tuple[dict[str, tuple[int, int]], int]:
    """Where each top-level member's value lies, and the position of the closing brace."""
    spans: dict[str, tuple[int, int]] = {}
    position = _skip(text, 0)
    if text[position : position + 1] != "{":
        raise ValueError("the body is no JSON object")
    position = _skip(text, position + 1)
    while text[position] != "}":
        name, position = _scan_value(text, position)
        start = _skip(text, _skip(text, position) + 1)
        _, stop = _scan_value(text, start)
        spans[name] = (start, stop)
        position = _skip(text, stop)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return spans, position


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
