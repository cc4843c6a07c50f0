"""What providers say, sound and not: events and whole answers of which any value may be something else, cut, framed
and ended in any way."""

import gzip
import json
import zlib
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from palyra.providers.wires import Wire
from tests.attacks.bodies import HOSTILE, spoil, written
from tests.attacks.provider import EVENTS, JSON, Said, answered
from tests.support import responses

Draw = st.DrawFn
ODD_BODIES = (b"", b"null", b"[]", b"7", b'"x"', b"<html>", b"\xff", b"{", b"[" * 100_000)
NUMBER: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, 1, 4, 12, -1, None, "7", 1.5, True, [], {}, 2**31, 2**63, 10**12, 10**12 + 1, 10**30, "NaN"]),
    st.integers(-5, 200_000),
)
TEXTS = ("Hel", "lo ", "wörld", "\u202e\x1b[2J", "", "\r\ndata: x", "\ud83d\ude00", "x" * 3000)
KINDS = (EVENTS, f"{EVENTS}; charset=utf-16", JSON, "text/html", "", "a\x01b", "x" * 300)


BOMB = gzip.compress(b"\0" * 3_000_000)
STATUSES = (201, 202, 204, 300, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 529)


@dataclass(frozen=True)
class Scene:
    """One answer of a provider. `body` is what lies within its framing where that is sound, and then all of it came."""

    said: Said
    body: bytes | None


@st.composite
def usages(draw: Draw, names: tuple[str, ...]) -> Any:
    """A usage object, sound two times of three."""
    way = draw(st.integers(0, 5))
    if way == 0:
        return draw(HOSTILE)
    if way == 1:
        return {name: draw(NUMBER) for name in names if draw(st.booleans())}
    return {name: draw(st.integers(0, 50)) for name in names}


CHAT_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")
MESSAGES_USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
RESPONSES_USAGE = ("input_tokens", "output_tokens", "total_tokens")
FINISH = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "nonsense", None, 7, "end_turn"])


@st.composite
def chat_events(draw: Draw) -> list[tuple[str, Any]]:
    def chunk(**members: Any) -> dict[str, Any]:
        whole = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
        return {**whole, "choices": [{"index": 0, "delta": {}, "finish_reason": None}], **members}

    def delta(**members: Any) -> dict[str, Any]:
        return chunk(choices=[{"index": 0, "delta": members, "finish_reason": None}])

    call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    events: list[Any] = [delta(role="assistant", content="")]
    events += [delta(content=text) for text in draw(st.lists(st.sampled_from(TEXTS), max_size=4))]
    if draw(st.booleans()):
        events += [delta(tool_calls=[call]), delta(tool_calls=[{"index": 0, "function": {"arguments": '":1}'}}])]
    events.append(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": draw(FINISH)}]))
    events.append(chunk(choices=[], usage=draw(usages(CHAT_USAGE))))
    return [("", event) for event in events] + [("", "[DONE]")]


@st.composite
def messages_events(draw: Draw) -> list[tuple[str, Any]]:
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
    events: list[Any] = [
        {"type": "message_start", "message": {**message, "usage": draw(usages(MESSAGES_USAGE))}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    for text in draw(st.lists(st.sampled_from(TEXTS), max_size=4)):
        events.append({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
    events.append({"type": "content_block_stop", "index": 0})
    if draw(st.booleans()):
        block = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
        part = {"type": "input_json_delta", "partial_json": '{"a": 1}'}
        events.append({"type": "content_block_start", "index": 1, "content_block": block})
        events.append({"type": "content_block_delta", "index": 1, "delta": part})
        events.append({"type": "content_block_stop", "index": 1})
    stop = {"stop_reason": draw(FINISH), "stop_sequence": None}
    events.append({"type": "message_delta", "delta": stop, "usage": draw(usages(MESSAGES_USAGE))})
    events.append({"type": "message_stop"})
    return [(event["type"], event) for event in events]


@st.composite
def responses_events(draw: Draw) -> list[tuple[str, Any]]:
    pieces = tuple(draw(st.lists(st.sampled_from(TEXTS), max_size=4)))
    found: list[tuple[str, Any]] = []
    for raw in responses.events("gpt-4o", pieces, None):
        data = json.loads(raw.partition(b"data: ")[2])
        if data["type"] == "response.completed":
            data["response"]["usage"] = draw(usages(RESPONSES_USAGE))
        found.append((data["type"], data))
    return found


STREAMED = {Wire.CHAT: chat_events(), Wire.MESSAGES: messages_events(), Wire.RESPONSES: responses_events()}
ODD_FRAMES = (
    b": comment\n\n",
    b"\xef\xbb\xbf",
    b"\n\n\n",
    b"\r",
    b"\0\n",
    b"data\n\n",
    b"data:\n\n",
    b"event: error\n\n",
    b"retry: 10\nid: 7\n\n",
    b"data: [DONE]\n\n",
    b"data: 7\n\n",
    b"data: null\n\n",
    b"data: []\n\n",
    b"data: {\n\n",
    b'data: {"a": 1\ndata: }\n\n',
    b"data: <html>502</html>\n\n",
    b"data: \xff\xfe\n\n",
    b'data: {"error": {"message": "no", "type": "server_error", "code": 7}}\n\n',
    b'data: {"error": "no"}\n\n',
    b'data: {"error": {}}\n\n',
    b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}\n\n',
    b"data: " + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"\n\n",
    b"data: " + b"[" * 100_000 + b"\n\n",
    b'data: {"usage": ' + b"9" * 5000 + b"}\n\n",
    b"event: " + b"x" * 70_000 + b"\ndata: {}\n\n",
)


@st.composite
def frames(draw: Draw, wire: Wire) -> list[bytes]:
    """A stream's events as bytes: some of their values changed, some events moved, gone, twice, or others between."""
    events = list(draw(STREAMED[wire]))
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        place = draw(st.integers(0, len(events) - 1))
        name, event = events[place]
        way = draw(st.sampled_from(("spoilt", "spoilt", "gone", "twice", "first", "last")))
        if way == "spoilt" and isinstance(event, dict):
            events[place] = (name, spoilt := deepcopy(event))
            spoil(draw, spoilt)
        elif way == "gone" and len(events) > 1:
            del events[place]
        elif way == "twice":
            events.insert(place, events[place])
        elif way == "first":
            events.insert(0, events.pop(place))
        else:
            events.append(events.pop(place))
    end = draw(st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"\r")))
    told: list[bytes] = []
    for name, event in events:
        head = b"event: " + name.encode() + end if name else b""
        text = event if isinstance(event, str) else written(event)
        told.append(head + b"data: " + text.encode("utf-8", "surrogatepass") + end * 2)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        told.insert(draw(st.integers(0, len(told))), draw(st.sampled_from(ODD_FRAMES)))
    return told


@st.composite
def streams(draw: Draw, wire: Wire) -> Scene:
    """A streamed answer: cut into pieces anywhere, and ended early, by nothing, or well."""
    body = b"".join(draw(frames(wire)))
    kind = draw(st.sampled_from((EVENTS,) * 12 + KINDS))
    cuts = sorted({0, *draw(st.lists(st.integers(0, len(body)), max_size=4)), len(body)})
    pieces = [body[start:end] for start, end in pairwise(cuts)] or [b""]
    way = draw(st.sampled_from(("whole",) * 8 + ("cut", "cut", "stays", "length", "packed", "raw", "odd head")))
    if way == "cut":
        whole = answered(pieces, kind).pieces
        at = draw(st.integers(0, len(b"".join(whole))))
        return Scene(Said((b"".join(whole)[:at],)), None)
    if way == "stays":
        return Scene(answered(pieces, kind, stays=True), None)
    if way == "length":
        return Scene(answered(body, kind), body)
    if way == "packed":
        packed = draw(st.sampled_from((gzip.compress(body), zlib.compress(body), body, BOMB)))
        name = draw(st.sampled_from((b"gzip", b"deflate", b"br", b"identity", b"zstd", b"nonsense")))
        return Scene(answered([packed], kind, headers=b"Content-Encoding: " + name + b"\r\n"), None)
    if way == "raw":
        return Scene(Said((b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", *pieces)), body)
    if way == "odd head":
        return Scene(Said((draw(odd_heads()) + body,)), None)
    return Scene(answered(pieces, kind), body)


@st.composite
def odd_heads(draw: Draw) -> bytes:
    return draw(
        st.sampled_from(
            (
                b"",
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
                b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n",
                b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
                b"HTTP/1.1 204 No\r\n\r\n",
                b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-1/2\r\n\r\n",
                b"HTTP/1.1 299 Odd\r\n\r\n",
                b"HTTP/1.1 301 Moved\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/1.1 307 Moved\r\nLocation: /v1/chat/completions\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/1.1 304 Same\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n",
                b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n",
                b"HTTP/1.1 200 \xff\xfe\r\nX-\xff: \xfe\r\nContent-Type: text/event-stream\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Type: text/event-stream\r\nX\0: y\r\n\r\n",
                b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/9.9 200 OK\r\n\r\n",
                b"HTTP/2 200\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                b"<html>",
                b"HTTP/1.1 429 Later\r\nRetry-After: Wed, 99 Foo 9999 00:00:00 GMT\r\nContent-Length: 2\r\n\r\n{}",
                b"HTTP/1.1 429 Later\r\nRetry-After: 1e309\r\nContent-Length: 2\r\n\r\n{}",
                b"HTTP/1.1 503 Later\r\nRetry-After: -5\r\nretry-after-ms: nan\r\nContent-Length: 2\r\n\r\n[]",
                b"HTTP/1.1 500 Odd\r\nContent-Length: 9\r\n\r\n\xff\xfe\0{]}<\r\n",
                b'HTTP/1.1 400 No\r\nContent-Length: 24\r\n\r\n{"error": {"message": 7}}'[:-1],
            )
        )
    )


@st.composite
def plain_bodies(draw: Draw, wire: Wire) -> bytes:
    data: dict[str, Any]
    if wire is Wire.CHAT:
        message = {"role": "assistant", "content": draw(st.sampled_from(TEXTS))}
        choice = {"index": 0, "message": message, "finish_reason": draw(FINISH)}
        data = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": [choice]}
        data["usage"] = draw(usages(CHAT_USAGE))
    elif wire is Wire.MESSAGES:
        parts = [{"type": "text", "text": draw(st.sampled_from(TEXTS))}]
        parts += draw(st.sampled_from(([], [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}}])))
        data = {"id": "m1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": parts}
        data |= {"stop_reason": draw(FINISH), "stop_sequence": None, "usage": draw(usages(MESSAGES_USAGE))}
    elif wire is Wire.RESPONSES:
        output = [responses.message(draw(st.sampled_from(TEXTS)))]
        data = responses.response("gpt-4o", "completed", output=output, usage=draw(usages(RESPONSES_USAGE)))
    else:
        vectors = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
        data = {"object": "list", "data": vectors, "model": "e", "usage": draw(usages(CHAT_USAGE))}
    data = deepcopy(data)
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        spoil(draw, data)
    text = written(data).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 8)) == 0:
        return draw(st.sampled_from((*ODD_BODIES, text * 2, b"\xef\xbb\xbf" + text)))
    return text


@st.composite
def plain_answers(draw: Draw, wire: Wire) -> Scene:
    body = draw(plain_bodies(wire))
    way = draw(st.sampled_from(("whole",) * 8 + ("chunks", "cut", "packed", "odd head", "status", "status", "stays")))
    if way == "chunks":
        at = draw(st.integers(0, len(body)))
        return Scene(answered([body[:at], body[at:]]), body)
    if way == "cut":
        whole = b"".join(answered(body).pieces)
        return Scene(Said((whole[: draw(st.integers(0, len(whole) - 1))],)), None)
    if way == "packed":
        name = draw(st.sampled_from((b"gzip", b"deflate", b"br", b"nonsense")))
        packed = draw(st.sampled_from((gzip.compress(body), body, gzip.compress(b" " * 3_000_000))))
        return Scene(answered(packed, headers=b"Content-Encoding: " + name + b"\r\n"), None)
    if way == "odd head":
        return Scene(Said((draw(odd_heads()) + body,)), None)
    if way == "status":
        status = draw(st.sampled_from(STATUSES))
        return Scene(answered(body, draw(st.sampled_from((JSON, *KINDS))), status), None)
    if way == "stays":
        return Scene(answered([body], stays=True), None)
    return Scene(answered(body), body)
