"""Reading plain answers."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.reply import PlainReply, read_reply
from palyra.providers.wires import Wire, completed_reason
from tests.providers.recordings import OUTPUT, RESPONSE, RESPONSES, responses_usage

MEMBERS = [
    "choices",
    "content",
    "output",
    "data",
    "usage",
    "message",
    "delta",
    "text",
    "type",
    "summary",
    "arguments",
    "error",
    "status",
    "incomplete_details",
    "reason",
    "code",
    "finish_reason",
    "stop_reason",
    "id",
    "model",
    "object",
    "input",
]


def chat(*messages: dict[str, Any], finish: str | None = "stop", **members: Any) -> PlainReply:
    choices = [{"index": i, "message": message, "finish_reason": finish} for i, message in enumerate(messages)]
    return read_reply(Wire.CHAT, json.dumps({"model": "m-2", "choices": choices, **members}).encode())


def message(*blocks: dict[str, Any], **members: Any) -> PlainReply:
    data = {"model": "c-2", "content": list(blocks), "stop_reason": "end_turn", **members}
    return read_reply(Wire.MESSAGES, json.dumps(data).encode())


def test_a_chat_answer() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    reply = chat({"role": "assistant", "content": "čau"}, usage=usage)
    assert (reply.model, reply.usage, reply.finish, reply.visible_bytes) == ("m-2", usage, "stop", 4)


@pytest.mark.parametrize(
    ("said", "visible"),
    [
        ({"content": None, "refusal": "no"}, 2),
        ({"content": [{"type": "text", "text": "abc"}]}, 3),
        ({"content": "ab", "reasoning_content": "why"}, 5),
        ({"tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}, {"function": {"arguments": "{}"}}]}, 9),
        ({"audio": {"transcript": "said", "data": "AAAA"}}, 4),
    ],
)
def test_what_can_be_seen_of_a_chat_answer(said: dict[str, Any], visible: int) -> None:
    assert chat(said).visible_bytes == visible


def test_all_choices_can_be_seen() -> None:
    assert chat({"content": "ab"}, {"content": "cd"}).visible_bytes == 4


@pytest.mark.parametrize(
    ("block", "visible"),
    [
        ({"type": "text", "text": "Žluť"}, 6),
        ({"type": "thinking", "thinking": "hm", "signature": "c2ln"}, 2),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"a": "ž"}}, 10),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {}}, 0),
        ({"type": "redacted_thinking", "data": "ZW5j"}, 0),
    ],
)
def test_what_can_be_seen_of_a_message(block: dict[str, Any], visible: int) -> None:
    assert message(block).visible_bytes == visible


def test_an_answer_without_usage_has_none() -> None:
    assert chat({"content": "a"}).usage is None
    assert message(usage=None).usage is None
    assert message(usage={"input_tokens": 1, "output_tokens": 2}).usage == {"input_tokens": 1, "output_tokens": 2}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"choices": null, "content": "x"}', b'{"choices": [{"in', b"[" * 100_000]
)
@pytest.mark.parametrize("wire", Wire)
def test_what_is_no_answer_is_malformed(wire: Wire, body: bytes) -> None:
    with pytest.raises(ProviderError) as failure:
        read_reply(wire, body)
    assert failure.value.error_class is ErrorClass.MALFORMED_RESPONSE


def test_an_answer_of_more_values_than_anybody_needs_is_malformed() -> None:
    with pytest.raises(ProviderError, match="more than 4,000,000 values") as failure:
        read_reply(Wire.CHAT, b'{"choices": [' + b"[]," * 4_000_001 + b"0]}")
    assert failure.value.error_class is ErrorClass.MALFORMED_RESPONSE


def test_an_error_inside_a_success_is_no_answer() -> None:
    with pytest.raises(ProviderError, match="no capacity") as failure:
        read_reply(Wire.CHAT, b'{"choices": [], "error": {"message": "no capacity"}}')
    assert failure.value.error_class is ErrorClass.MALFORMED_RESPONSE


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        (None, "stop"),
        ("something new", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("tool_calls", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
    ],
)
def test_finish_reasons_of_both_wires_mean_the_same_four_things(finish: str | None, reason: str) -> None:
    assert completed_reason(finish) == reason


@pytest.mark.parametrize(("said", "tier"), [("flex", "flex"), (5, ""), (None, "")])
def test_the_service_tier_an_answer_names(said: object, tier: str) -> None:
    body = json.dumps({"choices": [], "service_tier": said}).encode()
    assert read_reply(Wire.CHAT, body).service_tier == tier


def test_a_response_tells_its_items_and_how_it_ended() -> None:
    whole = {**RESPONSE, "status": "completed", "output": OUTPUT, "usage": responses_usage(40)}
    heard = read_reply(Wire.RESPONSES, json.dumps(whole).encode())
    assert (heard.id, heard.model, heard.service_tier) == ("resp_1", RESPONSE["model"], "default")
    assert (heard.usage, heard.finish, heard.failure) == (responses_usage(40), "tool_calls", None)
    assert heard.items == tuple(item["type"] for item in OUTPUT)
    # What a stream of the same response shows, event by event, but for what is spoken.
    assert heard.visible_bytes == sum(visible for _, visible in RESPONSES) - len("said")


def test_a_response_that_failed_is_an_answer_that_says_so() -> None:
    failed = {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "gone wrong"}}
    heard = read_reply(Wire.RESPONSES, json.dumps(failed).encode())
    assert heard.failure is not None
    assert heard.failure.error_class is ErrorClass.TRANSIENT_UPSTREAM


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5),
    max_leaves=20,
)


@given(st.sampled_from(Wire), st.dictionaries(st.sampled_from(MEMBERS), ANY_JSON, max_size=8))
def test_hostile_answers_are_read_or_malformed(wire: Wire, data: dict[str, Any]) -> None:
    heard = PlainReply({}, "", None, None, 0)
    with suppress(ProviderError):
        heard = read_reply(wire, json.dumps(data).encode())
    assert heard.visible_bytes >= 0
    assert completed_reason(heard.finish) in ("stop", "length", "tool_calls", "content_filter")
    assert isinstance(heard.items, tuple)


@pytest.mark.parametrize(
    "count", ["7", "9007199254740993", "18446744073709551616", "123456789012345678901234567890", "1e3", "NaN"]
)
@pytest.mark.parametrize("said", ['"ž"', '"\\ud800"', '"\\u017e"'])
def test_what_an_answer_says_is_read_to_the_last_digit(count: str, said: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": {said}}}}}], "usage": {{"prompt_tokens": {count}}}}}'
    for encoding in ("utf-8", "utf-16"):
        heard = read_reply(Wire.CHAT, body.encode(encoding))
        assert repr(heard.data) == repr(json.loads(body))
