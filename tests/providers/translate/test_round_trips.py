"""What can be carried keeps its meaning on the way there and back, however it comes in."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.providers.translate.chat_request import messages_of_chat
from palyra.providers.translate.messages_request import chat_of_messages
from palyra.providers.wires import Wire
from tests.providers.translate.answers import (
    call,
    chunk,
    chunks,
    contents,
    message,
    passed,
    request,
    said,
    translated,
    used_tool,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
URLS = st.sampled_from(["https://example.org/a.png", "data:image/png;base64,iVBORw0KGgo="])


def written(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


# Requests


@st.composite
def user_contents(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        return draw(TEXTS)
    parts: list[dict[str, Any]] = [{"type": "text", "text": text} for text in draw(st.lists(TEXTS, max_size=2))]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in draw(st.lists(URLS, min_size=1, max_size=2))]
    return draw(st.permutations(parts))


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """In the shape that a way back gives: instructions first, turns that alternate, nothing empty."""
    messages: list[dict[str, Any]] = []
    if system := draw(st.none() | TEXTS):
        messages.append({"role": "system", "content": system})
    messages.append({"role": "user", "content": draw(user_contents())})
    for turn in range(draw(st.integers(0, 3))):
        names = draw(st.lists(NAMES, max_size=2))
        text = draw(TEXTS) if not names else draw(st.none() | TEXTS)
        answer: dict[str, Any] = {"role": "assistant", "content": text}
        calls = [(f"call_{turn}_{place}", name, draw(OBJECTS)) for place, name in enumerate(names)]
        if calls:
            answer["tool_calls"] = [
                {"id": identity, "type": "function", "function": {"name": name, "arguments": written(arguments)}}
                for identity, name, arguments in calls
            ]
        messages.append(answer)
        results = [{"role": "tool", "tool_call_id": identity, "content": draw(TEXTS)} for identity, _, _ in calls]
        messages += results
        if not results or draw(st.booleans()):
            messages.append({"role": "user", "content": draw(user_contents())})
    return messages


@st.composite
def chat_bodies(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": draw(conversations())}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "stop": st.lists(TEXTS, min_size=1, max_size=3),
        "user": TEXTS,
        "service_tier": st.sampled_from(["auto", "default"]),
    }
    for name, contents_of in optional.items():
        if draw(st.booleans()):
            body[name] = draw(contents_of)
    if names := draw(st.lists(NAMES, max_size=2)):
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": draw(TEXTS),
                    "parameters": {"type": "object", **draw(OBJECTS)},
                },
            }
            for name in names
        ]
        body["tool_choice"] = draw(
            st.sampled_from(["auto", "required", "none", {"type": "function", "function": {"name": names[0]}}])
        )
        if body["tool_choice"] != "none" and draw(st.booleans()):
            body["parallel_tool_calls"] = False
    return body


@settings(max_examples=40)
@given(chat_bodies())
def test_a_chat_request_comes_back_as_it_was(body: dict[str, Any]) -> None:
    there = messages_of_chat({"model": "m", **body})
    back = chat_of_messages({"model": "m", "max_tokens": 9, **there.body})
    assert back.body == body
    assert there.dropped == back.dropped == ()


@settings(max_examples=40)
@given(chat_bodies())
def test_a_messages_request_comes_back_as_it_was(body: dict[str, Any]) -> None:
    messages = messages_of_chat({"model": "m", **body}).body
    chat = chat_of_messages({"model": "m", "max_tokens": 9, **messages}).body
    assert messages_of_chat({"model": "m", **chat}).body == messages


@settings(max_examples=40)
@given(chat_bodies())
def test_turns_alternate_and_begin_with_the_user(body: dict[str, Any]) -> None:
    roles = [turn["role"] for turn in messages_of_chat({"model": "m", **body}).body["messages"]]
    assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]


# Streams


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Pieces of text, and calls by name with the pieces of their arguments."""
    calls = []
    for name in draw(st.lists(NAMES, max_size=3)):
        whole = written(draw(OBJECTS))
        cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
        calls.append((name, [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]))
    return draw(st.lists(TEXTS, max_size=3)), calls


@st.composite
def cut_up(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=20)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def chat_stream(draw: st.DrawFn, texts: list[str], calls: list[tuple[str, list[str]]]) -> bytes:
    """The calls told in turns, each in order, as parallel ones may be."""
    pending = [
        [(place, name, step, part) for step, part in enumerate(parts)] for place, (name, parts) in enumerate(calls)
    ]
    deltas = [chunk(content=text) for text in texts]
    while left := [one for one in pending if one]:
        place, name, step, part = draw(st.sampled_from(left)).pop(0)
        identity = f"c{place}" if step == 0 else ""
        deltas.append(chunk(tool_calls=[call(place, identity=identity, name=name, arguments=part)]))
    return chunks(*deltas, chunk(finish="tool_calls" if calls else "stop"))


def messages_stream(texts: list[str], calls: list[tuple[str, list[str]]]) -> bytes:
    blocks = [said(0, *texts)] if texts else []
    blocks += [used_tool(place + len(blocks), f"c{place}", name, *parts) for place, (name, parts) in enumerate(calls)]
    return message(*blocks, reason="tool_use" if calls else "end_turn")


def heard_in_chunks(data: bytes) -> tuple[str, list[tuple[str, str, Any]], str]:
    """Text, calls and finish as a client puts them together."""
    text, finish = "", ""
    calls: dict[int, list[str]] = {}
    for one in contents(data):
        for choice in one["choices"]:
            finish = choice["finish_reason"] or finish
            text += choice["delta"].get("content") or ""
            for told in choice["delta"].get("tool_calls", ()):
                known = calls.setdefault(told["index"], ["", "", ""])
                known[0] += told.get("id", "")
                known[1] += told["function"].get("name", "")
                known[2] += told["function"].get("arguments", "")
    return text, sorted((identity, name, json.loads(rest)) for identity, name, rest in calls.values()), finish


def heard_in_events(data: bytes) -> tuple[str, list[tuple[str, str, Any]], str]:
    """The same of message events, whose blocks follow one another."""
    text, finish = "", ""
    calls: list[list[str]] = []
    opened, closed = 0, 0
    for one in contents(data):
        if one["type"] == "content_block_start":
            assert one["index"] == opened == closed
            opened += 1
            if one["content_block"]["type"] == "tool_use":
                calls.append([one["content_block"]["id"], one["content_block"]["name"], ""])
        elif one["type"] == "content_block_delta":
            assert one["index"] == closed
            text += one["delta"].get("text", "")
            if "partial_json" in one["delta"]:
                calls[-1][2] += one["delta"]["partial_json"]
        elif one["type"] == "content_block_stop":
            assert one["index"] == closed
            closed += 1
        elif one["type"] == "message_delta":
            finish = one["delta"]["stop_reason"]
    assert opened == closed
    return text, sorted((identity, name, json.loads(rest or "{}")) for identity, name, rest in calls), finish


FINISHES = {"tool_calls": "tool_use", "stop": "end_turn"}


@settings(max_examples=40)
@given(answers(), st.data())
def test_chunks_become_events_that_say_the_same(
    answer: tuple[list[str], list[tuple[str, list[str]]]], data: st.DataObject
) -> None:
    stream = data.draw(st.composite(chat_stream)(*answer))
    whole = passed(translated(request(Wire.MESSAGES), Wire.CHAT, [stream]))
    text, calls, finish = heard_in_chunks(stream)
    assert heard_in_events(whole) == (text, calls, FINISHES[finish])
    in_pieces = passed(translated(request(Wire.MESSAGES), Wire.CHAT, data.draw(cut_up(stream))))
    assert in_pieces == whole


@settings(max_examples=40)
@given(answers(), st.data())
def test_events_become_chunks_that_say_the_same(
    answer: tuple[list[str], list[tuple[str, list[str]]]], data: st.DataObject
) -> None:
    stream = messages_stream(*answer)
    whole = passed(translated(request(Wire.CHAT), Wire.MESSAGES, [stream]))
    text, calls, finish = heard_in_events(stream)
    heard = heard_in_chunks(whole)
    assert (heard[0], heard[1], FINISHES[heard[2]]) == (text, calls, finish)
    in_pieces = passed(translated(request(Wire.CHAT), Wire.MESSAGES, data.draw(cut_up(stream))))
    assert in_pieces == whole


def heard_in_items(data: bytes) -> tuple[str, list[tuple[str, str, Any]], str]:
    """The same of events of the responses wire, pieces and wholes agreeing with each other."""
    events = contents(data)
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    pieces: dict[str, str] = {}
    items: list[dict[str, Any]] = []
    for one in events:
        if one["type"].endswith(".delta"):
            pieces[one["item_id"]] = pieces.get(one["item_id"], "") + one["delta"]
        elif one["type"] == "response.output_item.done":
            assert one["output_index"] == len(items)
            items.append(one["item"])
    ended = events[-1]["response"]
    assert ended["output"] == items
    wholes = {item["id"]: item["content"][0]["text"] if "content" in item else item["arguments"] for item in items}
    assert wholes == pieces
    text = "".join(item["content"][0]["text"] for item in items if item["type"] == "message")
    calls = [
        (item["call_id"], item["name"], json.loads(item["arguments"])) for item in items if item["type"] != "message"
    ]
    return text, sorted(calls), "tool_calls" if calls else "stop"


@settings(max_examples=40)
@given(answers(), st.data())
def test_both_become_items_that_say_the_same(
    answer: tuple[list[str], list[tuple[str, list[str]]]], data: st.DataObject
) -> None:
    stream = data.draw(st.composite(chat_stream)(*answer))
    whole = passed(translated(request(Wire.RESPONSES), Wire.CHAT, [stream]))
    assert heard_in_items(whole) == heard_in_chunks(stream)
    assert passed(translated(request(Wire.RESPONSES), Wire.CHAT, data.draw(cut_up(stream)))) == whole
    blocks = messages_stream(*answer)
    text, calls, finish = heard_in_items(passed(translated(request(Wire.RESPONSES), Wire.MESSAGES, [blocks])))
    assert (text, calls, FINISHES[finish]) == heard_in_events(blocks)


@settings(max_examples=40)
@given(answers(), st.data())
def test_a_stream_comes_back_as_it_was(
    answer: tuple[list[str], list[tuple[str, list[str]]]], data: st.DataObject
) -> None:
    stream = data.draw(st.composite(chat_stream)(*answer))
    there = passed(translated(request(Wire.MESSAGES), Wire.CHAT, [stream]))
    back = passed(translated(request(Wire.CHAT), Wire.MESSAGES, [there]))
    assert heard_in_chunks(back) == heard_in_chunks(stream)
