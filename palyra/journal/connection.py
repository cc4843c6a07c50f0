"""SQLite connections that live on a thread of their own and take whole jobs, one hop each."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiosqlite

from palyra.core.errors import BadInputError, JournalUnavailableError
from palyra.journal.vector_extension import NO_EXTENSION, VectorExtension

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], T]

BUSY_SECONDS = 2.0
"""How long a statement waits for a lock that another process holds."""

STEPS_BETWEEN_LOOKS = 1_000_000
"""Virtual machine steps of SQLite, some 10 ms, after which a reader looks whether it is to stop."""


class Connection(aiosqlite.Connection):
    """An aiosqlite connection whose thread runs plain functions over the sqlite3 connection."""

    async def open(self) -> None:
        """Raises what the connector raised, and then leaves no thread behind."""
        try:
            await self
        except BaseException:
            self._thread.join()
            raise

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


class ReaderConnection(Connection):
    """A connection that can only read and whose jobs can be stopped from the loop.

    `immutable`: nobody writes to the file and its WAL is empty, so that reading it leaves nothing beside it.
    """

    def __init__(self, path: Path, extension: VectorExtension, *, immutable: bool = False) -> None:
        super().__init__(self._open, iter_chunk_size=64)
        self._path = path
        self._options = "mode=ro&immutable=1" if immutable else "mode=ro"
        self._extension = extension
        self._stopped = False

    def start(self, job: Job[T], done: Callable[[T | None, BaseException | None], None]) -> None:
        self._stopped = False
        super().start(job, done)

    def stop_job(self) -> None:
        """Makes the job that runs now fail in its present or its next statement; call it only while one runs."""
        self._stopped = True
        if self._connection is not None:
            self._connection.interrupt()

    def _open(self) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?{self._options}"
        database = self._extension.connect(
            lambda: sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        )
        try:
            database.execute("PRAGMA query_only = ON")
            database.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            database.close()
            raise
        # An interrupt that comes between two statements is lost; this look, too rare to cost anything, is not.
        database.set_progress_handler(lambda: self._stopped, STEPS_BETWEEN_LOOKS)
        return database


async def open_writer(path: Path, checkpoint_pages: int) -> Connection:
    """The one connection that writes. Raises sqlite3.Error."""

    def connect() -> sqlite3.Connection:
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if database.execute("PRAGMA page_count").fetchone()[0] == 0:
                # Only an empty file takes this; without it, space that retention frees would never leave the file.
                database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.execute("PRAGMA journal_mode = WAL")
            for setting in (
                "synchronous = FULL",
                "foreign_keys = ON",
                # What was deleted, notes above all, is overwritten in the file.
                "secure_delete = ON",
                "temp_store = MEMORY",
                "cache_size = -16384",
                f"wal_autocheckpoint = {checkpoint_pages:d}",
            ):
                database.execute(f"PRAGMA {setting}")
        except BaseException:
            database.close()
            raise
        return database

    connection = Connection(connect, iter_chunk_size=64)
    await connection.open()
    return connection


async def open_reader(
    path: Path, extension: VectorExtension = NO_EXTENSION, *, immutable: bool = False
) -> ReaderConnection:
    """Raises sqlite3.Error."""
    connection = ReaderConnection(path, extension, immutable=immutable)
    await connection.open()
    return connection


class ReaderPool:
    """Connections that share the reading. A cancelled read is interrupted, and its connection serves the next one."""

    def __init__(self, connections: list[ReaderConnection]) -> None:
        self._all = connections
        self._free = deque(connections)
        self._turns = asyncio.Semaphore(len(connections))
        self._closed = False

    async def run(self, job: Job[T]) -> T:
        """Raises JournalUnavailableError when the database cannot be read or the pool is closed, BadInputError for a
        number of more than 64 bits or a text that cannot be written as UTF-8."""
        connection = await self._take()
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        running = True

        def done(result: T | None, error: BaseException | None) -> None:
            nonlocal running
            running = False
            self._give_back(connection)
            if answered.cancelled():
                return
            if isinstance(error, sqlite3.Error):
                answered.set_exception(_unreadable(error))
            elif isinstance(error, OverflowError):
                answered.set_exception(BadInputError("A number of the question is beyond what the journal can hold."))
            elif isinstance(error, UnicodeEncodeError):
                answered.set_exception(BadInputError("A text of the question is no UTF-8.", fix="Write it in UTF-8."))
            elif error is not None:
                answered.set_exception(error)
            else:
                answered.set_result(result)  # type: ignore[arg-type]

        connection.start(job, done)
        try:
            return await answered
        except asyncio.CancelledError:
            if running:
                connection.stop_job()
            raise

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator["ReaderPool"]:
        """A pool of one of these connections, in a transaction: all that is read there saw the same commits.

        Writing goes on meanwhile. Raises JournalUnavailableError when the pool is closed.
        """
        connection = await self._take()
        alone = ReaderPool([connection])
        try:
            await alone.run(_begin_snapshot)
            yield alone
        finally:
            alone._closed = True

            def done(_: None, error: BaseException | None) -> None:
                self._give_back(connection)

            connection.start(_end_snapshot, done)

    async def close(self) -> None:
        """Interrupts what still reads and closes every connection."""
        self._closed = True
        for connection in self._all:
            if connection not in self._free:
                connection.stop_job()
        for connection in self._all:
            await connection.close()

    async def _take(self) -> ReaderConnection:
        await self._turns.acquire()
        if self._closed:
            self._turns.release()
            raise _closed()
        return self._free.popleft()

    def _give_back(self, connection: ReaderConnection) -> None:
        self._free.append(connection)
        self._turns.release()


def _begin_snapshot(database: sqlite3.Connection) -> None:
    """A transaction sees the database as it is at its first read."""
    database.execute("BEGIN")
    database.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()


def _end_snapshot(database: sqlite3.Connection) -> None:
    if database.in_transaction:
        database.execute("ROLLBACK")


def _closed() -> JournalUnavailableError:
    return JournalUnavailableError("The journal is closed.")


def _unreadable(error: sqlite3.Error) -> JournalUnavailableError:
    told = JournalUnavailableError(
        f"The journal cannot be read: {error}.", fix="Restore it from backups/, or choose another --state-dir."
    )
    told.__cause__ = error
    return told
