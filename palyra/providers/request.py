"""Reading a caller's body: the fields that decide spending, and the facts estimates are made from."""

import hashlib
from dataclasses import replace
from typing import Any

from palyra.core.half_characters import LONE_SURROGATE
from palyra.core.values import value
from palyra.providers.embedding_input import read_embedding_input
from palyra.providers.prompt import PromptFacts, read_prompt
from palyra.providers.responses_input import read_responses_prompt
from palyra.providers.strict_json import MAX_DEPTH, RequestError, invalid, parse_object
from palyra.providers.wires import Wire

__all__ = ["MAX_DEPTH", "ParsedRequest", "RequestError", "parse_request"]

MAX_CHOICES = 128
MAX_MODEL_NAME = 256
MAX_TOKENS = 1_000_000_000
"""No model answers with more; a larger ceiling is a slip and would overflow what is summed from it."""

GOVERNED = {
    Wire.CHAT: frozenset(
        {
            "functions",
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "model",
            "n",
            "reasoning",
            "reasoning_effort",
            "response_format",
            "service_tier",
            "stream",
            "stream_options",
            "thinking",
            "tools",
            "web_search_options",
        }
    ),
    Wire.MESSAGES: frozenset(
        {
            "max_tokens",
            "mcp_servers",
            "messages",
            "model",
            "service_tier",
            "speed",
            "stream",
            "system",
            "thinking",
            "tools",
        }
    ),
    Wire.RESPONSES: frozenset(
        {
            "background",
            "conversation",
            "input",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "model",
            "previous_response_id",
            "prompt",
            "reasoning",
            "service_tier",
            "stream",
            "text",
            "tools",
        }
    ),
    Wire.EMBEDDINGS: frozenset({"input", "model", "stream"}),
}
"""Members that decide what a request may cost, per wire."""


@value
class ParsedRequest:
    """One request body and what the rules of spending need to know of it.

    `max_tokens` is the ceiling asked for per choice (None when absent) and `max_tokens_fields` the members that carry
    it; `include_usage` tells whether a chat caller asked for the usage chunk; `digest` is the body's SHA-256 in hex;
    `data` is the parsed body and must not be changed.
    """

    wire: Wire
    body: bytes
    data: dict[str, Any]
    model: str
    stream: bool
    include_usage: bool
    max_tokens: int | None
    max_tokens_fields: tuple[str, ...]
    choices: int
    service_tier: str | None
    prompt: PromptFacts
    digest: str


def parse_request(wire: Wire, body: bytes, *, max_depth: int = MAX_DEPTH, counting: bool = False) -> ParsedRequest:
    """Reads one body of this wire; `counting`: its prompt is only to be counted, so that it needs no ceiling.

    Raises RequestError naming the field and what to send instead.
    """
    data = parse_object(body, max_depth=max_depth)
    governed = GOVERNED[wire]
    for name in data:
        if name not in governed and (known := name.casefold()) in governed:
            invalid(
                name[:64], f"{name!r} differs from {known!r} only in case; some servers read both.", f"Send {known}."
            )
    model = data.get("model")
    if type(model) is not str or not 0 < len(model) <= MAX_MODEL_NAME or LONE_SURROGATE.search(model):
        invalid("model", "model must be the name of a model.", 'Send a name from /v1/models, or "auto".')
    service_tier = data.get("service_tier")
    if service_tier is not None and type(service_tier) is not str:
        invalid("service_tier", "service_tier must be a text.", "Leave it out, or send the name of a tier.")
    max_tokens, fields = _max_tokens(wire, data, counting=counting)
    choices, include_usage = _choices(data) if wire is Wire.CHAT else (1, False)
    return ParsedRequest(
        wire=wire,
        body=body,
        data=data,
        model=model,
        stream=_flag(data, "stream"),
        include_usage=include_usage,
        max_tokens=max_tokens,
        max_tokens_fields=fields,
        choices=choices,
        service_tier=service_tier,
        prompt=_prompt(wire, data),
        digest=hashlib.sha256(body).hexdigest(),
    )


def with_ceiling(parsed: ParsedRequest, most: int) -> ParsedRequest:
    """A chat request that named no ceiling, with one."""
    assert parsed.wire is Wire.CHAT
    assert not parsed.max_tokens_fields
    body = b'%s,"max_tokens":%d}' % (parsed.body.rstrip()[:-1], most)
    return replace(
        parsed,
        body=body,
        data={**parsed.data, "max_tokens": most},
        max_tokens=most,
        max_tokens_fields=("max_tokens",),
        digest=hashlib.sha256(body).hexdigest(),
    )


def _prompt(wire: Wire, data: dict[str, Any]) -> PromptFacts:
    if wire is Wire.EMBEDDINGS:
        return read_embedding_input(data).facts
    if wire is Wire.RESPONSES:
        return read_responses_prompt(data)
    return read_prompt(wire, data)


def _choices(data: dict[str, Any]) -> tuple[int, bool]:
    asked = _whole(data, "n", MAX_CHOICES)
    options = data.get("stream_options")
    if options is None:
        options = {}
    elif type(options) is not dict:
        invalid("stream_options", "stream_options must be an object.", "Leave it out, or send an object.")
    return (1 if asked is None else asked), _flag(options, "include_usage", "stream_options.")


def _flag(data: dict[str, Any], name: str, prefix: str = "") -> bool:
    value = data.get(name)
    if value is not None and type(value) is not bool:
        invalid(prefix + name, f"{prefix}{name} must be true or false.", "Send true or false without quotes.")
    return value is True


def _whole(data: dict[str, Any], name: str, most: int) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        invalid(name, f"{name} must be a whole number from 1 to {most}.", "Send such a number.")
    return value


def _max_tokens(wire: Wire, data: dict[str, Any], *, counting: bool) -> tuple[int | None, tuple[str, ...]]:
    if wire is Wire.EMBEDDINGS:
        return None, ()
    if wire is Wire.RESPONSES:
        most = _whole(data, "max_output_tokens", MAX_TOKENS)
        return most, (() if most is None else ("max_output_tokens",))
    value = _whole(data, "max_tokens", MAX_TOKENS)
    if wire is Wire.MESSAGES:
        if value is None and counting:
            return None, ()
        if value is None:
            invalid("max_tokens", "max_tokens is required on this wire.", "Send the most tokens the answer may have.")
        return value, ("max_tokens",)
    completion = _whole(data, "max_completion_tokens", MAX_TOKENS)
    if completion is None:
        return value, (() if value is None else ("max_tokens",))
    if value is None:
        return completion, ("max_completion_tokens",)
    if value != completion:
        invalid("max_tokens", "max_tokens and max_completion_tokens disagree.", "Send one of them.")
    return value, ("max_tokens", "max_completion_tokens")
