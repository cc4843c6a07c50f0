"""A provider that says exactly what it is told to, byte by byte, also what no HTTP library would send."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.support.upstream import PLAIN, STREAMS, Reply

EVENTS = "text/event-stream"
JSON = "application/json"


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    path: str
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)
        return data


@dataclass(frozen=True)
class Said:
    """An answer: its bytes in the pieces they are written in. What `stays` ends neither itself nor its connection."""

    pieces: tuple[bytes, ...]
    stays: bool = False


Script = Callable[[Heard], "Said | None"]


class Provider:
    """Answers as `script` says; where it says nothing, as providers do. `watch` is told before a byte is answered."""

    def __init__(self) -> None:
        self.script: Script | None = None
        self.watch: Callable[[Heard], None] | None = None
        self.heard: list[Heard] = []
        self.base_url = ""
        self.open = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0].partition(":")[2])) if lengths else b""
        heard = Heard(head.split(" ")[1], body)
        if not body:
            # A list of models is asked for; nobody attacks by it.
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        self.heard.append(heard)
        if self.watch is not None:
            self.watch(heard)
        said = self.script(heard) if self.script is not None else None
        if said is None:
            writer.write(await usual(heard))
            await writer.drain()
            return True
        for piece in said.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if said.stays:
            await reader.read()
        return False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Provider"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=64 * 1024 * 1024)
        host, port = server.sockets[0].getsockname()[:2]
        self.base_url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            server.close()


def answered(
    body: bytes | Sequence[bytes], kind: str = JSON, status: int = 200, *, headers: bytes = b"", stays: bool = False
) -> Said:
    """A well-framed answer of these bytes, in chunks where they are given as several."""
    start = b"HTTP/1.1 %d Said\r\nContent-Type: %b\r\n%b" % (status, kind.encode("latin-1"), headers)
    if isinstance(body, bytes):
        return Said((start + b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body),), stays)
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body if piece]
    return Said((start + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, *([] if stays else [b"0\r\n\r\n"])), stays)


async def usual(heard: Heard) -> bytes:
    """What a sound provider answers, also to what it cannot make sense of."""
    try:
        return await _sensible(heard.path, heard.json)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return answered(json.dumps({"error": {"message": str(error), "type": "x"}}).encode(), status=503).pieces[0]


async def _sensible(path: str, wants: dict[str, Any]) -> bytes:
    if wants.get("stream") and path in STREAMS:
        frames = [frame async for frame in STREAMS[path](wants, Reply()) if frame is not None]
        return b"".join(answered(frames, EVENTS).pieces)
    body = json.dumps(PLAIN[path](wants, Reply())).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
