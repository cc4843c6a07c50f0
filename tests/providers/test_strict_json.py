"""A body is one unambiguous JSON object, or refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.strict_json import RequestError, parse_object


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b'"text"',
        b"null",
        b'{"a": 1,}',
        b'{"a": 1} {"b": 2}',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": [-Infinity]}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": "\n"}',
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as refusal:
        parse_object(body)
    assert refusal.value.code == "invalid_json"
    assert refusal.value.fix


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"max_tokens": 5, "model": "m", "max_tokens": 9000}', "max_tokens"),
        (b'{"a": {"b": 1, "b": 1}}', "b"),
        (b'{"a": [1, {"c": [], "d": 0, "c": {}}]}', "c"),
        (b'{"n": 1, "\\u006e": 2}', "n"),
    ],
)
def test_a_member_given_twice_is_refused_at_any_level(body: bytes, name: str) -> None:
    with pytest.raises(RequestError) as refusal:
        parse_object(body)
    assert (refusal.value.code, refusal.value.field) == ("duplicate_member", name)


def nested(depth: int) -> bytes:
    """An object of `depth` levels, lists and objects by turns."""
    inner: Any = 0
    for level in range(depth - 1):
        inner = [inner] if level % 2 else {"a": inner}
    return json.dumps({"a": inner}).encode()


@pytest.mark.parametrize("limit", [8, 128, 512])
def test_nesting_is_bounded_exactly(limit: int) -> None:
    assert parse_object(nested(limit), max_depth=limit)
    with pytest.raises(RequestError, match=f"deeper than {limit} levels"):
        parse_object(nested(limit + 1), max_depth=limit)


def test_many_shallow_containers_are_not_deep() -> None:
    data = {"a": [[1], {"b": [2]}] * 1000}
    assert parse_object(json.dumps(data).encode(), max_depth=8) == data


def test_brackets_inside_texts_do_not_count() -> None:
    data = {"a": "[{" * 1000}
    assert parse_object(json.dumps(data).encode(), max_depth=8) == data


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"0,", b'{"":0},', b"[[]],"])
def test_values_are_bounded_before_any_is_made(piece: bytes) -> None:
    """They would take seconds and a gigabyte in one piece of work, in which nothing else gets a turn."""
    with pytest.raises(RequestError, match="more than 1,000,000 commas and brackets") as refusal:
        parse_object(b'{"a": [' + piece * 1_000_001 + b"0]}")
    assert refusal.value.code == "invalid_json"


def test_as_many_values_as_anybody_sends_are_read() -> None:
    tokens = list(range(300_000))
    assert parse_object(json.dumps({"input": [tokens, tokens]}).encode()) == {"input": [tokens, tokens]}
    assert parse_object(b'{"a": "' + b"a, " * 900_000 + b'"}')


def test_nesting_beyond_any_stack_is_refused_not_raised() -> None:
    with pytest.raises(RequestError, match="deeper"):
        parse_object(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values, max_size=6))
def test_every_ordinary_object_is_read_as_json_reads_it(data: dict[str, Any]) -> None:
    assert parse_object(json.dumps(data).encode()) == data
