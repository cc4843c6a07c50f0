import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.stand_in import AUTHORISED, Door, serving

PATHS = st.sampled_from(
    ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/v1/embeddings"]
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "role",
        "content",
        "max_tokens",
        "stream",
        "n",
        "tools",
        "system",
        "type",
        "text",
        "image_url",
        "input",
        "output",
        "previous_response_id",
        "reasoning",
        "dimensions",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["user", "text", "image"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with serving() as door:
        yield door


async def expect_no_fault(door: Door, path: str, body: bytes) -> None:
    answer = await door.ask("POST", path, None, body)
    assert answer.status == 200 or 400 <= answer.status < 500, answer
    if answer.status != 200:
        assert answer.error["type"]


@FUZZ
@given(path=PATHS, body=st.binary(max_size=200))
async def test_no_body_is_a_fault_of_ours(door: Door, path: str, body: bytes) -> None:
    await expect_no_fault(door, path, body)


@FUZZ
@given(path=PATHS, data=st.dictionaries(NAMES, VALUES, max_size=8))
async def test_no_json_is_a_fault_of_ours(door: Door, path: str, data: dict[str, Any]) -> None:
    await expect_no_fault(door, path, json.dumps(data).encode())


@FUZZ
@given(
    path=PATHS,
    messages=VALUES,
    extra=st.dictionaries(NAMES.filter(lambda name: name not in ("model", "messages")), VALUES, max_size=4),
)
async def test_no_conversation_is_a_fault_of_ours(door: Door, path: str, messages: Any, extra: dict[str, Any]) -> None:
    await expect_no_fault(door, path, json.dumps({"model": "m", "messages": messages, **extra}).encode())
    await expect_no_fault(door, path, json.dumps({"model": "m", "input": messages, **extra}).encode())


@FUZZ
@given(data=st.binary(min_size=1, max_size=400))
async def test_no_bytes_on_a_connection_are_a_fault_of_ours(door: Door, data: bytes) -> None:
    caller = await door.caller()
    caller.send(data)
    caller.writer.write_eof()
    answer = await caller.reader.read()
    assert answer == b"" or answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4"))
    caller.close()


@FUZZ
@given(
    name=st.from_regex(r"[!#-'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True),
    value=st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=50),
)
async def test_no_header_is_a_fault_of_ours(door: Door, name: str, value: str) -> None:
    caller = await door.caller()
    caller.request("GET", "/v1/models", {**AUTHORISED, name: value})
    answer = await caller.head()
    assert answer.status < 500
    caller.close()
