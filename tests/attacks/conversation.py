"""The caller's side of an attack: bytes go out as they are, and what comes back has to be whole answers of HTTP/1.1."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11

from palyra.providers.wires import Wire
from tests.attacks.target import Target
from tests.gateway.error_table import RETRY_AFTER, TABLE

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*\r\n")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([ -~]*)\r\n")
LONGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Whole:
    """One answer, complete. `cut` is one whose connection ended in the middle of its chunks."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def speak(target: Target, pieces: Sequence[bytes], *, leaves: bool = False) -> bytes:
    """Sends bytes on a connection of their own; all that came back once nothing more will; whoever `leaves` hears
    nothing."""
    parts = urlsplit(target.here.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=LONGEST)
    for piece in pieces:
        writer.write(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    if leaves:
        writer.transport.abort()
        return b""
    heard = asyncio.ensure_future(everything(reader))
    # Whoever answers no more, waits: until the limits of time have passed, and then for another request.
    await target.at_rest()
    if not heard.done():
        await target.clock.advance(11)
        await target.at_rest()
    if not heard.done():
        await target.clock.advance(61)
        await target.at_rest()
    writer.close()
    return await heard


async def asked(
    target: Target, path: str, body: bytes, *, leaves: bool = False, method: str = "POST", token: str | None = None
) -> Whole | None:
    """The one answer to a well-framed request, with the good key where no other `token` is given; None for whoever
    leaves without waiting for it."""
    token = target.here.key if token is None else token
    parts = urlsplit(target.here.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=LONGEST)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    if leaves:
        for _ in range(10):
            await asyncio.sleep(0)
        writer.transport.abort()
        return None
    heard = asyncio.ensure_future(everything(reader))
    await target.over(lambda: not heard.done())
    writer.close()
    answers = answers_in(await heard)
    assert len(answers) == 1, answers
    return answers[0]


async def everything(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    try:
        while piece := await reader.read(1 << 20):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces)


def answers_in(data: bytes, *, bodiless: bool = False) -> list[Whole]:
    """Every answer in what came. Raises AssertionError for what is none. `bodiless`: answers of HEAD may be among."""
    found: list[Whole] = []
    at = 0
    while at < len(data):
        line = STATUS_LINE.match(data, at)
        assert line is not None, data[at : at + 200]
        at = line.end()
        headers: dict[str, str] = {}
        while header := HEADER_LINE.match(data, at):
            name = header[1].decode().lower()
            assert name not in headers, name
            headers[name] = header[2].decode()
            at = header.end()
        assert data[at : at + 2] == b"\r\n", data[at : at + 200]
        at += 2
        status = int(line[1])
        if status == 100:
            continue
        body, at, cut = _body(headers, data, at, bodiless=bodiless)
        found.append(Whole(status, headers, body, cut))
    return found


def _body(headers: dict[str, str], data: bytes, at: int, *, bodiless: bool) -> tuple[bytes, int, bool]:
    assert not ("content-length" in headers and "transfer-encoding" in headers)
    if bodiless and (at == len(data) or data.startswith(b"HTTP/1.1 ", at)):
        return b"", at, False
    if "content-length" in headers:
        end = at + int(headers["content-length"])
        assert end <= len(data), "an answer is shorter than it says"
        return data[at:end], end, False
    if "transfer-encoding" not in headers:
        assert headers.get("connection") == "close"
        return data[at:], len(data), False
    pieces: list[bytes] = []
    while True:
        line, found, _ = data[at:].partition(b"\r\n")
        if not found:
            return b"".join(pieces), len(data), True
        size = int(line, 16)
        at += len(line) + 2
        if size == 0:
            assert data[at : at + 2] == b"\r\n"
            return b"".join(pieces), at + 2, False
        pieces.append(data[at : at + size])
        at += size
        assert data[at : at + 2] == b"\r\n"
        at += 2


def told_by_table(wire: Wire, answer: Whole) -> None:
    """A refusal has the shape of its dialect, and a status, type and code that clients rely on."""
    data = answer.json
    assert type(data) is dict
    error = data["error"]
    assert type(error["message"]) is str
    if wire is Wire.MESSAGES:
        assert data["type"] == "error"
        assert (answer.status, error["type"]) in TABLE, data
    else:
        assert error["code"] in TABLE[answer.status, error["type"]], data
    if answer.status in RETRY_AFTER:
        assert int(answer.headers["retry-after"]) >= 0


def as_others_read(data: bytes) -> list[bytes]:
    """The bodies of the whole requests in these bytes, as another server divides them (h11, strict by design), up to
    the first that it refuses.

    Line ends before a request belong to none: RFC 9112, section 2.2, has a server skip an empty line there, the
    usual servers skip any number of either sign, and h11 alone refuses them.
    """
    bodies: list[bytes] = []
    while data := data.lstrip(b"\r\n"):
        other = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 22)
        other.receive_data(data)
        body = _first_body(other)
        if body is None:
            break
        bodies.append(body)
        if other.their_state is not h11.DONE or other.our_state is not h11.DONE:
            break
        data = other.trailing_data[0]
    return bodies


def _first_body(other: h11.Connection) -> bytes | None:
    """The body of the request that begins here, answered; None if it is refused or has no end."""
    pieces: list[bytes] = []
    try:
        while True:
            event = other.next_event()
            if isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                other.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                other.send(h11.EndOfMessage())
                return b"".join(pieces)
            elif not isinstance(event, h11.Request):
                return None
    except h11.ProtocolError:
        return None
