"""What becomes of a chat request where the model speaks Anthropic messages."""

import json
from typing import Any

import pytest

from palyra.providers.translate.chat_request import messages_of_chat
from palyra.providers.translate.crossing import UncarriedError

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
PNG = "iVBORw0KGgo="
LOOK = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {}}}}


def call(identity: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def body(*messages: Any, **members: Any) -> dict[str, Any]:
    return messages_of_chat({"model": "m", "messages": list(messages) or HELLO, **members}).body


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        ({"temperature": 0.3}, {"temperature": 0.3}),
        ({"temperature": 1.7}, {"temperature": 1}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}),
        ({"user": "u-1", "safety_identifier": "s-1"}, {"metadata": {"user_id": "s-1"}}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"max_tokens": 9, "metadata": {"a": "b"}, "store": False}, {}),
        ({"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "seed": None}, {}),
        ({"frequency_penalty": 0, "presence_penalty": 0.0, "modalities": ["text"]}, {}),
        ({"response_format": {"type": "text"}, "reasoning_effort": "none", "verbosity": "medium"}, {}),
        ({"tools": [], "tool_choice": "auto", "functions": [], "function_call": "none"}, {}),
    ],
)
def test_members_and_their_counterparts(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(**given) == {"messages": HELLO, **expected}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": {"type": "function", "function": {"name": "look"}}}, {"type": "tool", "name": "look"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_tools_and_the_choice_among_them(given: dict[str, Any], expected: dict[str, Any] | None) -> None:
    tools = [{"type": "function", "function": LOOK}, {"type": "function", "function": {"name": "wait", "strict": True}}]
    made = body(tools=tools, **given)
    assert made["tools"] == [
        {"name": "look", "description": "Looks.", "input_schema": LOOK["parameters"]},
        {"name": "wait", "input_schema": {"type": "object", "properties": {}}, "strict": True},
    ]
    assert made.get("tool_choice") == expected


def test_instructions_are_joined_wherever_they_stand() -> None:
    made = body(
        {"role": "system", "content": "One."},
        *HELLO,
        {"role": "developer", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": "Three."}]},
        {"role": "assistant", "content": "hi"},
        *HELLO,
    )
    assert made["system"] == "One.\n\nTwo.\n\nThree."
    assert made["messages"] == [*HELLO, {"role": "assistant", "content": "hi"}, *HELLO]


def test_what_a_tool_shows_is_shown_in_its_result() -> None:
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    made = body(
        *HELLO,
        {"role": "assistant", "tool_calls": [call("call_1", "look", "{}")]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a chart"}, shown]},
    )
    assert made["messages"][-1]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "call_1",
            "content": [{"type": "text", "text": "a chart"}, {"type": "image", "source": source}],
        }
    ]


def test_parallel_calls_and_their_results_are_one_turn_each() -> None:
    made = body(
        *HELLO,
        {
            "role": "assistant",
            "content": "Looking.",
            "refusal": None,
            "annotations": [],
            "tool_calls": [call("call_1", "look", '{"at": "sky"}'), call("functions.wait:1", "wait", "")],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "blue"},
        {
            "role": "tool",
            "tool_call_id": "functions.wait:1",
            "content": [{"type": "text", "text": "done"}],
            "name": "w",
        },
        {"role": "user", "content": "so?"},
    )
    assert made["messages"] == [
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "sky"}},
                {"type": "tool_use", "id": "functions_wait_1", "name": "wait", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "blue"},
                {"type": "tool_result", "tool_use_id": "functions_wait_1", "content": "done"},
                {"type": "text", "text": "so?"},
            ],
        },
    ]


def test_neighbours_of_one_role_are_one_turn_and_nothing_empty_is_said() -> None:
    made = body(
        {"role": "user", "content": "a"},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": ""}]},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
        *HELLO,
    )
    assert made["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "No."}, {"type": "text", "text": "Never."}]},
        *HELLO,
    ]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        (f"data:image/png;base64,{PNG}", {"type": "base64", "media_type": "image/png", "data": PNG}),
        (f"DATA:image/JPEG;name=x.jpg;base64,{PNG}", {"type": "base64", "media_type": "image/jpeg", "data": PNG}),
        ("https://example.org/a.png", {"type": "url", "url": "https://example.org/a.png"}),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_images(url: str, source: dict[str, Any], wrapped: bool) -> None:
    part = {"type": "image_url", "image_url": {"url": url, "detail": "low"} if wrapped else url}
    made = body({"role": "user", "content": [{"type": "text", "text": "what?"}, part]})
    assert made["messages"][0]["content"][1] == {"type": "image", "source": source}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"seed": 0}, "seed"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"functions": [LOOK]}, "functions"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"store": True}, "store"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"top_k": 5}, "top_k"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"user": "u" * 257}, "user"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": "x", "parameters": 1}}]}, "tools[0].function.parameters"),
        ({"tools": "look"}, "tools"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
    ],
)
def test_members_that_stop_the_crossing(given: dict[str, Any], field: str) -> None:
    with pytest.raises(UncarriedError) as stopped:
        body(**given)
    assert stopped.value.field == field
    assert field in str(stopped.value)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "messages[1].content[0]"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://example.org/a.png"}}]},
            "messages[1].content[0].image_url",
        ),
        ({"role": "user", "content": "x", "name": "bea"}, "messages[1].name"),
        ({"role": "user", "content": ["x"]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"type": "text", "text": 5}]}, "messages[1].content[0].text"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[1].role"),
        ({"role": "assistant", "content": "x", "reasoning_content": "hm"}, "messages[1].reasoning_content"),
        ({"role": "assistant", "audio": {"id": "a"}}, "messages[1].audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "messages[1].function_call"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}, "messages[1].tool_calls[0]"),
        (
            {"role": "assistant", "tool_calls": [call("c", "f", "{broken")]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            {"role": "assistant", "tool_calls": [call("c", "f", '{"x": NaN}')]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
    ],
)
def test_messages_that_stop_the_crossing(message: dict[str, Any], path: str) -> None:
    with pytest.raises(UncarriedError) as stopped:
        body(*HELLO, message)
    assert stopped.value.field == path


def test_an_answer_does_not_go_on_with_what_the_assistant_said_last() -> None:
    with pytest.raises(UncarriedError) as stopped:
        body(*HELLO, {"role": "assistant", "content": "hi"}, {"role": "system", "content": "Be brief."})
    assert stopped.value.field == "messages[2]"


def test_a_conversation_of_instructions_alone_is_none_there() -> None:
    with pytest.raises(UncarriedError, match="messages"):
        body({"role": "system", "content": "Be brief."})


def test_hints_are_left_behind_and_named() -> None:
    marked = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}
    crossing = messages_of_chat(
        {
            "model": "m",
            "messages": [{"role": "system", "content": [marked]}, {"role": "user", "content": [marked]}],
            "prompt_cache_key": "k",
        }
    )
    assert crossing.dropped == ("prompt_cache_key", "cache_control")
    assert "cache" not in json.dumps(crossing.body)


def test_the_body_for_a_model_names_it_and_its_ceiling() -> None:
    crossing = messages_of_chat({"model": "public", "messages": [{"role": "user", "content": "hé\ud800"}]})
    made = json.loads(crossing.bytes_for(model="claude", max_tokens=77, field="max_completion_tokens"))
    assert made == {"model": "claude", "max_tokens": 77, "messages": [{"role": "user", "content": "hé\ud800"}]}
