"""The words of a conversation, out of every dialect."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.transcript import answer_words, prompt_words, streamed_words
from palyra.providers.wires import Wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "input",
                    "messages",
                    "output",
                    "choices",
                    "message",
                    "delta",
                    "name",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}, None),
        ({"system": [{"type": "text", "text": "Be brief."}], "messages": [{"role": "user", "content": "Hi"}]}, None),
        ({"instructions": "Be brief.", "input": "Hi"}, None),
        (
            {
                "instructions": "Be brief.",
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            },
            None,
        ),
        ({"input": ["one", "two"]}, "one\ntwo"),
        ({"input": [[1, 2, 3]]}, "[tokens]"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is this?"},
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                        ],
                    }
                ]
            },
            "user: What is this?\n[image_url]",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"function": {"name": "look", "arguments": '{"at":1}'}}],
                    },
                    {"role": "tool", "content": "a cat"},
                ]
            },
            'assistant: [calls look] {"at":1}\ntool: a cat',
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "name": "look", "input": {"at": 1}}]},
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "content": [{"type": "text", "text": "a cat"}]}],
                    },
                ]
            },
            'assistant: [calls look] {"at": 1}\nuser: a cat',
        ),
        (
            {
                "input": [
                    {"type": "function_call", "name": "look", "arguments": "{}"},
                    {"type": "function_call_output", "output": "a cat"},
                ]
            },
            "[calls look] {}\na cat",
        ),
    ],
)
def test_a_prompt_is_told_turn_by_turn(body: dict[str, Any], words: str | None) -> None:
    assert prompt_words(body) == (words or "system: Be brief.\nuser: Hi")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"choices": [{"message": {"content": "Hello"}}, {"message": {"content": "Hi"}}]}, "Hello\nHi"),
        ({"choices": [{"message": {"refusal": "No."}}]}, "No."),
        (
            {"content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hello"}]},
            "Hello",
        ),
        (
            {
                "output": [
                    {"type": "reasoning"},
                    {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]},
                ]
            },
            "Hello",
        ),
        ({"data": [{"embedding": [0.1]}]}, ""),
        ([], ""),
    ],
)
def test_an_answer_is_told_in_its_words(body: object, words: str) -> None:
    assert answer_words(json.dumps(body).encode()) == words


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)


def test_choices_and_parts_of_a_stream_are_told_apart() -> None:
    chunks = [
        {"choices": [{"index": index, "delta": {"content": text}}]} for index, text in [(0, "a"), (1, "b"), (0, "A")]
    ]
    assert streamed_words(Wire.CHAT, sse(*chunks)) == "aA\nb"
    called = sse(
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me look."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "look"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"at":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
    )
    assert streamed_words(Wire.MESSAGES, called) == 'Let me look.\n[calls look] {"at":1}'
    # What comes after the break says nothing.
    assert streamed_words(Wire.CHAT, sse(chunks[0]) + b"data: {oops\n\n" + sse(chunks[1])) == "a"


@given(st.dictionaries(st.sampled_from(["messages", "input", "system", "instructions"]), JSON), JSON)
def test_whatever_shape_it_has_nothing_is_raised(body: dict[str, Any], answer: object) -> None:
    prompt_words(body)
    answer_words(json.dumps(answer).encode())
    for wire in (Wire.CHAT, Wire.MESSAGES, Wire.RESPONSES):
        streamed_words(wire, b"data: " + json.dumps(answer).encode() + b"\n\n")
