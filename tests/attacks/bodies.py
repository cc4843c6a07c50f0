"""Bodies of every wire as attackers write them: sound ones, of which any value at any depth may be something else, and
whose very text may be damaged."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from palyra.providers.wires import Wire
from tests.end_to_end.premises import ACME, HAIKU, MINI

Draw = st.DrawFn
MEGABYTE = 1024 * 1024
PATHS: dict[str, Wire] = {
    "/v1/chat/completions": Wire.CHAT,
    "/v1/messages": Wire.MESSAGES,
    "/v1/messages/count_tokens": Wire.MESSAGES,
    "/v1/responses": Wire.RESPONSES,
    "/v1/embeddings": Wire.EMBEDDINGS,
}


@dataclass(frozen=True)
class Raw:
    """Stands in a tree for text that no encoder of JSON would write."""

    text: str


NUMBERS = (
    "NaN",
    "-Infinity",
    "1e400",
    "-1e400",
    "1e-400",
    "-0",
    "-0.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "9" * 400,
    "9" * 5000,
    "0.1",
    "1.0",
    "5e0",
    "+1",
    "01",
    ".5",
    "0x10",
    "1_000",
)
TEXTS = (
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u0000"',
    '"\\x00"',
    '"\x00"',
    '"\t"',
    "'single'",
    '"unended',
    '"\\u202e\\u001b[2J"',
    '"' + "é" * 1000 + '"',
    "undefined",
    "True",
    "//",
    "",
    "{} {}",
    '{"a": 1, "a": 2}',
    '{"a": 1, "\\u0061": 2}',
    "[1,]",
)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"$ref": "#"}}, "$defs": {"b": {"$ref": "#/$defs/b"}}}
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def nested(depth: int, kind: int) -> Raw:
    opening, closing = (("[", "]"), ('{"a":', "}"))[kind]
    return Raw(opening * depth + "1" + closing * depth)


HOSTILE: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 1.5, "", "a", "\ud83d", [], {}, [[]], [{}], {"": {}}, [None], "auto"]
    ),
    st.sampled_from([2**31, 2**31 - 1, 2**63, 2**64, 10**9, 10**9 + 1, 10**30]),
    st.sampled_from(NUMBERS).map(Raw),
    st.sampled_from(TEXTS).map(Raw),
    st.builds(nested, st.sampled_from((100, 126, 200, 3000)), st.integers(0, 1)),
    st.sampled_from(
        ["data:", "data:image/png;base64,", PICTURE, "data:text/html,<x>", "https://", "file:///etc/passwd"]
    ),
    st.sampled_from([SCHEMA, {"type": "text", "text": 7}, {"type": "image_url"}, {"type": "nonsense", "text": "x"}]),
    st.text(max_size=20),
    st.sampled_from([4096, 70_000]).map(lambda size: "w " * size),
    st.lists(st.integers(), max_size=3),
)
TEXT = st.sampled_from(["hello", "", "ä" * 20, "\u202e\x1b[2J", "json please"])
PART = st.sampled_from(
    [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}]},
        {"type": "thinking", "thinking": "x", "signature": "s"},
        {"type": "input_text", "text": "hi"},
        {"type": "input_image", "image_url": PICTURE, "detail": "low"},
    ]
)
CONTENT = TEXT | st.lists(PART, max_size=3)
CALLS = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
MESSAGE = st.one_of(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "system", "assistant"]),
        CONTENT,
    ),
    st.just({"role": "assistant", "content": None, "tool_calls": CALLS}),
    st.just({"role": "tool", "tool_call_id": "t1", "content": "r"}),
    st.just({"role": "developer", "content": "x"}),
)
ITEM = st.one_of(
    MESSAGE,
    st.just({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}),
    st.just({"type": "function_call_output", "call_id": "c", "output": "r"}),
    st.just({"type": "reasoning", "summary": []}),
    st.just({"type": "item_reference", "id": "x"}),
)
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA}
MODELS = st.sampled_from([MINI, HAIKU, ACME, "auto", "gpt-4o-mini"])

SOUND: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "/v1/chat/completions": {
        "messages": st.lists(MESSAGE, min_size=1, max_size=3),
        "max_tokens": st.just(5),
        "max_completion_tokens": st.just(5),
        "n": st.sampled_from([1, 2, 128]),
        "stream": st.booleans(),
        "stream_options": st.sampled_from([None, {}, {"include_usage": True}]),
        "temperature": st.sampled_from([0, 1, 2.0]),
        "top_p": st.just(0.5),
        "stop": st.sampled_from(["x", ["a", "b"], None]),
        "seed": st.just(7),
        "logprobs": st.booleans(),
        "top_logprobs": st.just(2),
        "logit_bias": st.just({"1": 5}),
        "user": st.just("u"),
        "tools": st.just([{"type": "function", "function": FUNCTION}]),
        "tool_choice": st.sampled_from(["auto", "none", "required", {"type": "function", "function": {"name": "f"}}]),
        "functions": st.just([FUNCTION]),
        "response_format": st.sampled_from(
            [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}]
        ),
        "reasoning_effort": st.just("low"),
        "service_tier": st.sampled_from(["auto", "flex"]),
        "modalities": st.just(["text", "audio"]),
        "audio": st.just({"voice": "alloy", "format": "wav"}),
        "prediction": st.just({"type": "content", "content": "x"}),
        "web_search_options": st.just({}),
        "metadata": st.just({"a": "b"}),
        "store": st.booleans(),
        "thinking": st.just({"type": "enabled", "budget_tokens": 1024}),
    },
    "/v1/messages": {
        "max_tokens": st.just(5),
        "messages": st.lists(MESSAGE, min_size=1, max_size=3),
        "system": st.sampled_from(["s", [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]]),
        "stream": st.booleans(),
        "stop_sequences": st.just(["x"]),
        "temperature": st.just(0.5),
        "top_k": st.just(5),
        "tools": st.sampled_from(
            [[{"name": "f", "input_schema": SCHEMA}], [{"type": "web_search_20250305", "name": "web_search"}]]
        ),
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "tool", "name": "f"}, {"type": "any"}]),
        "thinking": st.just({"type": "enabled", "budget_tokens": 1024}),
        "metadata": st.just({"user_id": "u"}),
        "service_tier": st.just("auto"),
        "mcp_servers": st.just([{"type": "url", "url": "https://x", "name": "x"}]),
        "speed": st.just("fast"),
    },
    "/v1/responses": {
        "input": TEXT | st.lists(ITEM, max_size=3),
        "instructions": TEXT,
        "max_output_tokens": st.just(5),
        "stream": st.booleans(),
        "background": st.booleans(),
        "store": st.booleans(),
        "previous_response_id": st.sampled_from([None, "resp_1"]),
        "conversation": st.sampled_from([None, "c", {"id": "c"}]),
        "prompt": st.sampled_from([None, {"id": "p"}]),
        "reasoning": st.just({"effort": "low", "summary": "auto"}),
        "text": st.sampled_from(
            [{"format": {"type": "json_object"}}, {"format": {"type": "text"}, "verbosity": "low"}]
        ),
        "tools": st.sampled_from(
            [[{"type": "function", "name": "f", "parameters": SCHEMA}], [{"type": "web_search"}], [{"type": "mcp"}]]
        ),
        "tool_choice": st.sampled_from(["auto", {"type": "function", "name": "f"}]),
        "max_tool_calls": st.just(2),
        "truncation": st.just("auto"),
        "include": st.just(["reasoning.encrypted_content"]),
        "service_tier": st.just("auto"),
    },
    "/v1/embeddings": {
        "input": st.sampled_from(["x", ["a", "b"], [1, 2, 3], [[1], [2]]]),
        "encoding_format": st.sampled_from(["float", "base64"]),
        "dimensions": st.just(3),
        "user": st.just("u"),
        "stream": st.just(False),
    },
}
SOUND["/v1/messages/count_tokens"] = {name: one for name, one in SOUND["/v1/messages"].items() if name != "max_tokens"}
NEEDED = frozenset({"messages", "input", "max_tokens"})


@st.composite
def trees(draw: Draw, path: str) -> dict[str, Any]:
    """A body of this address: mostly sound, with up to three values that are not."""
    tree: dict[str, Any] = {"model": draw(MODELS)}
    for name, values in SOUND[path].items():
        wanted = draw(st.integers(0, 5))
        if wanted == 0 or (name in NEEDED and wanted != 1):
            tree[name] = draw(values)
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, 3)))):
        spoil(draw, tree)
    return tree


def spoil(draw: Draw, tree: dict[str, Any]) -> None:
    """Puts something else in the place of one value, however deep it lies; the values in shared samples stay."""
    place: Any = tree
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or draw(st.booleans()):
            break
        place[key] = inner = inner.copy()
        place = inner
    way = draw(st.sampled_from(("else", "else", "else", "gone", "more")))
    if way == "else":
        place[key] = draw(HOSTILE)
    elif way == "gone":
        del place[key]
    elif isinstance(place, dict):
        place[draw(st.sampled_from(["Model", "MAX_TOKENS", "type", "__proto__", "a.b", "é", "\ud800", ""]))] = draw(
            HOSTILE
        )


def written(tree: Any) -> str:
    """As JSON, or what is left of it."""
    if isinstance(tree, Raw):
        return tree.text
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {written(value)}" for name, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(written, tree)) + "]"
    return json.dumps(tree)


@st.composite
def bodies(draw: Draw, path: str) -> bytes:
    text = written(draw(trees(path)))
    damage = draw(st.integers(0, 25))
    if damage == 0:
        at = draw(st.integers(0, len(text)))
        return (text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]).encode("utf-8", "replace")
    if damage == 1:
        return text[: draw(st.integers(0, len(text)))].encode("utf-8", "replace")
    if damage == 2:
        return text.encode(draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig"])), "replace")
    if damage == 3:
        at = draw(st.integers(0, len(text)))
        noise = draw(st.sampled_from([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x00"]))
        return text[:at].encode("utf-8", "replace") + noise + text[at:].encode("utf-8", "replace")
    if damage == 4:
        return draw(st.sampled_from([b"", b"null", b"[]", b'"x"', b"1", b"\n", b"{", b"[" * 20_000, b'{"a":' * 20_000]))
    if damage == 5:
        twice = draw(st.sampled_from(["model", "max_tokens", "stream", "n", "messages"]))
        return f'{text[:-1]}, "{twice}": {written(draw(HOSTILE))}, "{twice}": 9000}}'.encode("utf-8", "replace")
    if damage == 6:
        return b" " * draw(st.sampled_from([1000, MEGABYTE - len(text) - 100, MEGABYTE + 1])) + text.encode(
            "utf-8", "replace"
        )
    return text.encode("utf-8", "replace")
