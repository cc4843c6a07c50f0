"""Answers as they were recorded from the wire: what kind they are, what they say of themselves, how much was shown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.errors import BadInputError
from palyra.providers.recorded import RecordedAnswer, Shape, read_recorded

TEXT = [{"type": "text", "text": "hällo"}]
CALL = {"type": "function_call", "arguments": '{"a":1}'}


def read(data: object) -> RecordedAnswer:
    return read_recorded(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("body", "shape", "visible"),
    [
        ({"choices": [{"message": {"content": "hällo"}}], "usage": {}}, Shape.CHAT, 6),
        ({"choices": [{"text": "abc"}, {"text": "d"}, 5], "usage": {}}, Shape.CHAT, 4),
        ({"type": "message", "content": TEXT, "usage": {}}, Shape.MESSAGES, 6),
        ({"content": [{"type": "tool_use", "input": {"a": 1}}]}, Shape.MESSAGES, 7),
        ({"type": "message_start", "message": {"content": TEXT, "usage": {}}}, Shape.MESSAGES, 6),
        ({"object": "response", "usage": {}}, Shape.RESPONSES, 0),
        ({"output": [{"type": "message", "content": TEXT}, CALL, 5]}, Shape.RESPONSES, 13),
        ({"type": "response.completed", "response": {"output": [], "usage": {}}}, Shape.RESPONSES, 0),
        ({"object": "list", "data": [], "usage": {}}, Shape.EMBEDDINGS, 0),
        ({"data": [{"embedding": [1]}]}, Shape.EMBEDDINGS, 0),
        ({"usage": {"prompt_tokens": 1}}, Shape.CHAT, 0),
        ({"usage": {"input_tokens": 1, "cache_read_input_tokens": 2}}, Shape.MESSAGES, 0),
        ({"usage": {"input_tokens": 1, "total_tokens": 2}}, Shape.RESPONSES, 0),
        ({"usage": {"input_tokens": 1, "output_tokens": 2}}, Shape.INPUT_OUTPUT, 0),
        ({"usage": [1]}, Shape.CHAT, 0),
        ({"completion_tokens": 1, "input_tokens": 5}, Shape.CHAT, 0),
        ({"input_tokens": 1, "input_tokens_details": {}}, Shape.RESPONSES, 0),
        ({"total_tokens": 5}, Shape.CHAT, 0),
    ],
)
def test_what_kind_of_answer_it_is_and_what_it_shows(body: dict[str, Any], shape: Shape, visible: int) -> None:
    recorded = read(body)
    assert (recorded.shape, recorded.visible_bytes, recorded.complete) == (shape, visible, True)


def test_only_what_matters_for_the_price_is_kept() -> None:
    usage = {"prompt_tokens": 1}
    body = {"model": "m", "service_tier": "flex", "usage": usage, "choices": [{"message": {"content": "secret"}}]}
    assert dict(read(body).answer) == {"usage": usage, "model": "m", "service_tier": "flex"}
    items = [{"type": "web_search_call", "query": "secret"}, "x"]
    assert read({"output": items, "usage": {}}).answer["output"] == [{"type": "web_search_call"}]
    assert dict(read(usage).answer) == {"usage": usage}


def test_streams_of_both_wires_end_where_their_readers_do() -> None:
    assert read_recorded(_chat(done=True)).complete
    assert not read_recorded(_chat(done=False)).complete
    assert read_recorded(_chat(done=False).replace(b"\n", b"\r\n")).visible_bytes == 3


def test_a_chat_stream_with_its_final_usage_is_complete_without_an_end_mark() -> None:
    stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    ended = "".join(f"data: {json.dumps(event)}\n\n" for event in (stop, usage)).encode()
    assert read_recorded(_chat(done=False) + ended).complete


def test_a_responses_stream_shows_at_least_what_its_answer_does() -> None:
    answer = {"output": [{"type": "message", "content": TEXT}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    done = f"data: {json.dumps({'type': 'response.completed', 'response': answer})}\n\n".encode()
    delta = b'data: {"type": "response.output_text.delta", "delta": "a longer text"}\n\n'
    assert read_recorded(done).visible_bytes == 6
    assert read_recorded(delta + done).visible_bytes == 13


def _chat(*, done: bool) -> bytes:
    chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": "abc"}}]}
    return f"data: {json.dumps(chunk)}\n\n".encode() + (b"data: [DONE]\n\n" if done else b"")


def test_a_responses_stream_without_its_end_is_not_complete() -> None:
    begun = {"type": "response.created", "response": {"model": "m", "usage": None}}
    delta = {"type": "response.output_text.delta", "delta": "abc"}
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in (begun, delta)).encode()
    recorded = read_recorded(body)
    assert (recorded.shape, recorded.complete, recorded.visible_bytes) == (Shape.RESPONSES, False, 3)
    assert recorded.answer["model"] == "m"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["usage", "choices", "content", "output", "data", "type", "object", "response", "message"])
KINDS = st.sampled_from(["message", "message_start", "message_delta", "response.completed", "response.created", "list"])


def read_or_refused(body: bytes) -> RecordedAnswer | None:
    try:
        return read_recorded(body)
    except BadInputError:
        return None


@given(body=st.dictionaries(NAMES, JSON | KINDS, max_size=6) | JSON, streamed=st.booleans())
def test_any_json_is_an_answer_or_refused(body: object, streamed: bool) -> None:
    text = json.dumps(body).encode()
    recorded = read_or_refused(b"data: " + text + b"\n\n" if streamed else text)
    assert recorded is None or recorded.visible_bytes >= 0
    assert recorded is None or json.dumps(dict(recorded.answer))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(body: bytes) -> None:
    assert all(found is None or found.shape in Shape for found in map(read_or_refused, (body, b"data: " + body)))
