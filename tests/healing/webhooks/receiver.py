"""A webhook to test against: a real HTTP server on loopback that answers as told and remembers what it got."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Got:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)
        return data


@dataclass
class Answer:
    """What it says next; `gate` holds it back until set."""

    status: int = 200
    text: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None


class Receiver:
    """`answers` are given in order, then `usual` for ever; `choose`, where set, decides instead."""

    def __init__(self) -> None:
        self.usual = Answer()
        self.answers: list[Answer] = []
        self.choose: Callable[[Got], Answer] | None = None
        self.got: list[Got] = []
        self.url = ""
        self._arrived = asyncio.Condition()

    async def until(self, count: int) -> None:
        """Waits until so many requests arrived in all."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.got) >= count)

    async def _serve(self, request: web.Request) -> web.Response:
        got = Got(request.path, {name.lower(): text for name, text in request.headers.items()}, await request.read())
        self.got.append(got)
        async with self._arrived:
            self._arrived.notify_all()
        answer = self._next() if self.choose is None else self.choose(got)
        if answer.gate is not None:
            await answer.gate.wait()
        return web.Response(status=answer.status, text=answer.text, headers=answer.headers)

    def _next(self) -> Answer:
        return self.answers.pop(0) if self.answers else self.usual


@asynccontextmanager
async def receiving(trust: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver._serve)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trust)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"{'http' if trust is None else 'https'}://127.0.0.1:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
