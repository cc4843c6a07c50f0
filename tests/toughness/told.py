"""A tool as agents offer it, and answers of mock providers that call it many times at once: on each wire, whole and as
streams."""

import json
from collections.abc import Sequence
from typing import Any

from tests.support import responses
from tests.support.upstream import Reply, frame, openai_usage

Call = tuple[str, dict[str, Any]]
"""The id of a tool call and its arguments."""

TOOL = "read_file"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}},
    "required": ["path"],
}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": TOOL, "description": "Reads.", "parameters": SCHEMA}}]
MESSAGES_TOOLS: Any = [{"name": TOOL, "description": "Reads.", "input_schema": SCHEMA}]
RESPONSES_TOOLS: Any = [{"type": "function", "name": TOOL, "parameters": SCHEMA, "strict": False}]


def tool_calls(ref: int, count: int) -> list[Call]:
    return [(f"call_{ref}_{number}", {"path": f"src/módule_{number}.py", "lines": [1, 40]}) for number in range(count)]


def wants_tools(wants: dict[str, Any]) -> bool:
    """Whether a request offers tools and brings no result of one yet."""
    text = json.dumps([wants.get("messages"), wants.get("input")])
    brought = '"role": "tool"' in text or '"tool_result"' in text or '"function_call_output"' in text
    return bool(wants.get("tools")) and not brought


def most_tokens(wants: dict[str, Any]) -> int:
    """How long an answer may be."""
    named = (wants.get(name) for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"))
    return next((limit for limit in named if limit is not None), 1_000_000)


def tool_plain(path: str, wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> bytes:
    """A whole answer."""
    kind = path.rsplit("/", 1)[-1]
    return json.dumps(
        {"completions": _chat, "messages": _message, "responses": _response}[kind](wants, calls, reply)
    ).encode()


def tool_frames(path: str, wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> tuple[bytes, ...]:
    """The same as a stream."""
    kind = path.rsplit("/", 1)[-1]
    return tuple({"completions": _chunks, "messages": _events, "responses": _turns}[kind](wants, calls, reply))


def _function(call: Call) -> dict[str, Any]:
    return {"name": TOOL, "arguments": json.dumps(call[1])}


def _chat(wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> dict[str, Any]:
    asked = [{"id": call[0], "type": "function", "function": _function(call)} for call in calls]
    message = {"role": "assistant", "content": None, "tool_calls": asked}
    return {
        "id": "chatcmpl-2",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": wants["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": openai_usage(reply),
    }


def _chunks(wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> list[bytes]:
    head = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": wants["model"]}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return frame({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    told = [chunk({"role": "assistant", "content": "Looking."})]
    for index, call in enumerate(calls):
        function = {"name": TOOL, "arguments": ""}
        told.append(chunk({"tool_calls": [{"index": index, "id": call[0], "type": "function", "function": function}]}))
        told += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in _pieces(call[1])
        ]
    told.append(chunk({}, "tool_calls"))
    if (wants.get("stream_options") or {}).get("include_usage"):
        told.append(frame({**head, "choices": [], "usage": openai_usage(reply)}))
    return [*told, frame("[DONE]")]


def _message(wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> dict[str, Any]:
    return {
        "id": "msg_2",
        "type": "message",
        "role": "assistant",
        "model": wants["model"],
        "content": [{"type": "tool_use", "id": call[0], "name": TOOL, "input": call[1]} for call in calls],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens},
    }


def _events(wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> list[bytes]:
    begun = {**_message(wants, (), reply), "stop_reason": None}
    begun["usage"] = {"input_tokens": reply.input_tokens, "output_tokens": 1}
    told = [frame({"type": "message_start", "message": begun}, "message_start")]
    for index, (identity, arguments) in enumerate(calls):
        block = {"type": "tool_use", "id": identity, "name": TOOL, "input": {}}
        told.append(
            frame({"type": "content_block_start", "index": index, "content_block": block}, "content_block_start")
        )
        for piece in _pieces(arguments):
            delta = {"type": "input_json_delta", "partial_json": piece}
            told.append(frame({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta"))
        told.append(frame({"type": "content_block_stop", "index": index}, "content_block_stop"))
    ending = {"stop_reason": "tool_use", "stop_sequence": None}
    used = {"output_tokens": reply.output_tokens}
    told.append(frame({"type": "message_delta", "delta": ending, "usage": used}, "message_delta"))
    return [*told, frame({"type": "message_stop"}, "message_stop")]


def _item(number: int, call: Call, arguments: str | None = None) -> dict[str, Any]:
    told = json.dumps(call[1]) if arguments is None else arguments
    state = "completed" if arguments is None else "in_progress"
    return {
        "id": f"fc_{number}",
        "type": "function_call",
        "status": state,
        "call_id": call[0],
        "name": TOOL,
        "arguments": told,
    }


def _response(wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> dict[str, Any]:
    output = [_item(number, call) for number, call in enumerate(calls)]
    used = responses.usage(reply.input_tokens, reply.output_tokens)
    return responses.response(wants["model"], "completed", output=output, usage=used)


def _turns(wants: dict[str, Any], calls: Sequence[Call], reply: Reply) -> list[bytes]:
    told: list[tuple[str, dict[str, Any]]] = [("created", {"response": responses.response(wants["model"])})]
    for number, call in enumerate(calls):
        place = {"item_id": f"fc_{number}", "output_index": number}
        told.append(("output_item.added", {"output_index": number, "item": _item(number, call, "")}))
        told += [("function_call_arguments.delta", {**place, "delta": piece}) for piece in _pieces(call[1])]
        told.append(("function_call_arguments.done", {**place, "arguments": json.dumps(call[1])}))
        told.append(("output_item.done", {"output_index": number, "item": _item(number, call)}))
    told.append(("completed", {"response": _response(wants, calls, reply)}))
    return [
        responses.event(f"response.{kind}", sequence_number=number, **members)
        for number, (kind, members) in enumerate(told)
    ]


def _pieces(arguments: dict[str, Any]) -> list[str]:
    text = json.dumps(arguments)
    return [text[start : start + 9] for start in range(0, len(text), 9)]
