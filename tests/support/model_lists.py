"""Providers that list models: real HTTP on loopback, in pages, of either vendor's dialect."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class ModelLists:
    """Serves `/v1/models`. `models` are the ids or entries, `page` how many come at once (0: all, without pages).

    `status`, when set, is answered instead; `raw` is the whole body instead. `asked` has the query of every request,
    `headers` its headers. `gate`, when set, is awaited before answering.
    """

    def __init__(self, models: Sequence[str | dict[str, Any]] = (), page: int = 0) -> None:
        self.models = list(models)
        self.page = page
        self.status = 200
        self.raw: bytes | None = None
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self.base_url = ""
        self._runner: web.AppRunner | None = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.status != 200 or self.raw is not None:
            return web.Response(status=self.status, body=self.raw or b'{"error": {"message": "upstream says no"}}')
        entries = [one if isinstance(one, dict) else {"id": one} for one in self.models]
        after = request.query.get("after") or request.query.get("after_id")
        ids = [one["id"] for one in entries]
        start = ids.index(after) + 1 if after in ids else 0
        most = self.page or len(entries)
        shown = entries[start : start + most]
        body: dict[str, Any] = {"object": "list", "data": shown}
        if self.page:
            body |= {"has_more": start + most < len(entries), "last_id": shown[-1]["id"] if shown else None}
        return web.Response(body=json.dumps(body).encode(), content_type="application/json")

    async def stop(self) -> None:
        """Its address refuses connections from then on."""
        assert self._runner is not None
        await self._runner.cleanup()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ModelLists"]:
        application = web.Application()
        application.router.add_get("/v1/models", self._answer)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await self._runner.cleanup()
