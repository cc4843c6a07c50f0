"""The mock provider's answers on the responses wire."""

import json
from collections.abc import Iterator
from typing import Any


def usage(input_tokens: int, output_tokens: int, cached: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }


def response(model: str, status: str = "in_progress", **members: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        **members,
    }


def message(text: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": [part]}


def events(model: str, pieces: tuple[str, ...], used: dict[str, Any] | None) -> Iterator[bytes]:
    """A stream of one message, event by event; the texts are the events from the sixth on."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    text = "".join(pieces)
    frames: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": response(model)}),
        ("in_progress", {"response": response(model)}),
        ("output_item.added", {"output_index": 0, "item": {**message(""), "status": "in_progress", "content": []}}),
        ("content_part.added", {**place, "part": part}),
        *(("output_text.delta", {**place, "delta": piece, "logprobs": []}) for piece in pieces),
        ("output_text.done", {**place, "text": text, "logprobs": []}),
        ("content_part.done", {**place, "part": {**part, "text": text}}),
        ("output_item.done", {"output_index": 0, "item": message(text)}),
        ("completed", {"response": response(model, "completed", output=[message(text)], usage=used)}),
    ]
    for number, (kind, members) in enumerate(frames):
        yield event(f"response.{kind}", sequence_number=number, **members)


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()
