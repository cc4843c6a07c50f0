"""Whatever a provider sends, an answer is passed on or refused: nothing in it brings a translation down."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.providers.errors import ProviderError
from palyra.providers.sse import sse_event
from palyra.providers.translate.table import REQUESTS, translated_reply
from tests.providers.translate.answers import AT, USED, contents, passed, request, translated

NAMES = st.sampled_from(
    [
        "arguments",
        "choices",
        "content",
        "content_block",
        "delta",
        "finish_reason",
        "function",
        "id",
        "index",
        "input",
        "message",
        "model",
        "name",
        "partial_json",
        "refusal",
        "stop_reason",
        "text",
        "tool_calls",
        "type",
        "usage",
    ]
)
WORDS = st.sampled_from(
    [
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "function",
        "input_json_delta",
        "message_delta",
        "message_start",
        "message_stop",
        "ping",
        "text",
        "text_delta",
        "tool_use",
        "stop",
        "length",
        "{}",
        '{"a":1}',
        "\ud800",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=6)


def calls(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Nearly what a chat chunk or a completion holds."""
    return st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"delta": inner, "message": inner}))})


EVENTS = OBJECTS | calls(OBJECTS) | st.fixed_dictionaries({"type": WORDS, "index": JSON, "delta": JSON})


@settings(max_examples=40)
@given(st.lists(EVENTS, max_size=6))
def test_odd_streams(events: list[dict[str, Any]]) -> None:
    raws = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in events]
    for caller, upstream in REQUESTS:
        for told in contents(passed(translated(request(caller), upstream, raws))):
            assert isinstance(told, dict)


@settings(max_examples=40)
@given(OBJECTS | calls(OBJECTS) | st.fixed_dictionaries({"content": st.lists(OBJECTS), "stop_reason": JSON}))
def test_odd_answers(data: dict[str, Any]) -> None:
    for caller, upstream in REQUESTS:
        with suppress(ProviderError):
            told = translated_reply(request(caller), upstream, data, USED, AT)
            assert isinstance(json.loads(told), dict)


def test_what_cannot_be_written_is_replaced() -> None:
    assert sse_event({"text": "\ud800"}) == b'data: {"text":"?"}\n\n'
