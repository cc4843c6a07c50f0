"""Whole answers in the other vendor's dialect."""

import json
from typing import Any

import pytest

from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.translate.table import translated_reply
from palyra.providers.wires import Wire
from tests.providers.translate.answers import AT, USED, Parts, request


def completion(message: dict[str, Any], finish: str | None = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "gpt", "choices": [choice]}


def to_message(message: dict[str, Any], finish: str | None = "stop", used: Parts = USED) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        translated_reply(request(Wire.MESSAGES), Wire.CHAT, completion(message, finish), used, AT)
    )
    return made


def to_completion(*content: dict[str, Any], reason: str = "end_turn", used: Parts = USED) -> dict[str, Any]:
    data = {"id": "msg_1", "type": "message", "model": "claude", "content": list(content), "stop_reason": reason}
    made: dict[str, Any] = json.loads(translated_reply(request(Wire.CHAT), Wire.MESSAGES, data, used, AT))
    return made


def call(identity: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_completion_as_a_message() -> None:
    assert to_message({"content": "héllo"}) == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "gpt",
        "content": [{"type": "text", "text": "héllo"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 300,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 600,
            "output_tokens": 250,
            "output_tokens_details": {"thinking_tokens": 40},
        },
    }


def test_a_message_as_a_completion() -> None:
    assert to_completion({"type": "text", "text": "hé"}, {"type": "text", "text": "llo"}) == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": AT // 1000,
        "model": "claude",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "héllo", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 1_000,
            "completion_tokens": 250,
            "total_tokens": 1_250,
            "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 40},
        },
    }


def test_parallel_calls_of_a_completion() -> None:
    calls = [call("call_1", "look", '{"at": "sky"}'), call("call_2", "wait", "")]
    made = to_message({"content": None, "tool_calls": calls}, "tool_calls")
    assert made["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "sky"}},
        {"type": "tool_use", "id": "call_2", "name": "wait", "input": {}},
    ]
    assert made["stop_reason"] == "tool_use"


def test_parallel_calls_of_a_message() -> None:
    made = to_completion(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "ské"}},
        {"type": "tool_use", "id": "toolu_2", "name": "wait", "input": {}},
        reason="tool_use",
    )
    (choice,) = made["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [call("toolu_1", "look", '{"at":"ské"}'), call("toolu_2", "wait", "{}")],
    }
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
        ("eos", "end_turn"),
        (None, "end_turn"),
    ],
)
def test_why_a_completion_ended(finish: str | None, reason: str) -> None:
    assert to_message({"content": "x"}, finish)["stop_reason"] == reason


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("novel", "stop"),
    ],
)
def test_why_a_message_ended(reason: str, finish: str) -> None:
    assert to_completion({"type": "text", "text": "x"}, reason=reason)["choices"][0]["finish_reason"] == finish


def test_a_provider_that_merely_stops_where_it_calls_a_tool() -> None:
    assert to_message({"tool_calls": [call("c", "f", "{}")]}, "stop")["stop_reason"] == "tool_use"


def test_other_shapes_of_what_is_said() -> None:
    assert to_message({"content": [{"type": "text", "text": "a"}, {"type": "image"}], "refusal": "b"})["content"] == [
        {"type": "text", "text": "ab"}
    ]
    assert to_message({"content": "", "reasoning_content": "hm"})["content"] == []
    assert to_completion()["choices"][0]["message"]["content"] == ""


def test_parts_nobody_used_are_not_told() -> None:
    assert "output_tokens_details" not in to_message({"content": "x"}, used=Parts(5, 1))["usage"]
    assert to_completion(used=Parts(5, 1))["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}


def test_a_call_that_was_cut_off_has_no_input() -> None:
    made = to_message({"tool_calls": [call("c", "f", '{"at": "s')]}, "length")
    assert (made["content"][0]["input"], made["stop_reason"]) == ({}, "max_tokens")


@pytest.mark.parametrize(
    "data",
    [
        {"choices": []},
        {"choices": ["x"]},
        {"choices": [{"index": 0}]},
        completion({"tool_calls": ["x"]}),
        completion({"tool_calls": [{"id": "c", "type": "custom"}]}),
        completion({"tool_calls": [call("c", "f", "{broken")]}),
        completion({"tool_calls": [call("c", "f", "[1]")]}),
    ],
)
def test_completions_that_make_no_sense(data: dict[str, Any]) -> None:
    with pytest.raises(ProviderError) as broken:
        translated_reply(request(Wire.MESSAGES), Wire.CHAT, data, USED, AT)
    assert broken.value.error_class is ErrorClass.MALFORMED_RESPONSE


def test_a_message_that_makes_no_sense() -> None:
    with pytest.raises(ProviderError, match="no message"):
        translated_reply(request(Wire.CHAT), Wire.MESSAGES, {"content": "text"}, USED, AT)


def test_a_response_of_a_message_and_of_a_completion() -> None:
    asked = request(Wire.RESPONSES, instructions="Be brief.", temperature=0.5, max_output_tokens=99)
    message = {
        "id": "a_1",
        "model": "any",
        "content": [
            {"type": "text", "text": "hé"},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "sky"}},
        ],
        "stop_reason": "tool_use",
    }
    chat = {
        "id": "a_1",
        "model": "any",
        "choices": [
            {"message": {"content": "hé", "tool_calls": [call("t1", "look", '{"at":"sky"}')]}, "finish_reason": "stop"}
        ],
    }
    made = json.loads(translated_reply(asked, Wire.MESSAGES, message, USED, AT))
    assert made == json.loads(translated_reply(asked, Wire.CHAT, chat, USED, AT))
    assert made == {
        "id": "a_1",
        "object": "response",
        "created_at": AT // 1000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "max_output_tokens": 99,
        "temperature": 0.5,
        "metadata": {},
        "model": "any",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": False,
        "output": [
            {
                "id": "msg_a_1_0",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "hé", "annotations": [], "logprobs": []}],
            },
            {
                "id": "fc_a_1_1",
                "type": "function_call",
                "status": "completed",
                "call_id": "t1",
                "name": "look",
                "arguments": '{"at":"sky"}',
            },
        ],
        "usage": {
            "input_tokens": 1_000,
            "input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
            "output_tokens": 250,
            "output_tokens_details": {"reasoning_tokens": 40},
            "total_tokens": 1_250,
        },
    }


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("end_turn", "completed", None),
        ("tool_use", "completed", None),
        ("max_tokens", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_complete_a_response_is(reason: str, status: str, details: dict[str, str] | None) -> None:
    message = {"content": [{"type": "text", "text": "x"}], "stop_reason": reason}
    made = json.loads(translated_reply(request(Wire.RESPONSES), Wire.MESSAGES, message, USED, AT))
    assert (made["status"], made["incomplete_details"]) == (status, details)
