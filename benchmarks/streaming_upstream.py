"""A provider of many streams at once: each sends a chunk every 20 ms that says when it left.

`python -m benchmarks.streaming_upstream FILE [PORT]` serves chat completions and writes its port to FILE. A request's
`max_tokens` is the number of its chunks. Their texts are a blank and the monotonic clock in microseconds, eight
hexadecimal digits of it, so that whoever reads one on this machine knows how long it was on its way.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

PER_SECOND = 50
SLOTS = 20
"""Streams take turns within those 20 ms, so that chunks leave evenly."""
SLOT_S = 1 / PER_SECOND / SLOTS

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(**members: object) -> bytes:
    common = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini",
    }
    return b"data: " + json.dumps({**common, **members}).encode() + b"\n\n"


def choice(delta: dict[str, str], finish: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


BEFORE, AFTER = choice({"content": " ????????"}).split(b"????????")
FRAME = b"%x\r\n" % (len(BEFORE) + 8 + len(AFTER)) + BEFORE + b"%08x" + AFTER + b"\r\n"


class Streaming(asyncio.Protocol):
    """One connection; answers one request at a time."""

    def __init__(self, slots: list[list["Streaming"]], turns: list[int]) -> None:
        self._slots = slots
        self._turns = turns
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._slot: list[Streaming] | None = None
        self._left = 0
        self._usage = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        asked = json.loads(self._buffer[end + 4 : end + 4 + length])
        self._buffer = self._buffer[end + 4 + length :]
        self._left = asked.get("max_completion_tokens") or asked["max_tokens"]
        usage = {"prompt_tokens": 60, "completion_tokens": self._left, "total_tokens": 60 + self._left}
        wanted = (asked.get("stream_options") or {}).get("include_usage")
        self._usage = chunked(event(choices=[], usage=usage)) if wanted else b""
        self._write(HEAD + chunked(choice({"role": "assistant", "content": ""})))
        self._turns[0] += 1
        self._slot = self._slots[self._turns[0] % SLOTS]
        self._slot.append(self)

    def tick(self) -> None:
        """Sends a chunk, the last one with all that ends the stream."""
        self._write(FRAME % (time.monotonic_ns() // 1000 & 0xFFFFFFFF))
        self._left -= 1
        if not self._left:
            self._leave()
            self._write(chunked(choice({}, "stop")) + self._usage + chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    def _leave(self) -> None:
        if self._slot is not None:
            self._slot.remove(self)
            self._slot = None

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(port_file: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    slots: list[list[Streaming]] = [[] for _ in range(SLOTS)]
    turns = [0]
    server = await loop.create_server(lambda: Streaming(slots, turns), "127.0.0.1", port, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    await asyncio.to_thread(Path(port_file).write_text, str(port))
    begun = loop.time()
    beat = 0
    while True:
        for stream in tuple(slots[beat % SLOTS]):
            stream.tick()
        beat += 1
        # Beats that came too late are made up for, so that the rate stays what it is said to be.
        await asyncio.sleep(max(0.0, begun + beat * SLOT_S - loop.time()))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
