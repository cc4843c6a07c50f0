"""Streams as providers send them, one of every kind of event, made up here from the published shapes."""

import json
from typing import Any


def chat_event(choices: list[dict[str, Any]], **members: Any) -> bytes:
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "choices": choices,
        **members,
    }
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def delta(index: int = 0, finish: str | None = None, **members: Any) -> dict[str, Any]:
    return {"index": index, "delta": members, "logprobs": None, "finish_reason": finish}


def chat_usage(output: int, prompt: int = 12) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


DONE = b"data: [DONE]\n\n"

CHAT: list[tuple[bytes, int]] = [
    (chat_event([delta(role="assistant", content="", refusal=None)], usage=None), 0),
    (b": OPENROUTER PROCESSING\n\n", 0),
    (chat_event([delta(reasoning_content="Let me think")], usage=None), 12),
    (chat_event([delta(reasoning="twice", reasoning_content="twice")], usage=None), 5),
    (chat_event([delta(content="Žluť 𝕏")], usage=None, obfuscation="abc"), 11),
    (chat_event([delta(refusal="no")], usage=None), 2),
    (chat_event([delta(content=[{"type": "text", "text": "part"}])], usage=None), 4),
    (
        chat_event(
            [
                delta(
                    tool_calls=[
                        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                )
            ],
            usage=None,
        ),
        0,
    ),
    (chat_event([delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}])], usage=None), 5),
    (chat_event([delta(tool_calls=[{"index": 1, "custom": {"input": "1}"}}])], usage=None), 2),
    (chat_event([delta(function_call={"arguments": "{}"})], usage=None), 2),
    (chat_event([delta(audio={"id": "a", "transcript": "said", "data": "AAAA"})], usage=None), 4),
    (chat_event([delta(finish="tool_calls")], usage=None), 0),
    (chat_event([], usage=chat_usage(40)), 0),
    (DONE, 0),
]
"""Events of a chat stream with their visible bytes."""


def message_event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def block_start(index: int, **block: Any) -> bytes:
    return message_event("content_block_start", index=index, content_block=block)


def block_delta(index: int, **part: Any) -> bytes:
    return message_event("content_block_delta", index=index, delta=part)


def block_stop(index: int) -> bytes:
    return message_event("content_block_stop", index=index)


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {
        "input_tokens": 310,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 20,
        "output_tokens": 1,
        "service_tier": "standard",
    },
}

FOUND = {
    "type": "web_search_result",
    "url": "https://example.org",
    "title": "Found",
    "encrypted_content": "ZW5j",
    "page_age": "1 day",
}

MESSAGES: list[tuple[bytes, int]] = [
    (message_event("message_start", message=MESSAGE), 0),
    (block_start(0, type="thinking", thinking="", signature=""), 0),
    (message_event("ping"), 0),
    (block_delta(0, type="thinking_delta", thinking="Let me see. "), 12),
    (block_delta(0, type="signature_delta", signature="c2lnbmF0dXJl"), 0),
    (block_stop(0), 0),
    (block_start(1, type="redacted_thinking", data="ZW5jcnlwdGVk"), 0),
    (block_stop(1), 0),
    (block_start(2, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}), 0),
    (block_delta(2, type="input_json_delta", partial_json=""), 0),
    (block_delta(2, type="input_json_delta", partial_json='{"query": "ž'), 13),
    (block_delta(2, type="input_json_delta", partial_json='"}'), 2),
    (block_stop(2), 0),
    (block_start(3, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[FOUND]), 0),
    (block_stop(3), 0),
    (block_start(4, type="text", text=""), 0),
    (block_delta(4, type="text_delta", text="Žluť 𝕏"), 11),
    (block_delta(4, type="citations_delta", citation={"type": "web_search_result_location", "cited_text": "x"}), 0),
    (block_stop(4), 0),
    (block_start(5, type="tool_use", id="toolu_1", name="f", input={}), 0),
    (block_delta(5, type="input_json_delta", partial_json='{"a": 1}'), 8),
    (block_stop(5), 0),
    (
        message_event(
            "message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 89}
        ),
        0,
    ),
    (message_event("message_stop"), 0),
]
"""Events of a messages stream with their visible bytes."""
