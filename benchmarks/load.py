"""A closed-loop load on one address: each connection sends, waits for the whole answer, sends again.

`python -m benchmarks.load PORT KEY MODEL CONNECTIONS REQUESTS [RATE]` prints one line of JSON: requests per second and
latency percentiles in milliseconds. With RATE, requests start on a fixed schedule and latency counts from it.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered, and how soon: milliseconds from when each request was due."""

    requests: int
    errors: int
    per_second: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    longest_ms: float


def request_bytes(port: int, key: str, model: str) -> bytes:
    body = json.dumps(
        {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "How do ledgers balance? " * 16}]}
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at < 0:
        raise RuntimeError("the load expects answers with a length")
    await reader.readexactly(int(lower[at + 15 :].split(b"\r\n", 1)[0]))
    return head[9:12] == b"200"


async def measure(port: int, key: str, model: str, connections: int, requests: int, rate: float | None) -> Answered:
    request = request_bytes(port, key, model)
    latencies: list[float] = []
    errors = 0
    left = iter(range(requests))
    begun = time.perf_counter()

    async def worker() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for index in left:
            started = time.perf_counter()
            if rate is not None:
                due = begun + index / rate
                if due > started:
                    await asyncio.sleep(due - started)
                started = due
            ok = await _exchange(reader, writer, request)
            latencies.append((time.perf_counter() - started) * 1000)
            errors += not ok
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(worker())
    took = time.perf_counter() - begun
    ordered = sorted(latencies)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)

    return Answered(
        len(ordered), errors, round(len(ordered) / took, 1), at(0.5), at(0.9), at(0.99), round(ordered[-1], 3)
    )


if __name__ == "__main__":
    _, port, key, model, connections, requests, *rate = sys.argv
    result = asyncio.run(
        measure(int(port), key, model, int(connections), int(requests), float(rate[0]) if rate else None)
    )
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
