"""Reading requests of the responses wire: what decides their cost, and what they make a provider read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.prompt import Media, MediaKind, PromptFacts, ServerTool
from palyra.providers.request import ParsedRequest, RequestError, parse_request
from palyra.providers.rewrite import upstream_body
from palyra.providers.wires import Wire
from tests.providers.bodies import base64_of, compact

IMAGE, DOCUMENT = MediaKind.IMAGE, MediaKind.DOCUMENT


def parsed(**members: Any) -> ParsedRequest:
    return parse_request(Wire.RESPONSES, compact({"model": "gpt-5-mini", "input": "hello", **members}))


def facts(**members: Any) -> PromptFacts:
    return parsed(**members).prompt


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_what_decides_spending_is_read() -> None:
    request = parsed(stream=True, max_output_tokens=99, service_tier="flex", reasoning={"effort": "low"})
    assert (request.model, request.stream, request.max_tokens, request.choices) == ("gpt-5-mini", True, 99, 1)
    assert (request.max_tokens_fields, request.service_tier) == (("max_output_tokens",), "flex")
    assert request.prompt.needs.reasoning
    assert (parsed().max_tokens, parsed().max_tokens_fields) == (None, ())


@pytest.mark.parametrize(
    ("reasoning", "needed"),
    [(None, False), ({}, False), ({"effort": "none"}, False), ({"effort": "high"}, True), ({"summary": "auto"}, True)],
)
def test_reasoning_is_asked_for_unless_it_is_switched_off(reasoning: Any, needed: bool) -> None:
    assert facts(reasoning=reasoning).needs.reasoning is needed


def test_the_size_is_that_of_what_a_model_reads() -> None:
    assert facts().size == len('"hello"')
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    items = [{"role": "user", "content": "hello"}]
    text = {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}}
    settings = {
        "metadata": {"a": "b"},
        "include": ["reasoning.encrypted_content"],
        "previous_response_id": "resp_1",
        "truncation": "auto",
        "user": "someone",
        "prompt_cache_key": "key",
        "safety_identifier": "who",
        "stream_options": {"include_obfuscation": False},
        "tool_choice": "auto",
    }
    read = facts(input=items, instructions="Be brief.", tools=[tool], text=text, **settings)
    assert read.size == len(compact(items)) + len(compact("Be brief.")) + len(compact([tool])) + len(compact(text))
    assert (read.needs.json, read.needs.tools, read.needs.vision) == (True, True, False)


def test_media_are_counted_by_what_they_are_and_not_by_their_bytes() -> None:
    picture = f"data:image/png;base64,{base64_of(900)}"
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": picture},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": base64_of(3_000)},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
    ]
    shot = {
        "type": "computer_call_output",
        "call_id": "c",
        "output": {"type": "computer_screenshot", "image_url": picture},
    }
    result = {"type": "function_call_output", "call_id": "f", "output": [{"type": "input_image", "image_url": picture}]}
    made = {"type": "image_generation_call", "id": "ig", "result": base64_of(600)}
    read = facts(input=[*user(*parts), shot, result, made])
    assert read.media == (
        Media(IMAGE, 900),
        Media(IMAGE, None),
        Media(DOCUMENT, 3_000),
        Media(DOCUMENT, None),
        Media(IMAGE, 900),
        Media(IMAGE, 900),
        Media(IMAGE, 600),
    )
    assert read.size < 1_000
    assert read.needs.vision


def test_a_stored_prompt_is_a_document_nobody_here_has_seen() -> None:
    read = facts(prompt={"id": "pmpt_1", "variables": {"name": "Ada"}}, input=None)
    assert read.media == (Media(DOCUMENT, None),)


@pytest.mark.parametrize(
    ("tool", "uses"),
    [
        ({"type": "function", "name": "f"}, None),
        ({"type": "custom", "name": "f"}, None),
        ({"type": "computer_use_preview"}, None),
        ({"type": "local_shell"}, None),
        ({"type": "apply_patch"}, None),
        ({"type": "web_search_preview"}, "web_search_preview"),
        ({"type": "web_search"}, "web_search"),
        ({"type": "file_search", "vector_store_ids": ["vs"]}, "file_search"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "code_interpreter"),
        ({"type": "mcp", "server_label": "s"}, "mcp"),
        ({"type": "image_generation"}, "image_generation"),
        ({"type": "something_new"}, "something_new"),
    ],
)
def test_tools_that_the_provider_runs_are_told_from_the_caller_s(tool: dict[str, Any], uses: str | None) -> None:
    expected = () if uses is None else (ServerTool(uses, None),)
    assert facts(tools=[tool]).server_tools == expected
    bounded = facts(tools=[tool], max_tool_calls=2).server_tools
    assert bounded == (() if uses is None else (ServerTool(uses, 2),))


@pytest.mark.parametrize(
    ("members", "previous", "continues"),
    [
        ({}, None, False),
        ({"previous_response_id": "resp_1"}, "resp_1", True),
        ({"previous_response_id": "resp_1", "input": None}, "resp_1", True),
        ({"conversation": "conv_1"}, None, True),
        ({"conversation": {"id": "conv_1"}}, None, True),
        ({"input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "go on"}]}, None, True),
    ],
)
def test_what_is_kept_at_the_provider_is_noticed(
    members: dict[str, Any], previous: str | None, continues: bool
) -> None:
    read = facts(**members)
    assert (read.previous, read.continues) == (previous, continues)


@pytest.mark.parametrize(
    ("given", "latest"),
    [
        ("just this", "just this"),
        (
            [{"role": "user", "content": "one"}, {"role": "user", "content": [{"type": "input_text", "text": "two"}]}],
            "one\ntwo",
        ),
        (
            [
                {"role": "user", "content": "old"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "said"}]},
                {"role": "developer", "content": "always"},
                {"type": "message", "role": "user", "content": "new"},
            ],
            "new",
        ),
        (
            [
                {"role": "user", "content": "old"},
                {"type": "reasoning", "id": "rs", "summary": []},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "result"},
            ],
            "result",
        ),
    ],
)
def test_the_latest_text_is_what_came_after_the_model_spoke(given: Any, latest: str) -> None:
    assert facts(input=given).latest_text == latest


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"background": True}, "background"),
        ({"background": "yes"}, "background"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": ["hello"]}, "input[0]"),
        ({"input": [{}]}, "input[0]"),
        ({"input": [{"role": "user", "content": {"text": "x"}}]}, "input[0].content"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"conversation": 5}, "conversation"),
        ({"prompt": "pmpt"}, "prompt"),
        ({"tools": {}}, "tools"),
        ({"tools": ["x"]}, "tools"),
        ({"max_tool_calls": 0}, "max_tool_calls"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"stream": "true"}, "stream"),
        ({"service_tier": 1}, "service_tier"),
        ({"Background": True}, "Background"),
        ({"Max_Output_Tokens": 5}, "Max_Output_Tokens"),
    ],
)
def test_what_is_malformed_is_refused_by_name(members: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as refused:
        parsed(**members)
    assert (refused.value.code, refused.value.field) == ("invalid_field", field)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "output", "image_url", "file_data", "text", "result", "max_uses"]
            ),
            inner | st.sampled_from(["message", "input_image", "input_file", "function_call_output", "item_reference"]),
            max_size=4,
        )
    ),
    max_leaves=15,
)
MEMBERS = [
    "background",
    "conversation",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "text",
    "tools",
]


@given(st.dictionaries(st.sampled_from(MEMBERS), values, max_size=6))
def test_hostile_bodies_are_read_or_refused(members: dict[str, Any]) -> None:
    try:
        read = facts(**members)
    except RequestError as refused:
        read = None
        field = refused.field
    if read is None:
        assert field.partition("[")[0] in (*MEMBERS, "stream")
    else:
        assert read.size >= 0


def test_only_what_must_change_changes() -> None:
    body = b'{"model": "openai/gpt-5-mini",  "input": "h\\u00e9", "store": false, "max_output_tokens":9000}'
    request = parse_request(Wire.RESPONSES, body)
    sent = upstream_body(request, model="gpt-5-mini", max_tokens=300, field="max_completion_tokens")
    assert sent == b'{"model": "gpt-5-mini",  "input": "h\\u00e9", "store": false, "max_output_tokens":300}'
    unsaid = parse_request(Wire.RESPONSES, b'{"model": "m", "input": "x", "stream": true}')
    capped = json.loads(upstream_body(unsaid, model="m", max_tokens=4_096, field="max_completion_tokens"))
    assert capped == {"model": "m", "input": "x", "stream": True, "max_output_tokens": 4_096}
