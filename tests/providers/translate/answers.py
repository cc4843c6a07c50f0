"""Answers of our own making: what was used, whole bodies and streams of both wires."""

import json
from collections.abc import Iterable
from typing import Any

from palyra.core.values import value
from palyra.providers.closing import DONE
from palyra.providers.request import ParsedRequest, parse_request
from palyra.providers.sse import sse_event
from palyra.providers.stream import StreamEvent, stream_reader
from palyra.providers.translate.table import passage
from palyra.providers.wires import Wire


@value
class Parts:
    """What an answer used."""

    input_total: int = 0
    output_total: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


USED = Parts(1_000, 250, cache_read=600, cache_write=100, reasoning=40)
AT = 1_790_000_000_123
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt"}
HELLO = [{"role": "user", "content": "hello"}]
REQUESTS: dict[Wire, dict[str, Any]] = {
    Wire.CHAT: {"messages": HELLO, "stream_options": {"include_usage": True}},
    Wire.MESSAGES: {"messages": HELLO, "max_tokens": 9},
    Wire.RESPONSES: {"input": HELLO},
}


def request(wire: Wire, **members: Any) -> ParsedRequest:
    body = {"model": "m", "stream": True, **REQUESTS[wire], **members}
    return parse_request(wire, json.dumps(body).encode())


def call(index: int, *, identity: str = "", name: str = "", arguments: str | None = None) -> dict[str, Any]:
    """What a chunk says of one tool call."""
    delta: dict[str, Any] = {"index": index, "function": {}}
    if identity:
        delta |= {"id": identity, "type": "function"}
        delta["function"]["name"] = name
    if arguments is not None:
        delta["function"]["arguments"] = arguments
    return delta


def chunk(*, finish: str | None = None, **delta: Any) -> bytes:
    return sse_event({**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def chunks(*deltas: bytes, usage: dict[str, Any] | None = None) -> bytes:
    """A whole chat stream."""
    ending = sse_event({**HEAD, "choices": [], "usage": usage or {"prompt_tokens": 1, "completion_tokens": 1}})
    return chunk(role="assistant", content="") + b"".join(deltas) + ending + DONE


def event(kind: str, **members: Any) -> bytes:
    return sse_event({"type": kind, **members}, kind)


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 310, "output_tokens": 1},
    },
)


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    """The events of one content block."""
    pieces = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    start = event("content_block_start", index=index, content_block=content)
    return b"".join([start, *pieces, event("content_block_stop", index=index)])


def said(index: int, *texts: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts))


def used_tool(index: int, identity: str, name: str, *arguments: str) -> bytes:
    deltas = ({"type": "input_json_delta", "partial_json": part} for part in arguments)
    return block(index, {"type": "tool_use", "id": identity, "name": name, "input": {}}, *deltas)


def message(*blocks: bytes, reason: str = "end_turn") -> bytes:
    """A whole stream of message events."""
    delta = {"stop_reason": reason, "stop_sequence": None}
    ending = event("message_delta", delta=delta, usage={"output_tokens": 57})
    return START + b"".join(blocks) + ending + event("message_stop")


def translated(parsed: ParsedRequest, upstream: Wire, data: Iterable[bytes], used: Parts = USED) -> list[StreamEvent]:
    """The events that the caller of `parsed` gets of a stream on the wire `upstream`."""
    way = passage(parsed, stream_reader(upstream, include_usage=True), upstream, lambda: used, AT)
    events = [one for piece in data for one in way.feed(piece)]
    return [*events, *way.end()]


def passed(events: Iterable[StreamEvent]) -> bytes:
    return b"".join(one.raw for one in events if not one.withheld)


def contents(data: bytes) -> list[dict[str, Any]]:
    """The JSON of each event."""
    lines = data.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ") and line != "data: [DONE]"]
