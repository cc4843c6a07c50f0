"""The floor does what it is compared for: bytes pass as they are, and a kept request is durable before it is passed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from benchmarks.passthrough import Keeper, PassThrough

CHUNKS = (b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n")


class Provider:
    """Answers a request with what it was asked, or with a stream; looks at what is durable then."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self.durable: list[int] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._kept.exists():
            with closing(sqlite3.connect(f"file:{self._kept}?mode=ro", uri=True)) as database:
                self.durable += database.execute("SELECT count(*) FROM kept").fetchone()
        body = await request.read()
        if request.path == "/whole":
            return web.Response(status=429, body=body[::-1], content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for chunk in CHUNKS:
            await response.write(chunk)
        await response.write_eof()
        return response


@asynccontextmanager
async def listening(server: web.Server) -> AsyncIterator[str]:
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("keeps", [False, True])
async def test_requests_pass_and_a_kept_one_is_durable_first(tmp_path: Path, keeps: bool) -> None:
    provider = Provider(tmp_path / "kept.db")
    keeper = Keeper(tmp_path / "kept.db") if keeps else None
    async with ClientSession() as session, listening(web.Server(provider.answer)) as base:
        floor = PassThrough(session, base, keeper)
        async with listening(web.Server(floor.answer)) as before, ClientSession() as client:
            headers = {"content-type": "application/json"}

            async def asked(path: str) -> tuple[int, str, bytes]:
                async with client.post(before + path, data=b"abc", headers=headers) as got:
                    return got.status, got.content_type, await got.read()

            assert await asked("/whole") == (429, "application/json", b"cba")
            assert await asked("/stream") == (200, "text/event-stream", b"".join(CHUNKS))
            together = await asyncio.gather(*(asked("/whole") for _ in range(8)))
            assert len(together) == 8
    if keeps:
        # Each saw its own row at least, and the last one all.
        assert provider.durable[:2] == [1, 2]
        assert provider.durable[-1] <= 10 == max(provider.durable)
    else:
        assert not provider.durable
