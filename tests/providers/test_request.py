"""Reading callers' bodies: fields that decide spending are validated, everything else passes."""

import hashlib
import json
from typing import Any

import pytest

from palyra.providers.request import ParsedRequest, RequestError, parse_request, with_ceiling
from palyra.providers.wires import Wire
from tests.providers.bodies import chat, compact, messages


def parse_chat(**members: Any) -> ParsedRequest:
    return parse_request(Wire.CHAT, chat(**members))


def parse_messages(**members: Any) -> ParsedRequest:
    return parse_request(Wire.MESSAGES, messages(**members))


def test_a_plain_chat_request() -> None:
    body = chat()
    parsed = parse_request(Wire.CHAT, body)
    assert parsed.model == "gpt-4o-mini"
    assert (parsed.stream, parsed.include_usage, parsed.max_tokens, parsed.choices) == (False, False, None, 1)
    assert parsed.service_tier is None
    assert parsed.digest == hashlib.sha256(body).hexdigest()
    assert parsed.body == body
    assert parsed.data == json.loads(body)


def test_a_plain_messages_request() -> None:
    parsed = parse_messages(stream=True, max_tokens=300, service_tier="standard_only")
    assert (parsed.stream, parsed.max_tokens, parsed.max_tokens_fields) == (True, 300, ("max_tokens",))
    assert parsed.service_tier == "standard_only"


@pytest.mark.parametrize(
    ("members", "max_tokens", "fields"),
    [
        ({"max_tokens": 5}, 5, ("max_tokens",)),
        ({"max_completion_tokens": 7}, 7, ("max_completion_tokens",)),
        ({"max_completion_tokens": 7, "max_tokens": 7}, 7, ("max_tokens", "max_completion_tokens")),
        ({"max_tokens": None, "max_completion_tokens": None}, None, ()),
    ],
)
def test_either_member_sets_the_ceiling(members: dict[str, Any], max_tokens: int | None, fields: tuple[str]) -> None:
    parsed = parse_chat(**members)
    assert (parsed.max_tokens, parsed.max_tokens_fields) == (max_tokens, fields)


@pytest.mark.parametrize(
    ("options", "asked"),
    [(None, False), ({}, False), ({"include_usage": False}, False), ({"include_usage": True}, True)],
)
def test_whether_a_chat_caller_asked_for_usage(options: object, asked: bool) -> None:
    assert parse_chat(stream=True, stream_options=options).include_usage is asked


def test_null_is_absent() -> None:
    parsed = parse_chat(stream=None, n=None, max_tokens=None, tools=None, stream_options=None, service_tier=None)
    assert parsed == parse_request(Wire.CHAT, parsed.body)
    assert (parsed.stream, parsed.choices, parsed.max_tokens) == (False, 1, None)


REFUSED_ON_CHAT: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"model": 4}, "model"),
    ({"model": "m" * 257}, "model"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 5.0}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 10**10}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 9000}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": False}, "n"),
    ({"stream": "true"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream_options": True}, "stream_options"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"service_tier": 3}, "service_tier"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [{"role": "user", "content": "a"}, {"content": "b"}]}, "messages[1]"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"tools": {}}, "tools"),
    ({"tools": ["f"]}, "tools"),
    ({"MAX_TOKENS": 9000, "max_tokens": 5}, "MAX_TOKENS"),
    ({"ſtream": True}, "ſtream"),
]


@pytest.mark.parametrize(("members", "field"), REFUSED_ON_CHAT)
def test_a_field_at_fault_is_named_with_a_fix(members: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as refusal:
        parse_chat(**members)
    assert (refusal.value.code, refusal.value.field) == ("invalid_field", field)
    assert refusal.value.fix
    assert refusal.value.message


def test_half_a_character_names_no_model() -> None:
    body = b'{"model": "provider/m\\ud800", "messages": [{"role": "user", "content": "hello"}]}'
    with pytest.raises(RequestError) as refusal:
        parse_request(Wire.CHAT, body)
    assert (refusal.value.code, refusal.value.field) == ("invalid_field", "model")


@pytest.mark.parametrize("most", [{"n": 128}, {"n": 1}, {"max_tokens": 1}])
def test_limits_themselves_pass(most: dict[str, int]) -> None:
    parsed = parse_chat(**most)
    assert {"n": parsed.choices, "max_tokens": parsed.max_tokens}[next(iter(most))] == next(iter(most.values()))


def test_messages_need_max_tokens() -> None:
    body = compact({"model": "m", "messages": [{"role": "user", "content": "x"}]})
    with pytest.raises(RequestError, match="max_tokens is required") as refusal:
        parse_request(Wire.MESSAGES, body)
    assert refusal.value.field == "max_tokens"


def test_fields_of_the_other_wire_are_not_read() -> None:
    parsed = parse_messages(n=500, stream_options=7, max_completion_tokens="many")
    assert (parsed.choices, parsed.include_usage, parsed.max_tokens) == (1, False, 64)


def test_unknown_members_pass() -> None:
    assert parse_chat(temperature=0.3, seed=7, logit_bias={"5": 1}, something_new=[1]).data["something_new"] == [1]


def test_a_member_twice_is_refused_before_anything_else_is_read() -> None:
    with pytest.raises(RequestError) as refusal:
        parse_request(Wire.CHAT, b'{"max_tokens": 5, "model": 3, "max_tokens": 9000}')
    assert refusal.value.code == "duplicate_member"


@pytest.mark.parametrize("text", ["hello", "\u00fc\u4e16\n}", ""])
def test_a_ceiling_that_is_added_is_as_if_it_had_been_asked_for(text: str) -> None:
    data = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": True}
    parsed = with_ceiling(parse_request(Wire.CHAT, json.dumps(data).encode()), 77)
    assert parsed == parse_request(Wire.CHAT, parsed.body)
    assert (parsed.max_tokens, json.loads(parsed.body)) == (77, {**data, "max_tokens": 77})
