"""The response object of the responses wire, and the items of its output, made for answers of other wires."""

from collections.abc import Sequence
from typing import Any

from palyra.providers.request import ParsedRequest
from palyra.providers.responses_closing import new_response, responses_usage
from palyra.providers.translate.crossing import Used

_REPEATED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "user",
)
"""What a response repeats of its request."""

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def begun_response(asked: ParsedRequest, identity: str, model: str, at_ms: int) -> dict[str, Any]:
    """A response that has said nothing yet. Nobody keeps it, so nothing can go on from it."""
    repeated = {name: asked.data[name] for name in _REPEATED if asked.data.get(name) is not None}
    return {**new_response(identity, model, at_ms), **repeated, "store": False}


def ended_response(
    asked: ParsedRequest,
    identity: str,
    model: str,
    at_ms: int,
    items: Sequence[dict[str, Any]],
    finish: str,
    used: Used,
) -> dict[str, Any]:
    """A response that is complete, or as complete as its `finish` (of a chat completion) lets it be."""
    reason = _INCOMPLETE.get(finish)
    usage = responses_usage(
        used.input_total,
        used.output_total,
        cached=used.cache_read,
        cache_write=used.cache_write,
        reasoning=used.reasoning,
    )
    return {
        **begun_response(asked, identity, model, at_ms),
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": list(items),
        "usage": usage,
    }


def text_part(text: str) -> dict[str, Any]:
    """A part of an answer that is text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(identity: str, place: int, text: str) -> dict[str, Any]:
    """What is said, as the item at this place of the output."""
    return {
        "id": f"msg_{identity}_{place}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [text_part(text)],
    }


def call_item(identity: str, place: int, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A tool call, as the item at this place of the output."""
    return {
        "id": f"fc_{identity}_{place}",
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }
