"""The only bytes Palyra itself writes into a stream: parking comments, the clean end of a cut, an error event."""

from collections.abc import Mapping
from typing import Any

from palyra.providers.responses_closing import incomplete_response
from palyra.providers.sse import sse_event
from palyra.providers.stream import AnswerReader, ChatReader, ResponsesReader
from palyra.providers.wires import Wire

DONE = b"data: [DONE]\n\n"


def parking_comment(approval_id: str) -> bytes:
    """What a waiting stream is kept alive with; clients skip it."""
    return f": palyra parked approval={approval_id}\n\n".encode()


def error_event(wire: Wire, body: Mapping[str, Any]) -> bytes:
    """The end of a stream that failed; `body` is an error body of the same wire."""
    if wire is Wire.CHAT:
        return sse_event(body) + DONE
    if wire is Wire.RESPONSES:
        error = body["error"]
        named = {name: error.get(name) for name in ("code", "message", "param")}
        return sse_event({"type": "error", **named, **body}, "error")
    return sse_event(body, "error")


def budget_cut(
    reader: AnswerReader,
    *,
    input_tokens: int,
    output_tokens: int,
    include_usage: bool,
    fallback_id: str,
    model: str,
    at_ms: int,
) -> bytes:
    """The events that end an answer where its budget ended, as if its own token limit had been reached.

    Token counts are the meter's. `fallback_id`, `model` and `at_ms` (unix ms) stand in for what the stream itself has
    not told yet. The usage chunk of a chat stream is written only where the caller asked (`include_usage`).
    """
    if isinstance(reader, ResponsesReader):
        return incomplete_response(
            reader,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            fallback_id=fallback_id,
            model=model,
            at_ms=at_ms,
        )
    if isinstance(reader, ChatReader):
        head = {
            "id": reader.id or fallback_id,
            "object": "chat.completion.chunk",
            "created": at_ms // 1000 if reader.created is None else reader.created,
            "model": reader.model or model,
        }
        frames = [
            sse_event({**head, "choices": [{"index": index, "delta": {}, "finish_reason": "length"}]})
            for index in reader.open_choices
        ]
        if include_usage:
            usage = {
                "prompt_tokens": input_tokens,
                "completion_tokens": output_tokens,
                "total_tokens": input_tokens + output_tokens,
            }
            frames.append(sse_event({**head, "choices": [], "usage": usage}))
        return b"".join(frames) + DONE
    frames = []
    if not reader.started:
        frames.append(_message_start(fallback_id, model, input_tokens))
    frames += [
        sse_event({"type": "content_block_stop", "index": index}, "content_block_stop") for index in reader.open_blocks
    ]
    stop = {"stop_reason": "max_tokens", "stop_sequence": None}
    frames.append(
        sse_event({"type": "message_delta", "delta": stop, "usage": {"output_tokens": output_tokens}}, "message_delta")
    )
    frames.append(sse_event({"type": "message_stop"}, "message_stop"))
    return b"".join(frames)


def _message_start(identity: str, model: str, input_tokens: int) -> bytes:
    message: dict[str, Any] = {
        "id": identity,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": input_tokens, "output_tokens": 0},
    }
    return sse_event({"type": "message_start", "message": message}, "message_start")
