"""A provider to test against: real HTTP on loopback, both wires, plain and streamed, scripted where a test wants it.

Run as a program (`python -m tests.support.upstream READY_FILE`) it serves from its own process.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support import responses


@dataclass
class Reply:
    """How the next request is answered. `pieces` are the streamed texts; `text` joins them when not streamed.

    `gate`, when set, is awaited before piece `gate_at`; `break_at` closes the connection before that piece.
    """

    pieces: tuple[str, ...] = ("Hel", "lo ", "wor", "ld.")
    input_tokens: int = 12
    output_tokens: int = 4
    cached_tokens: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error_body: bytes | None = None
    usage: bool = True
    gate: asyncio.Event | None = None
    gate_at: int = 0
    break_at: int | None = None
    finish: str = "stop"
    raw: bytes | None = None
    """The whole body of a plain answer, whatever it is."""
    frames: tuple[bytes, ...] | None = None
    """The whole of a streamed answer, frame by frame, whatever it is; gates and breaks count frames."""
    unstreamed: bool = False
    """It answers in one piece although a stream was asked for."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    sent: list[bytes] = field(default_factory=list)
    finished: bool = False
    disconnected: bool = False

    @property
    def json(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)
        return data


class Upstream:
    """The mock. `replies` are used in order, then `default` for ever."""

    def __init__(self, default: Reply | None = None) -> None:
        self.default = default or Reply()
        self.replies: list[Reply] = []
        self.seen: list[Seen] = []
        self.base_url = ""
        self.arrived = asyncio.Condition()
        self.stop: Callable[[], Awaitable[None]]
        """Ends it early; its address refuses connections from then on. Set while serving."""
        self.choose: Callable[[Seen], Reply] | None = None
        self.models: list[str] | None = None
        """What it says when it is asked for its models; None: it has no such list."""

    def _next(self, seen: Seen) -> Reply:
        if self.choose is not None:
            return self.choose(seen)
        return self.replies.pop(0) if self.replies else self.default

    async def wait_for_requests(self, count: int) -> None:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.seen) >= count)

    async def _note(self, request: web.Request) -> Seen:
        seen = Seen(request.path, {k.lower(): v for k, v in request.headers.items()}, await request.read())
        async with self.arrived:
            self.seen.append(seen)
            self.arrived.notify_all()
        return seen

    async def list_models(self, request: web.Request) -> web.Response:
        if self.models is None:
            return web.json_response({"error": {"message": "there is no such list"}}, status=404)
        return web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = await self._note(request)
        reply = self._next(seen)
        if reply.status >= 400:
            body = reply.error_body or json.dumps({"error": {"message": "upstream says no", "type": "x"}}).encode()
            return web.Response(status=reply.status, body=body, content_type="application/json", headers=reply.headers)
        wants = seen.json
        if not wants.get("stream") or reply.unstreamed:
            if reply.gate is not None:
                await reply.gate.wait()
            if reply.break_at is not None:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            payload = PLAIN[request.path](wants, reply)
            body = reply.raw or json.dumps(payload, separators=(", ", ": ")).encode()
            seen.sent.append(body)
            seen.finished = True
            return web.Response(body=body, content_type="application/json", headers={"x-request-id": "up-1"})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        spoken = STREAMS[request.path]
        frames = spoken(wants, reply) if reply.frames is None else stream_frames(reply, reply.frames)
        try:
            await response.prepare(request)
            async for frame in frames:
                if frame is None:
                    assert request.transport is not None
                    request.transport.close()
                    return response
                seen.sent.append(frame)
                await response.write(frame)
        except (ConnectionError, asyncio.CancelledError):
            seen.disconnected = True
            async with self.arrived:
                self.arrived.notify_all()
            raise
        seen.finished = True
        await response.write_eof()
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Upstream"]:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        for path in PLAIN:
            application.router.add_post(path, self.handle)
        application.router.add_get("/v1/models", self.list_models)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.base_url = f"http://127.0.0.1:{port}"
        self.stop = runner.cleanup
        try:
            yield self
        finally:
            await runner.cleanup()


def plain_openai(wants: dict[str, Any], reply: Reply) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": wants["model"],
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": reply.finish}
        ],
    }
    if reply.usage:
        answer["usage"] = openai_usage(reply)
    return answer


def openai_usage(reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
    }


def plain_anthropic(wants: dict[str, Any], reply: Reply) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": wants["model"],
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": "end_turn" if reply.finish == "stop" else reply.finish,
        "stop_sequence": None,
    }
    if reply.usage:
        answer["usage"] = {
            "input_tokens": reply.input_tokens - reply.cached_tokens,
            "cache_read_input_tokens": reply.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": reply.output_tokens,
        }
    return answer


def plain_responses(wants: dict[str, Any], reply: Reply) -> dict[str, Any]:
    used = responses.usage(reply.input_tokens, reply.output_tokens, reply.cached_tokens) if reply.usage else None
    return responses.response(wants["model"], "completed", output=[responses.message(reply.text)], usage=used)


async def stream_responses(wants: dict[str, Any], reply: Reply) -> AsyncIterator[bytes | None]:
    used = responses.usage(reply.input_tokens, reply.output_tokens, reply.cached_tokens) if reply.usage else None
    position = 0
    for raw in responses.events(wants["model"], reply.pieces, used):
        if b"output_text.delta" in raw:
            if not await _gated(reply, position):
                yield None
                return
            position += 1
        yield raw


def plain_embeddings(wants: dict[str, Any], reply: Reply) -> dict[str, Any]:
    asked = wants["input"]
    count = len(asked) if isinstance(asked, list) and isinstance(asked[0], str) else 1
    data = [{"object": "embedding", "index": index, "embedding": [0.6, 0.8]} for index in range(count)]
    answer: dict[str, Any] = {"object": "list", "data": data, "model": wants["model"]}
    if reply.usage:
        answer["usage"] = {"prompt_tokens": reply.input_tokens, "total_tokens": reply.input_tokens}
    return answer


def plain_count(wants: dict[str, Any], reply: Reply) -> dict[str, Any]:
    return {"input_tokens": reply.input_tokens}


PLAIN: dict[str, Callable[[dict[str, Any], Reply], dict[str, Any]]] = {
    "/v1/chat/completions": plain_openai,
    "/v1/messages": plain_anthropic,
    "/v1/responses": plain_responses,
    "/v1/messages/count_tokens": plain_count,
    "/v1/embeddings": plain_embeddings,
}
"""How each address answers where nothing is streamed."""


def frame(data: dict[str, Any] | str, event: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode()


async def _gated(reply: Reply, position: int) -> bool:
    """Waits at the gate; False when the connection is to break here."""
    if reply.gate is not None and position == reply.gate_at:
        await reply.gate.wait()
    return reply.break_at is None or position != reply.break_at


async def stream_frames(reply: Reply, frames: tuple[bytes, ...]) -> AsyncIterator[bytes | None]:
    for position, raw in enumerate(frames):
        if not await _gated(reply, position):
            yield None
            return
        yield raw


async def stream_openai(wants: dict[str, Any], reply: Reply) -> AsyncIterator[bytes | None]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return frame(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1_790_000_000,
                "model": wants["model"],
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            }
        )

    yield chunk({"role": "assistant", "content": ""})
    for position, piece in enumerate(reply.pieces):
        if not await _gated(reply, position):
            yield None
            return
        yield chunk({"content": piece})
    yield chunk({}, reply.finish)
    if reply.usage and (wants.get("stream_options") or {}).get("include_usage"):
        yield frame(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1_790_000_000,
                "model": wants["model"],
                "choices": [],
                "usage": openai_usage(reply),
            }
        )
    yield frame("[DONE]")


async def stream_anthropic(wants: dict[str, Any], reply: Reply) -> AsyncIterator[bytes | None]:
    usage = {
        "input_tokens": reply.input_tokens - reply.cached_tokens,
        "cache_read_input_tokens": reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": 1,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": wants["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield frame({"type": "message_start", "message": message}, "message_start")
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield frame(block, "content_block_start")
    yield frame({"type": "ping"}, "ping")
    for position, piece in enumerate(reply.pieces):
        if not await _gated(reply, position):
            yield None
            return
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        yield frame(delta, "content_block_delta")
    yield frame({"type": "content_block_stop", "index": 0}, "content_block_stop")
    stop = "end_turn" if reply.finish == "stop" else reply.finish
    yield frame(
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": reply.output_tokens},
        },
        "message_delta",
    )
    yield frame({"type": "message_stop"}, "message_stop")


STREAMS: dict[str, Callable[[dict[str, Any], Reply], AsyncIterator[bytes | None]]] = {
    "/v1/chat/completions": stream_openai,
    "/v1/messages": stream_anthropic,
    "/v1/responses": stream_responses,
}
"""How each address streams its answer."""


async def serve_until_killed(ready: Path) -> None:
    async with Upstream(
        Reply(pieces=tuple("word " for _ in range(40)), input_tokens=30, output_tokens=40)
    ).serving() as up:
        ready.write_text(up.base_url + "\n")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve_until_killed(Path(sys.argv[1])))
