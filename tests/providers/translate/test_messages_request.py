"""What becomes of an Anthropic messages request where the model speaks chat completions."""

import json
from typing import Any

import pytest

from palyra.providers.translate.crossing import UncarriedError
from palyra.providers.translate.messages_request import chat_of_messages

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
PNG = "iVBORw0KGgo="
IMAGE: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
SCHEMA = {"type": "object", "properties": {"at": {}}}


def body(*messages: Any, **members: Any) -> dict[str, Any]:
    return chat_of_messages({"model": "m", "max_tokens": 9, "messages": list(messages) or HELLO, **members}).body


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"stream": False}, {"stream": False}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3, "top_p": 0.9}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop_sequences": []}, {}),
        ({"metadata": {"user_id": "u-1"}}, {"user": "u-1"}),
        ({"metadata": {}}, {}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"speed": "standard", "thinking": {"type": "disabled"}, "mcp_servers": [], "container": None}, {}),
        ({"tools": [], "tool_choice": {"type": "auto"}}, {}),
    ],
)
def test_members_and_their_counterparts(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(**given) == {"messages": HELLO, **expected}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {}),
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "look"}, {"tool_choice": {"type": "function", "function": {"name": "look"}}}),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_tools_and_the_choice_among_them(choice: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    tools = [
        {"name": "look", "description": "Looks.", "input_schema": SCHEMA, "strict": True},
        {"type": "custom", "name": "wait", "input_schema": SCHEMA, "eager_input_streaming": True},
    ]
    made = body(tools=tools, tool_choice=choice)
    assert made.pop("tools") == [
        {
            "type": "function",
            "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": True},
        },
        {"type": "function", "function": {"name": "wait", "parameters": SCHEMA}},
    ]
    assert made == {"messages": HELLO, **expected}


@pytest.mark.parametrize(
    "system", ["One.\n\nTwo.", [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]]
)
def test_instructions_come_first(system: object) -> None:
    assert body(system=system)["messages"] == [{"role": "system", "content": "One.\n\nTwo."}, *HELLO]


def test_calls_and_results_of_tools() -> None:
    made = body(
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "text", "text": "ing."},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "ské"}},
                {"type": "tool_use", "id": "toolu_2", "name": "wait", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "so?"},
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "blue"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [{"type": "text", "text": "too"}, {"type": "text", "text": "late"}],
                    "is_error": True,
                },
            ],
        },
    )
    assert made["messages"] == [
        *HELLO,
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"ské"}'}},
                {"id": "toolu_2", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "blue"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: too\nlate"},
        {"role": "user", "content": "so?"},
    ]


@pytest.mark.parametrize(
    ("content", "text"), [("it broke", "Error: it broke"), ("Error: no", "Error: no"), (None, "Error: ")]
)
def test_a_tool_that_failed_says_so_in_words(content: object, text: str) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": True}
    assert body({"role": "user", "content": [result]})["messages"][0]["content"] == text


def test_what_tools_show_is_shown_after_all_their_results() -> None:
    text = {"type": "text", "text": "a chart", "cache_control": {"type": "ephemeral"}}
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": [text, IMAGE]},
        {"type": "tool_result", "tool_use_id": "t2", "content": "12 files"},
        {"type": "tool_result", "tool_use_id": "t3", "content": [IMAGE, IMAGE], "is_error": False},
    ]
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    assert body({"role": "user", "content": [*results, {"type": "text", "text": "so?"}]})["messages"] == [
        {"role": "tool", "tool_call_id": "t1", "content": "a chart"},
        {"role": "tool", "tool_call_id": "t2", "content": "12 files"},
        {"role": "tool", "tool_call_id": "t3", "content": "The result is shown below."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Shown by tool call t1:"},
                image,
                {"type": "text", "text": "Shown by tool call t3:"},
                image,
                image,
                {"type": "text", "text": "so?"},
            ],
        },
    ]


def test_a_turn_without_words() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert body({"role": "assistant", "content": [call]}, *HELLO)["messages"][0]["content"] is None
    assert body({"role": "assistant", "content": []}, *HELLO)["messages"][0] == {"role": "assistant", "content": ""}
    assert body({"role": "user", "content": ""})["messages"] == [{"role": "user", "content": ""}]


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"type": "base64", "media_type": "image/png", "data": PNG}, f"data:image/png;base64,{PNG}"),
        ({"type": "url", "url": "https://example.org/a.png"}, "https://example.org/a.png"),
    ],
)
def test_images(source: dict[str, Any], url: str) -> None:
    content = [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]
    assert body({"role": "user", "content": content})["messages"][0]["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "thinking"),
        ({"thinking": {"type": "adaptive"}}, "thinking"),
        ({"top_k": 5}, "top_k"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "output_config"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"context_management": {"edits": [1]}}, "context_management"),
        ({"speed": "fast"}, "speed"),
        ({"service_tier": "batch"}, "service_tier"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "text_editor_20250728", "name": "edit"}]}, "tools[0]"),
        ({"tools": [{"name": "x", "input_schema": SCHEMA, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [{"input_schema": SCHEMA}]}, "tools[0].name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"system": [{"type": "image"}]}, "system[0]"),
    ],
)
def test_members_that_stop_the_crossing(given: dict[str, Any], field: str) -> None:
    with pytest.raises(UncarriedError) as stopped:
        body(**given)
    assert stopped.value.field == field


@pytest.mark.parametrize(
    ("role", "block"),
    [
        ("user", {"type": "document", "source": {"type": "text", "data": "x"}}),
        ("user", {"type": "search_result"}),
        ("user", {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        ("assistant", {"type": "thinking", "thinking": "hm", "signature": "s"}),
        ("assistant", {"type": "redacted_thinking", "data": "x"}),
        ("assistant", {"type": "server_tool_use", "id": "t", "name": "web_search", "input": {}}),
    ],
)
def test_blocks_that_stop_the_crossing(role: str, block: dict[str, Any]) -> None:
    with pytest.raises(UncarriedError) as stopped:
        body(*HELLO, {"role": role, "content": [block]})
    assert stopped.value.field == "messages[1].content[0]"


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "messages[0].content[0].source"),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]},
            "messages[0].content[0].content[0].source",
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [IMAGE, {"type": "document"}]},
            "messages[0].content[0].content[1]",
        ),
        ({"type": "tool_result", "content": "x"}, "messages[0].content[0].tool_use_id"),
        ({"type": "text"}, "messages[0].content[0].text"),
    ],
)
def test_where_a_block_stops_the_crossing(block: dict[str, Any], path: str) -> None:
    with pytest.raises(UncarriedError) as stopped:
        body({"role": "user", "content": [block]})
    assert stopped.value.field == path


def test_an_answer_that_is_begun_already_cannot_be_gone_on_with() -> None:
    with pytest.raises(UncarriedError) as stopped:
        body(*HELLO, {"role": "assistant", "content": "{"})
    assert stopped.value.field == "messages[1]"


def test_cache_marks_are_left_behind_and_named() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    crossing = chat_of_messages(
        {
            "model": "m",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "One.", **mark}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hello", **mark}]}],
            "tools": [{"name": "f", "input_schema": SCHEMA, **mark}],
            **mark,
        }
    )
    assert crossing.dropped == ("cache_control",)
    assert "cache" not in json.dumps(crossing.body)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_ceiling_is_called_what_the_provider_calls_it(field: str) -> None:
    made = json.loads(chat_of_messages({"messages": HELLO}).bytes_for(model="gpt", max_tokens=77, field=field))
    assert made == {"model": "gpt", field: 77, "messages": HELLO}
