"""The wires: where they live, what each is for, what may pass with a request, and how lists and errors look on them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from palyra.config.choices import ProviderModelRole
from palyra.core.values import value

ANTHROPIC_VERSION = "2023-06-01"
"""Sent upstream when the caller names no `anthropic-version`."""

PASSED_HEADERS = ("content-type", "accept", "openai-beta", "anthropic-version", "anthropic-beta")
"""The only request headers that travel from a caller to a provider."""


class Wire(StrEnum):
    """A dialect of HTTP bodies. The value is what the journal stores."""

    CHAT = "chat"
    """OpenAI chat completions."""
    MESSAGES = "messages"
    """Anthropic messages."""
    RESPONSES = "responses"
    """OpenAI responses."""
    EMBEDDINGS = "embeddings"
    """OpenAI embeddings. Never streamed, and without output."""


GATEWAY_PATHS: Mapping[Wire, str] = {
    Wire.CHAT: "/v1/chat/completions",
    Wire.MESSAGES: "/v1/messages",
    Wire.RESPONSES: "/v1/responses",
    Wire.EMBEDDINGS: "/v1/embeddings",
}
"""Where callers find each wire at the gateway."""

UPSTREAM_PATHS: Mapping[Wire, str] = {
    Wire.CHAT: "/chat/completions",
    Wire.MESSAGES: "/v1/messages",
    Wire.RESPONSES: "/responses",
    Wire.EMBEDDINGS: "/embeddings",
}
"""What is appended to a provider's base address (an OpenAI-compatible one includes `/v1` already)."""


COUNTING_PATH = "/v1/messages/count_tokens"
"""Where prompts of the messages wire are counted, at the gateway and at providers."""


@value
class UsageNames:
    """Members of a wire's usage object: those whose sum is the input, and the output (None: there is none)."""

    inputs: tuple[str, ...]
    output: str | None


USAGE_NAMES: Mapping[Wire, UsageNames] = {
    Wire.CHAT: UsageNames(("prompt_tokens",), "completion_tokens"),
    Wire.MESSAGES: UsageNames(
        ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"), "output_tokens"
    ),
    Wire.RESPONSES: UsageNames(("input_tokens",), "output_tokens"),
    Wire.EMBEDDINGS: UsageNames(("prompt_tokens",), None),
}


def role_of(wire: Wire) -> ProviderModelRole:
    """What a model must be for to serve this wire."""
    return ProviderModelRole.EMBEDDINGS if wire is Wire.EMBEDDINGS else ProviderModelRole.CHAT


_COMPLETED: Mapping[str, str] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}


def completed_reason(finish: str | None) -> str:
    """A provider's finish reason as one of stop, length, tool_calls, content_filter; an unknown one counts as stop."""
    return _COMPLETED.get(finish or "stop", "stop")


def passed_headers(headers: Mapping[str, str], wire: Wire) -> dict[str, str]:
    """The caller's headers that go upstream, with the wire's defaults.

    `headers` must find lower-case names, as aiohttp's case-insensitive mappings do.
    """
    passed = {name: value for name in PASSED_HEADERS if (value := headers.get(name)) is not None}
    passed.setdefault("content-type", "application/json")
    if wire is Wire.MESSAGES:
        passed.setdefault("anthropic-version", ANTHROPIC_VERSION)
    return passed


NO_STREAMS = frozenset({"application/json", "application/xml", "text/html", "text/xml"})


def no_stream(headers: Mapping[str, str]) -> bool:
    """Whether an answer says of itself that it is whole. One that says nothing, or something else, may be a stream."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() in NO_STREAMS


SPEAK_OF_THE_WIRE = ("openai-", "anthropic-")
"""How headers begin that mean something on one wire alone."""


def crossing_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers that still mean something to a provider that speaks another wire."""
    return {name: text for name, text in headers.items() if not name.startswith(SPEAK_OF_THE_WIRE)}


@value
class ListedModel:
    """A model as callers see it in a listing: its public id and the provider that serves it. `max_context` and
    `max_output` are tokens, None where nobody knows."""

    id: str
    owned_by: str
    max_context: int | None = None
    max_output: int | None = None


def model_body(wire: Wire, model: ListedModel) -> dict[str, Any]:
    """One entry of a model listing. Nobody tells us when a model was made, so both dialects get the epoch."""
    if wire is Wire.MESSAGES:
        return {
            "type": "model",
            "id": model.id,
            "display_name": model.id,
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": model.max_context,
            "max_tokens": model.max_output,
        }
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.owned_by}


def models_body(wire: Wire, models: Sequence[ListedModel], *, more: bool = False) -> dict[str, Any]:
    """A listing, or on the wire that has pages one of them; `more`: others follow."""
    data = [model_body(wire, model) for model in models]
    if wire is Wire.MESSAGES:
        return {
            "data": data,
            "has_more": more,
            "first_id": models[0].id if models else None,
            "last_id": models[-1].id if models else None,
        }
    return {"object": "list", "data": data}


def error_body(
    wire: Wire,
    error_type: str,
    code: str,
    message: str,
    request_id: str | None = None,
    palyra: Mapping[str, Any] | None = None,
    *,
    param: str | None = None,
) -> dict[str, Any]:
    """An error in the caller's dialect. `request_id` is the run's id; both dialects carry the same `palyra` object."""
    if wire is Wire.MESSAGES:
        error: dict[str, Any] = {"type": error_type, "code": code, "message": message}
        body: dict[str, Any] = {"type": "error", "request_id": request_id, "error": error}
    else:
        error = {"type": error_type, "code": code, "param": param, "message": message}
        body = {"error": error}
    if palyra:
        error["palyra"] = dict(palyra)
    return body
