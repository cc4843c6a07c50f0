"""A body keeps its bytes except in the members that must change."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.request import parse_request
from palyra.providers.rewrite import rewrite_members, upstream_body, without_member
from palyra.providers.wires import Wire
from tests.providers.bodies import chat, messages
from tests.providers.test_strict_json import json_values

space = st.text(alphabet=" \t\r\n", max_size=3)


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """An object and its members as (name, text before the value, text of the value), spaced at random."""
    data = draw(st.dictionaries(st.text(max_size=6), json_values, max_size=6))
    pieces = []
    for position, (name, value) in enumerate(data.items()):
        ascii_only = draw(st.booleans())
        comma = "," if position else ""
        before = (
            comma + draw(space) + json.dumps(name, ensure_ascii=draw(st.booleans())) + draw(space) + ":" + draw(space)
        )
        pieces.append((name, before, json.dumps(value, ensure_ascii=ascii_only)))
    return data, pieces


@given(laid_out(), st.dictionaries(st.text(max_size=6), json_values, max_size=3), st.data())
def test_only_the_members_named_change(
    laid: tuple[dict[str, Any], list[tuple[str, str, str]]], added: dict[str, Any], data: st.DataObject
) -> None:
    before, pieces = laid
    changed = data.draw(st.sets(st.sampled_from(sorted(before)))) if before else set()
    changes: dict[str, Any] = {**{name: {"new": ["value"]} for name in sorted(changed)}, **added}
    tail = data.draw(space)

    def written(name: str, value: str) -> str:
        return json.dumps(changes[name], ensure_ascii=False, separators=(",", ":")) if name in changes else value

    body = "{" + "".join(lead + value for _, lead, value in pieces) + tail + "}" + tail
    kept = "{" + "".join(lead + written(name, value) for name, lead, value in pieces) + tail
    got = rewrite_members(body.encode(), changes).decode()
    assert got.startswith(kept)
    assert got.endswith("}" + tail)
    assert json.loads(got) == {**before, **changes}
    if changes.keys() <= before.keys():
        assert got == kept + "}" + tail


def test_absent_members_are_appended_before_the_brace() -> None:
    assert rewrite_members(b'{ "a": 1 }\n', {"b": 2, "c": [3]}) == b'{ "a": 1 ,"b":2,"c":[3]}\n'
    assert rewrite_members(b"{}", {"b": 2}) == b'{"b":2}'
    assert rewrite_members(b" { } ", {"b": 2}) == b' { "b":2} '


def test_members_of_the_same_name_further_down_are_left_alone() -> None:
    body = b'{"x":{"model":"inner"},"model":"outer","list":[{"model":1}]}'
    assert rewrite_members(body, {"model": "new"}) == b'{"x":{"model":"inner"},"model":"new","list":[{"model":1}]}'


def test_an_escaped_name_is_the_same_member() -> None:
    assert rewrite_members(b'{"mod\\u0065l":"a"}', {"model": "b"}) == b'{"mod\\u0065l":"b"}'


def test_no_change_returns_the_same_bytes() -> None:
    body = b' {"a" : 1.50e+1, "b":"\\u00e9"} '
    assert rewrite_members(body, {}) is body


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        rewrite_members(b"[1]", {"a": 1})


def sent(wire: Wire, body: bytes, **choices: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(upstream_body(parse_request(wire, body), **choices))
    return data


def test_a_body_that_needs_no_change_goes_up_byte_for_byte() -> None:
    body = b' {"model" : "m",\n"max_tokens":5, "messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}] }'
    assert upstream_body(parse_request(Wire.CHAT, body), model="m", max_tokens=5) is body
    asked = body.replace(b'"max_tokens"', b'"stream":true,"stream_options":{"include_usage":true},"max_tokens"')
    assert upstream_body(parse_request(Wire.CHAT, asked), model="m") is asked


def test_a_chat_stream_is_asked_for_usage_and_keeps_its_other_options() -> None:
    assert sent(Wire.CHAT, chat(stream=True), model="gpt-4o-mini")["stream_options"] == {"include_usage": True}
    options = {"include_obfuscation": False, "include_usage": False}
    assert sent(Wire.CHAT, chat(stream=True, stream_options=options), model="x")["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }
    assert sent(Wire.CHAT, chat(stream=True, stream_options=None), model="x")["stream_options"] == {
        "include_usage": True
    }


def test_only_chat_streams_are_asked_for_usage() -> None:
    assert "stream_options" not in sent(Wire.CHAT, chat(), model="x")
    assert "stream_options" not in sent(Wire.MESSAGES, messages(stream=True), model="x")


@pytest.mark.parametrize(
    ("members", "field", "expected"),
    [
        ({}, "max_completion_tokens", {"max_completion_tokens": 300}),
        ({}, "", {"max_tokens": 300}),
        ({"max_tokens": 1000}, "max_completion_tokens", {"max_tokens": 300}),
        (
            {"max_tokens": 1000, "max_completion_tokens": 1000},
            "max_tokens",
            {"max_tokens": 300, "max_completion_tokens": 300},
        ),
    ],
)
def test_a_ceiling_goes_where_the_caller_put_one_else_where_the_provider_wants_it(
    members: dict[str, int], field: str, expected: dict[str, int]
) -> None:
    data = sent(Wire.CHAT, chat(**members), model="x", max_tokens=300, field=field)
    assert {name: value for name, value in data.items() if "tokens" in name} == expected


def test_the_model_goes_up_under_the_providers_name() -> None:
    assert sent(Wire.MESSAGES, messages(), model="claude-x")["model"] == "claude-x"


@pytest.mark.parametrize(
    ("budget", "ceiling", "thinking"),
    [
        (10_000, 12_000, {"type": "enabled", "budget_tokens": 10_000}),
        (10_000, 10_000, {"type": "enabled", "budget_tokens": 9_999}),
        (10_000, 1_025, {"type": "enabled", "budget_tokens": 1_024}),
        (10_000, 1_024, {"type": "disabled"}),
        (20_000, 5_000, {"type": "enabled", "budget_tokens": 20_000}),
    ],
)
def test_thinking_fits_into_a_lowered_ceiling(budget: int, ceiling: int, thinking: dict[str, Any]) -> None:
    """One that was above the caller's own ceiling counts several answers, and stays."""
    asked = messages(max_tokens=16_000, thinking={"type": "enabled", "budget_tokens": budget})
    sent = json.loads(upstream_body(parse_request(Wire.MESSAGES, asked), model="m", max_tokens=ceiling))
    assert (sent["max_tokens"], sent["thinking"]) == (ceiling, thinking)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ('{"a": 1, "b": [2, {"a": 3}] , "c":4}', '{ "b": [2, {"a": 3}] , "c":4}'),
        ('{"b": "x,}", "a": {"b": 1}, "c": 4}', '{"b": "x,}", "c": 4}'),
        ('{"b": 1 , "a" : null }', '{"b": 1 }'),
        (' { "a" : 1 } ', " {} "),
        ('{"b": {"a": 1}}', '{"b": {"a": 1}}'),
        ("{}", "{}"),
    ],
)
def test_a_member_is_taken_out_and_the_rest_stays(body: str, left: str) -> None:
    made = without_member(body.encode(), "a")
    assert made.decode() == left
    assert json.loads(made) == {name: one for name, one in json.loads(body).items() if name != "a"}
