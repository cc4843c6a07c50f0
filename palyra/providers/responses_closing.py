"""The end that Palyra itself gives a stream of the responses wire where its budget ended."""

from collections.abc import Iterator
from typing import Any

from palyra.providers.sse import sse_event
from palyra.providers.stream import ResponsesReader


def incomplete_response(
    reader: ResponsesReader, *, input_tokens: int, output_tokens: int, fallback_id: str, model: str, at_ms: int
) -> bytes:
    """The response as far as it was passed on, as if its own token limit had been reached.

    Token counts are the meter's.
    `fallback_id`, `model` and `at_ms` (unix ms) stand in for what the stream has not told yet.
    """
    frames: list[bytes] = []
    sequence = reader.sequence
    begun = reader.response
    if begun is None:
        begun = new_response(fallback_id, model, at_ms)
        sequence += 1
        frames.append(response_event("response.created", begun, sequence))
    usage = responses_usage(input_tokens, output_tokens)
    ended = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "usage": usage}
    whole = {**begun, **ended, "output": list(_output(reader))}
    try:
        frames.append(response_event("response.incomplete", whole, sequence + 1))
    except RecursionError:
        # What nests as deeply as can just be read cannot be written: the response ends without it.
        bare = {**new_response(reader.id or fallback_id, reader.model or model, at_ms), **ended}
        frames.append(response_event("response.incomplete", bare, sequence + 1))
    return b"".join(frames)


def new_response(identity: str, model: str, at_ms: int) -> dict[str, Any]:
    """A response of which nothing is known yet."""
    return {
        "id": identity,
        "object": "response",
        "created_at": at_ms // 1000,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


def responses_usage(
    input_tokens: int, output_tokens: int, *, cached: int = 0, cache_write: int = 0, reasoning: int = 0
) -> dict[str, Any]:
    """Cached tokens are part of the input, those of reasoning part of the output."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": cache_write},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": input_tokens + output_tokens,
    }


def response_event(kind: str, response: dict[str, Any], sequence: int) -> bytes:
    """An event that carries the response as a whole."""
    return sse_event({"type": kind, "sequence_number": sequence, "response": response}, kind)


def _output(reader: ResponsesReader) -> Iterator[dict[str, Any]]:
    """The items that were begun; one that is not done has the texts it was given so far."""
    for index, item in sorted(reader.open_items.items()):
        yield item if index in reader.done_items else _cut(reader, index, item)


def _cut(reader: ResponsesReader, index: int, item: dict[str, Any]) -> dict[str, Any]:
    texts = {part[1:]: "".join(pieces) for part, pieces in sorted(reader.pieces.items()) if part[0] == index}
    cut = {**item, "status": "incomplete"}
    for (name, _), text in texts.items():
        if name == "response.output_text":
            cut["content"] = [*_list(cut, "content"), {"type": "output_text", "text": text, "annotations": []}]
        elif name == "response.refusal":
            cut["content"] = [*_list(cut, "content"), {"type": "refusal", "refusal": text}]
        elif name == "response.reasoning_text":
            cut["content"] = [*_list(cut, "content"), {"type": "reasoning_text", "text": text}]
        elif name == "response.reasoning_summary_text":
            cut["summary"] = [*_list(cut, "summary"), {"type": "summary_text", "text": text}]
        elif name == "response.function_call_arguments":
            cut["arguments"] = text
        elif name == "response.custom_tool_call_input":
            cut["input"] = text
    return cut


def _list(item: dict[str, Any], name: str) -> list[Any]:
    parts = item.get(name)
    return parts if type(parts) is list else []
