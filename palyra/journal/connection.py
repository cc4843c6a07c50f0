"""SQLite connections that live on a thread of their own and take whole jobs, one hop each."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite

from palyra.core.errors import JournalUnavailableError

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], T]

BUSY_SECONDS = 2.0
"""How long a statement waits for a lock that another process holds."""


class Connection(aiosqlite.Connection):
    """An aiosqlite connection whose thread runs plain functions over the sqlite3 connection."""

    def start(self, job: Job[T], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Queues a job; `done(result, error)` is called on this loop when it has run, without a task in between."""
        if not self._running:
            raise ValueError("the connection is closed")
        loop = asyncio.get_running_loop()

        def work() -> None:
            result, error = None, None
            try:
                result = job(self._conn)
            except BaseException as raised:
                error = raised
            loop.call_soon_threadsafe(done, result, error)

        self._tx.put_nowait((None, work))

    async def run(self, job: Job[T]) -> T:
        """Runs a job and returns what it returned or raises what it raised. Cancelling stops only the waiting."""
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: T | None, error: BaseException | None) -> None:
            if answered.cancelled():
                return
            if error is not None:
                answered.set_exception(error)
            else:
                answered.set_result(result)  # type: ignore[arg-type]

        self.start(job, done)
        return await answered

    def stop_statement(self) -> None:
        """Makes the statement that runs now fail; does nothing between statements."""
        if self._connection is not None:
            self._connection.interrupt()


async def open_writer(path: Path, checkpoint_pages: int) -> Connection:
    """The one connection that writes. Raises sqlite3.Error."""

    def connect() -> sqlite3.Connection:
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            for setting in (
                "synchronous = FULL",
                "foreign_keys = ON",
                "temp_store = MEMORY",
                "cache_size = -16384",
                f"wal_autocheckpoint = {checkpoint_pages:d}",
            ):
                database.execute(f"PRAGMA {setting}")
        except BaseException:
            database.close()
            raise
        return database

    return await _opened(connect)


async def open_reader(path: Path) -> Connection:
    """A connection that can only read. Raises sqlite3.Error."""

    def connect() -> sqlite3.Connection:
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
        )
        try:
            database.execute("PRAGMA query_only = ON")
            database.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            database.close()
            raise
        return database

    return await _opened(connect)


async def _opened(connect: Callable[[], sqlite3.Connection]) -> Connection:
    connection = Connection(connect, iter_chunk_size=64)
    await connection
    return connection


class ReaderPool:
    """Connections that share the reading. A cancelled read is interrupted, and its connection serves the next one."""

    def __init__(self, connections: list[Connection]) -> None:
        self._all = connections
        self._free = deque(connections)
        self._turns = asyncio.Semaphore(len(connections))
        self._closed = False

    async def run(self, job: Job[T]) -> T:
        """Raises JournalUnavailableError when the database cannot be read or the pool is closed."""
        await self._turns.acquire()
        if self._closed:
            self._turns.release()
            raise _closed()
        connection = self._free.popleft()
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        running = True

        def done(result: T | None, error: BaseException | None) -> None:
            nonlocal running
            running = False
            self._free.append(connection)
            self._turns.release()
            if answered.cancelled():
                return
            if isinstance(error, sqlite3.Error):
                answered.set_exception(_unreadable(error))
            elif error is not None:
                answered.set_exception(error)
            else:
                answered.set_result(result)  # type: ignore[arg-type]

        connection.start(job, done)
        try:
            return await answered
        except asyncio.CancelledError:
            if running:
                connection.stop_statement()
            raise

    async def close(self) -> None:
        """Interrupts what still reads and closes every connection."""
        self._closed = True
        for connection in self._all:
            connection.stop_statement()
        for connection in self._all:
            await connection.close()


def _closed() -> JournalUnavailableError:
    return JournalUnavailableError("The journal is closed.")


def _unreadable(error: sqlite3.Error) -> JournalUnavailableError:
    return JournalUnavailableError(f"The journal cannot be read: {error}.", fix="Run `palyra doctor`.")
