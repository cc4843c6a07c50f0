"""Requests as attackers write them: sound ones of which any part may be something else, several on one connection."""

import json
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from tests.end_to_end.premises import MINI

Draw = st.DrawFn


def mostly(usual: bytes, *odd: bytes) -> st.SearchStrategy[bytes]:
    """What is usual five times of six."""
    return st.integers(0, 5).flatmap(lambda number: st.sampled_from(odd) if number == 5 else st.just(usual))


LINE_END = mostly(b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"\x0b\r\n", b"\r\n ", b"\r\n\t", b"")
METHOD = mostly(
    b"POST",
    b"GET",
    b"HEAD",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PUT",
    b"post",
    b"PRI",
    b"P\x00ST",
    b"",
    b"PO ST",
    b"\xff",
)
VERSION = mostly(
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"HTTP/1.1 ",
    b"http/1.1",
    b"HTTP/1.01",
    b"HTTP/11",
    b"",
    b"HTTP/1",
)
PATH = mostly(
    b"/v1/chat/completions",
    b"/v1/models",
    b"/healthz",
    b"/metrics",
    b"//v1/chat/completions",
    b"/v1/chat/completions?x=1",
    b"/v1/chat/completions#x",
    b"/v1/../v1/chat/completions",
    b"/v1/chat%2fcompletions",
    b"http://evil.example/v1/chat/completions",
    b"*",
    b"evil.example:443",
    b"/\xc3\xa9",
    b"/" + b"a" * 5000,
    b"/v1/chat\x00/completions",
    b"/v1/chat/completions /x",
    b"",
)
LENGTH = st.sampled_from(
    [
        b"+%d",
        b"-%d",
        b"0x%x",
        b"%d, %d",
        b" %d",
        b"%d ",
        b"0%d",
        b"%d.0",
        b"%de0",
        b"1%d",
        b"",
        b"\xb2",
        b"%d\x00",
        b"9" * 30,
    ]
)
NAME = st.sampled_from(
    [
        b"Content-Length",
        b"Transfer-Encoding",
        b"Content_Length",
        b"Content-Length ",
        b" Content-Length",
        b"Content-Length\x00",
        b"Transfer-Encoding\t",
        b"Trailer",
        b"TE",
        b"Expect",
        b"Upgrade",
        b"Connection",
        b"Keep-Alive",
        b"Host",
        b"Content-Type",
        b"Content-Encoding",
        b"Accept-Encoding",
        b"Authorization",
        b"x-api-key",
        b"Cookie",
        b"Origin",
        b"X-Palyra-Tags",
        b"X-Palyra-Session",
        b"X-Palyra-Park",
        b"X-Forwarded-Host",
        b"anthropic-version",
        b"anthropic-beta",
        b"openai-beta",
        b"",
        b":",
        b"\xff",
        b"X-A" * 3000,
    ]
)
VALUE = st.one_of(
    st.sampled_from(
        [
            b"chunked",
            b"identity",
            b"gzip",
            b"chunked, identity",
            b"xchunked",
            b"chunked;q=1",
            b"\tchunked",
            b"100-continue",
            b"200-maybe",
            b"websocket",
            b"h2c",
            b"close",
            b"keep-alive, Upgrade",
            b"evil.example",
            b"application/json; charset=utf-16",
            b"application/json; charset=utf-8; charset=utf-7",
            b"text/plain",
            b"a=b, c=d",
            b"a=" + b"b" * 70,
            b"0",
            b"Bearer plk_default_" + b"B" * 43,
            b"a\x00b",
            b"a\rb",
            b"\xff\xfe",
            b"v" * 20_000,
        ]
    ),
    st.binary(max_size=12),
)
FRAMINGS = (
    "length",
    "length",
    "length",
    "chunks",
    "chunks",
    "both",
    "two lengths",
    "neither",
    "odd length",
    "odd chunks",
)


@dataclass(frozen=True)
class Sent:
    """Bytes on one connection, in the pieces they leave in."""

    pieces: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


def body(user: str) -> bytes:
    asked = {"model": MINI, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "user": user}
    return json.dumps(asked).encode()


@st.composite
def chunked(draw: Draw, data: bytes) -> bytes:
    """The body in chunks whose sizes, ends and extensions may be anything."""
    cut = draw(st.integers(0, len(data)))
    told = b""
    for piece in (data[:cut], data[cut:]):
        if piece:
            size = draw(
                mostly(
                    b"%x" % len(piece),
                    b"0%x" % len(piece),
                    b"%X" % len(piece),
                    b"0x%x" % len(piece),
                    b"+%x" % len(piece),
                    b"-%x" % len(piece),
                    b"%x " % len(piece),
                    b"%x_0" % len(piece),
                    b"%x" % (len(piece) + 1),
                    b"%x" % max(0, len(piece) - 1),
                    b"f" * 16,
                    b"f" * 17,
                    b"g",
                    b"",
                )
            )
            more = draw(mostly(b"", b";a=b", b';a="b\r\nc"', b";", b" ; a", b";\n", b";" + b"x" * 9000))
            told += size + more + draw(LINE_END) + piece + draw(LINE_END)
    end = draw(mostly(b"0", b"00", b"0;x", b"0 ", b"-0", b""))
    trailer = draw(
        mostly(b"", b"X-A: b\r\n", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b"a\n", b"\x00\r\n")
    )
    return told + end + draw(LINE_END) + trailer + draw(LINE_END)


@st.composite
def request(draw: Draw, host: bytes, key: bytes, user: str) -> bytes:
    data = body(user)
    headers = [b"Host: " + host, b"Authorization: Bearer " + key, b"Content-Type: application/json"]
    framing = draw(st.sampled_from(FRAMINGS))
    length = b"Content-Length: %d" % len(data)
    if framing in ("length", "both", "two lengths"):
        headers.append(length)
    if framing in ("chunks", "both", "odd chunks"):
        headers.append(b"Transfer-Encoding: chunked")
    if framing == "two lengths":
        headers.append(b"Content-Length: %d" % draw(st.integers(0, len(data) + 5)))
    if framing == "odd length":
        form = draw(LENGTH)
        headers.append(b"Content-Length: " + (form % ((len(data),) * form.count(b"%")) if b"%" in form else form))
    if framing in ("chunks", "both", "odd chunks"):
        data = draw(chunked(data)) if framing == "odd chunks" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2)))):
        odd = draw(NAME) + draw(mostly(b": ", b":", b" : ", b"", b"\t:")) + draw(VALUE)
        headers.insert(draw(st.integers(0, len(headers))), odd)
    if draw(st.integers(0, 40)) == 40:
        headers += [b"X-%d: a" % number for number in range(10_000)]
    lines = b" ".join((draw(METHOD), draw(PATH), draw(VERSION))) + draw(LINE_END)
    ends = draw(st.lists(LINE_END, min_size=1, max_size=1)) + [b"\r\n"] * len(headers)
    for header, end in zip(headers, ends, strict=False):
        lines += header + end
    return lines + draw(LINE_END) + data


WAYS = ("put in", "put over", "gone", "twice", "cut off")


def damaged(draw: Draw, data: bytes) -> bytes:
    """The same with some bytes changed, gone, given twice, or slipped in."""
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2, 3)))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        noise = draw(
            st.sampled_from((b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b",", b"\t", b"\xff", b"0", b"\r\n\r\n"))
        )
        way = draw(st.sampled_from(WAYS))
        before, after = data[:at], data[at:]
        if way == "put in":
            data = before + noise + after
        elif way == "put over":
            data = before + noise + after[1:]
        elif way == "gone":
            data = before + after[1:]
        elif way == "twice":
            data = before + after[:40] + after
        else:
            data = before
    return data


@st.composite
def connections(draw: Draw, host: bytes, key: bytes) -> Sent:
    """One to three requests on one connection, cut into pieces anywhere."""
    count = draw(st.sampled_from((1, 1, 2, 3)))
    data = damaged(draw, b"".join(draw(request(host, key, f"caller-{number}")) for number in range(count)))
    cuts = sorted({0, *draw(st.lists(st.integers(0, len(data)), max_size=3)), len(data)})
    return Sent(tuple(data[start:end] for start, end in pairwise(cuts)))
