"""A floor: the least that a proxy of the same libraries does, aiohttp's server in front and its client behind.

`python -m benchmarks.passthrough FILE UPSTREAM_PORT [DIRECTORY]` passes requests to that port of this machine and
answers back, byte by byte, and writes its own port to FILE. It knows no keys, budgets or prices, and keeps nothing.
With DIRECTORY each request is first one row of an SQLite database there, and not passed on before that is durable; one
transaction has the rows of all requests that wait. That is the price of the promise, and none of governance.
"""

import asyncio
import queue
import sqlite3
import sys
import threading
from pathlib import Path

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

from palyra.core.heap import settle_heap

ROW_BYTES = 512
"""Of each row, about what a hold takes."""


class Keeper:
    """Rows made durable by a thread of their own, all that wait in one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: queue.SimpleQueue[asyncio.Future[None]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, daemon=True).start()

    async def keep(self) -> None:
        """Returns once a row is durable."""
        durable: asyncio.Future[None] = self._loop.create_future()
        self._waiting.put(durable)
        await durable

    def _write(self) -> None:
        database = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("CREATE TABLE kept (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        row = (bytes(ROW_BYTES),)
        while True:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            database.execute("BEGIN")
            database.executemany("INSERT INTO kept (body) VALUES (?)", [row] * len(batch))
            database.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._done, batch)

    @staticmethod
    def _done(batch: list[asyncio.Future[None]]) -> None:
        for durable in batch:
            if not durable.done():
                durable.set_result(None)


class PassThrough:
    """Passes every request on as it is."""

    def __init__(self, session: ClientSession, base: str, keeper: Keeper | None) -> None:
        self._session = session
        self._base = base
        self._keeper = keeper

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if self._keeper is not None:
            await self._keeper.keep()
        headers = {"content-type": request.headers["content-type"], "authorization": "Bearer none"}
        async with self._session.request(request.method, self._base + request.path, data=body, headers=headers) as got:
            told = {"content-type": got.headers["content-type"]}
            if got.content_length is not None:
                return web.Response(status=got.status, body=await got.read(), headers=told)
            response = web.StreamResponse(status=got.status, headers=told)
            await response.prepare(request)
            async for data in got.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response


async def serve(port_file: Path, upstream_port: int, directory: Path | None) -> None:
    keeper = None if directory is None else Keeper(directory / "kept.db")
    connector = TCPConnector(limit=0)
    async with ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False) as session:
        passing = PassThrough(session, f"http://127.0.0.1:{upstream_port}", keeper)
        runner = web.ServerRunner(web.Server(passing.answer), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        settle_heap()
        port = runner.addresses[0][1]
        await asyncio.to_thread(port_file.write_text, str(port))
        await asyncio.Event().wait()


if __name__ == "__main__":
    _, file, upstream, *kept = sys.argv
    asyncio.run(serve(Path(file), int(upstream), Path(kept[0]) if kept else None))
