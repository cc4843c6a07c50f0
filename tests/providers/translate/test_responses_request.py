"""What becomes of a request of the responses wire where the model speaks chat or messages."""

import json
from typing import Any

import pytest

from palyra.providers.translate.crossing import UncarriedError
from palyra.providers.translate.responses_request import chat_of_responses, messages_of_responses

PNG = "data:image/png;base64,iVBORw0KGgo="
SHOWN: dict[str, Any] = {"type": "input_image", "image_url": PNG}
SCHEMA = {"type": "object", "properties": {"at": {}}}
TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": True}
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def body(given: object = "hello", **members: Any) -> dict[str, Any]:
    return chat_of_responses({"model": "m", "input": given, **members}).body


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"temperature": 0.3, "top_p": 0.9, "user": "u"}, {"temperature": 0.3, "top_p": 0.9, "user": "u"}),
        ({"service_tier": "flex", "safety_identifier": "s"}, {"service_tier": "flex", "safety_identifier": "s"}),
        (
            {"store": True, "metadata": {"a": "b"}, "max_tool_calls": 3, "background": False, "truncation": "disabled"},
            {},
        ),
        ({"include": ["reasoning.encrypted_content"], "reasoning": {"effort": None, "summary": "auto"}}, {}),
        ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "description": None}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
        ),
        ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
    ],
)
def test_members_and_their_counterparts(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(**given) == {"messages": HELLO, **expected}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        ({"type": "function", "name": "look"}, {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_tools_and_the_choice_among_them(choice: object, expected: object) -> None:
    made = body(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
    function = {"name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": True}
    assert made["tools"] == [{"type": "function", "function": function}]
    assert (made["tool_choice"], made["parallel_tool_calls"]) == (expected, False)


CONVERSATION: list[Any] = [
    {"role": "developer", "content": [{"type": "input_text", "text": "One."}, {"type": "input_text", "text": "Two."}]},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look."},
            {"type": "input_image", "image_url": PNG, "detail": "low"},
            {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"},
        ],
    },
    {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "Loo", "annotations": []},
            {"type": "output_text", "text": "king."},
        ],
    },
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": '{"at":"sky"}'},
    {"type": "function_call", "call_id": "c2", "name": "wait", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "blue"},
    {
        "type": "function_call_output",
        "call_id": "c2",
        "output": [{"type": "input_text", "text": "too"}, {"type": "input_text", "text": "late"}],
    },
    {"type": "function_call", "call_id": "c3", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c3", "output": "grey"},
]


def call(identity: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_conversation_as_chat() -> None:
    assert body(CONVERSATION, instructions="Zero.")["messages"] == [
        {"role": "system", "content": "Zero."},
        {"role": "developer", "content": "One.\nTwo."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [call("c1", "look", '{"at":"sky"}'), call("c2", "wait", "{}")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "blue"},
        {"role": "tool", "tool_call_id": "c2", "content": "too\nlate"},
        {"role": "assistant", "content": None, "tool_calls": [call("c3", "look", "{}")]},
        {"role": "tool", "tool_call_id": "c3", "content": "grey"},
    ]


def test_what_tools_show_is_shown_after_all_their_results() -> None:
    def given(*after: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "wait", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": [SHOWN]},
            {"type": "function_call_output", "call_id": "c2", "output": "12"},
            *after,
        ]

    label = {"type": "text", "text": "Shown by tool call c1:"}
    shown = {"role": "user", "content": [label, {"type": "image_url", "image_url": {"url": PNG}}]}
    results = [
        {"role": "tool", "tool_call_id": "c1", "content": "The result is shown below."},
        {"role": "tool", "tool_call_id": "c2", "content": "12"},
    ]
    assert body(given())["messages"][1:] == [*results, shown]
    so = {"role": "user", "content": "so?"}
    assert body(given(so))["messages"][1:] == [*results, shown, so]
    turn = messages_of_responses({"model": "m", "input": given(so)}).body["messages"][-1]
    assert [one["type"] for one in turn["content"]] == ["tool_result", "tool_result", "text", "image", "text"]


def test_a_conversation_as_messages() -> None:
    crossing = messages_of_responses(
        {"model": "m", "input": CONVERSATION, "instructions": "Zero.", "stream": True, "tools": [TOOL]}
    )
    assert crossing.ceiling == "max_tokens"
    assert crossing.body["system"] == "Zero.\n\nOne.\nTwo."
    assert "stream_options" not in crossing.body
    turns = [(turn["role"], [block["type"] for block in turn["content"]]) for turn in crossing.body["messages"]]
    assert turns == [
        ("user", ["text", "image", "image"]),
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
    ]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"instructions": [{"role": "user"}]}, "instructions"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
        ({"text": "json"}, "text"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"text": {"stop": ["x"]}}, "text.stop"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, "tool_choice"),
    ],
)
def test_members_that_stop_the_crossing(members: dict[str, Any], field: str) -> None:
    with pytest.raises(UncarriedError) as stopped:
        body(**members)
    assert stopped.value.field == field


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"type": "reasoning", "summary": []}, "input[0]"),
        ({"type": "item_reference", "id": "i"}, "input[0]"),
        ({"type": "web_search_call", "id": "i"}, "input[0]"),
        ({"role": "critic", "content": "x"}, "input[0].role"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content[0].image_url"),
        ({"role": "system", "content": [{"type": "input_image", "image_url": PNG}]}, "input[0].content[0]"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        (
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]},
            "input[0].output[0].image_url",
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": [SHOWN, {"type": "input_file"}]},
            "input[0].output[1]",
        ),
    ],
)
def test_items_that_stop_the_crossing(item: dict[str, Any], field: str) -> None:
    with pytest.raises(UncarriedError) as stopped:
        body([item])
    assert stopped.value.field == field


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x.org"}]}]}, "input"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{no"}]}, "input"),
    ],
)
def test_what_only_messages_cannot_say_is_named_as_the_caller_wrote_it(members: dict[str, Any], field: str) -> None:
    data = {"model": "m", "input": "hello", **members}
    chat_of_responses(data)
    with pytest.raises(UncarriedError) as stopped:
        messages_of_responses(data)
    assert stopped.value.field == field


def test_hints_are_left_behind_and_named() -> None:
    marked = {"type": "input_text", "text": "hello", "cache_control": {"type": "ephemeral"}}
    data = {"model": "m", "input": [{"role": "user", "content": [marked]}], "prompt_cache_key": "k"}
    for crossing in (chat_of_responses(data), messages_of_responses(data)):
        assert crossing.dropped == ("prompt_cache_key", "cache_control")
        assert "cache" not in json.dumps(crossing.body)
