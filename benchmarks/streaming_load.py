"""Reads many streams at once and takes the time that each chunk was on its way.

`python -m benchmarks.streaming_load URL MODEL STREAMS CHUNKS PID [HEADER…]` prints one line of JSON. Between the moment
when every stream runs and the moment when the first one ends, each chunk counts, and the processor time of PID
(0: of nobody). Where the first one ended before the last one ran, the whole time counts. The last part of URL tells the
wire: chat/completions or messages.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from benchmarks.parties import cpu_seconds

STAMP = re.compile(rb'" ([0-9a-f]{8})"')
LONGEST_STAMP = 12
WARM_UP = 25
"""Chunks of a stream before it counts as running."""
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """What was read. `missing`: chunks that never came. Times in milliseconds; of the processor in microseconds for
    each chunk, `first_ms` until a stream's first chunk. `together`: chunks read at once, on average; what is late comes
    together, and costs less so. `at_once`: whether all streams ever ran at the same time."""

    streams: int
    chunks: int
    missing: int
    failed: int
    per_second: float
    first_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    longest_ms: float
    cpu_us: float
    together: float
    at_once: bool


class Load:
    """All streams of one measurement."""

    def __init__(self, streams: int, pid: int) -> None:
        self._starting = streams
        self._streams = self._open = streams
        self._pid = pid
        self._measuring = False
        self._at_once = False
        self._begun = self._ended = (0.0, 0.0)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.delays: list[int] = []
        self.firsts: list[float] = []
        self.read = 0
        self._reads = 0
        self.failed = 0

    def _mark(self) -> tuple[float, float]:
        return time.monotonic(), cpu_seconds(self._pid) if self._pid else 0.0

    def begins(self) -> None:
        """The first stream is asked for."""
        self._measuring, self._begun = True, self._mark()

    def runs(self) -> None:
        self._starting -= 1
        if not self._starting and self._open == self._streams:
            self._at_once, self._begun, self._reads = True, self._mark(), 0
            self.delays.clear()

    def heard(self, delays: Sequence[int]) -> None:
        self.read += len(delays)
        if self._measuring:
            self.delays += delays
            self._reads += 1

    def ends(self, *, good: bool) -> None:
        self.failed += not good
        self._open -= 1
        if self._measuring and (self._at_once or not self._open):
            self._measuring, self._ended = False, self._mark()
        if not self._open and not self.over.done():
            self.over.set_result(None)

    def result(self, streams: int, chunks: int) -> Streamed:
        """Raises RuntimeError when nothing was read."""
        seconds, cpu = (after - before for before, after in zip(self._begun, self._ended, strict=True))
        if not self.delays or seconds <= 0:
            raise RuntimeError(f"no stream was read: {self.failed} of {streams} failed")
        ordered = sorted(self.delays)

        def at(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000

        return Streamed(
            streams=streams,
            chunks=len(ordered),
            missing=streams * chunks - self.read,
            failed=self.failed,
            per_second=round(len(ordered) / seconds, 1),
            first_ms=round(sorted(self.firsts)[len(self.firsts) // 2] * 1000, 1),
            p50_ms=at(0.5),
            p90_ms=at(0.9),
            p99_ms=at(0.99),
            longest_ms=at(1.0),
            cpu_us=round(cpu * 1e6 / len(ordered), 2),
            together=round(len(ordered) / self._reads, 2),
            at_once=self._at_once,
        )


class Reader(asyncio.Protocol):
    """One stream."""

    def __init__(self, load: Load, request: bytes) -> None:
        self._load = load
        self._request = request
        self._rest = b""
        self._read = 0
        self._ended = False
        self._asked = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._asked = time.monotonic()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns() // 1000
        if not self._asked:
            return
        data = self._rest + data
        delays: list[int] = []
        end = 0
        for stamp in STAMP.finditer(data):
            delays.append(now - int(stamp[1], 16) & 0xFFFFFFFF)
            end = stamp.end()
        self._rest = data[max(end, len(data) - LONGEST_STAMP) :]
        if delays:
            before, self._read = self._read, self._read + len(delays)
            if not before:
                self._load.firsts.append(time.monotonic() - self._asked)
            if before < WARM_UP <= self._read:
                self._load.runs()
            self._load.heard(delays)
        if b"[DONE]" in data or b"message_stop" in data:
            self._end(good=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(good=False)

    def _end(self, *, good: bool) -> None:
        if not self._ended:
            self._ended = True
            self._load.ends(good=good)
            if self._transport is not None:
                self._transport.close()


def request_bytes(url: str, model: str, chunks: int, headers: Sequence[str]) -> bytes:
    parts = urlsplit(url)
    body = json.dumps(
        {
            "model": model,
            "max_tokens": chunks,
            "stream": True,
            "messages": [{"role": "user", "content": "How do ledgers balance? " * 10}],
        }
    ).encode()
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", *headers]
    lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def measure(url: str, model: str, streams: int, chunks: int, pid: int, headers: Sequence[str]) -> Streamed:
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    load = Load(streams, pid)
    request = request_bytes(url, model, chunks, headers)
    load.begins()
    for _ in range(streams):
        await loop.create_connection(lambda: Reader(load, request), parts.hostname or "", parts.port or 80)
    async with asyncio.timeout(PATIENCE_S):
        await load.over
    return load.result(streams, chunks)


if __name__ == "__main__":
    _, url, model, streams, chunks, pid, *headers = sys.argv
    found = asyncio.run(measure(url, model, int(streams), int(chunks), int(pid), headers))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
