"""The journal of one state directory: submit units of changes, read what is durable, fence the two."""

import asyncio
import logging
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from palyra.core.clock import Clock, Timer
from palyra.core.errors import JournalUnavailableError, StateError
from palyra.core.spread import Spread
from palyra.journal.audit import HEAD_FILE, HeadFile, head_fits, newest_link
from palyra.journal.audit_chain import GENESIS, Link
from palyra.journal.batch import prepare
from palyra.journal.changes import Change
from palyra.journal.connection import Connection, ReaderConnection, ReaderPool, open_reader, open_writer
from palyra.journal.folding import Folded, fold_old_runs
from palyra.journal.migrations import migrate, version_of
from palyra.journal.readers import Readers
from palyra.journal.schema import MIGRATIONS
from palyra.journal.tidying import Tidied, tidy
from palyra.journal.upkeep import Checkpointed, checkpoint, forget_old_fires
from palyra.journal.vector_extension import VectorExtension, installed_extension
from palyra.journal.word_index import align
from palyra.journal.writer import JournalStats, Refused, Writer

log = logging.getLogger(__name__)

Listener = Callable[[Sequence[Change]], None]
Kept = TypeVar("Kept")

JOURNAL_FILE = "journal.db"
READERS = 2
NO_JOURNAL = "no_journal"
HEAD_SECONDS = 1.0
"""The head of the audit chain is written to its file at most this often."""


class Journal:
    """One process writes to it, the holder of the state directory's EngineLock. Made by `Journal.open`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        connection: Connection,
        pool: ReaderPool,
        head: Link,
        window_seconds: float,
        audit_intact: bool,
        extension: VectorExtension,
    ) -> None:
        self.path = path
        self.extension = extension
        self.audit_intact = audit_intact
        self.readers = Readers(pool)
        self._clock = clock
        self._connection = connection
        self._pool = pool
        self._closed = False
        self._listeners: list[Listener] = []
        self._writer = Writer(connection, clock, head, window_seconds, self._head_moved, self._parted)
        self._head_keeper = _HeadKeeper(HeadFile(path.parent / HEAD_FILE), clock)

    @classmethod
    async def open(
        cls,
        state_dir: Path,
        clock: Clock,
        *,
        commit_window_ms: int = 0,
        checkpoint_pages: int = 1000,
        backup_keep: int = 3,
        migrations: Sequence[tuple[int, str]] = MIGRATIONS,
        extension: VectorExtension | None = None,
    ) -> "Journal":
        """Opens `journal.db` in `state_dir`, making or migrating it first. `extension` None: the one installed.

        Raises StateError when the directory or file cannot be used: not writable, no journal, or of a newer Palyra.
        """
        path = state_dir / JOURNAL_FILE
        writer: Connection | None = None
        readers: list[ReaderConnection] = []
        extension = installed_extension() if extension is None else extension
        try:
            _prepare_file(path)
            writer = await open_writer(path, checkpoint_pages)
            await writer.run(lambda database: migrate(database, path, clock.now_ms(), backup_keep, migrations))
            await writer.run(align)
            await writer.run(prepare)
            head, intact = await writer.run(lambda database: _check_head(database, HeadFile(state_dir / HEAD_FILE)))
            for _ in range(READERS):
                readers.append(await open_reader(path, extension))
        except BaseException as error:
            for connection in (writer, *readers):
                if connection is not None:
                    await connection.close()
            if isinstance(error, sqlite3.Error):
                raise StateError(
                    f"{path} cannot be used: {error}.", fix="Restore it from backups/, or choose another --state-dir."
                ) from error
            if isinstance(error, OSError):
                raise StateError(
                    f"{error.filename or path} cannot be used: {error.strerror}.",
                    fix="Choose a directory you may write to with --state-dir.",
                ) from error
            raise
        return cls(path, clock, writer, ReaderPool(readers), head, commit_window_ms / 1000, intact, extension)

    @property
    def healthy(self) -> bool:
        """Whether the newest write succeeded. An unhealthy journal tries again with every submit."""
        return self._writer.healthy

    @property
    def stats(self) -> JournalStats:
        """What the writer did since the start."""
        return self._writer.stats()

    def slowest_commit_ms(self, seconds: float) -> float | None:
        """The 99th percentile of the commits that ended in the last so many seconds; None where none did."""
        return self._writer.slowest(seconds)

    @property
    def commits(self) -> Spread:
        """Seconds that commits took."""
        return self._writer.commits

    @property
    def batches(self) -> Spread:
        """Rows that commits wrote."""
        return self._writer.batches

    @property
    def behind(self) -> int:
        """Units that memory has moved by already and that a failed commit has left to be written."""
        return self._writer.behind

    def submit(
        self, unit: Sequence[Change], *, patient: bool = False, refused: Refused | None = None
    ) -> asyncio.Future[None]:
        """Queues changes that become durable together or not at all, in the order of the calls. `patient` ones, which
        nobody waits for, go with the next others, at the latest after 5 ms. Ones with `refused` are kept over failures
        until they are written, before all that is submitted later; it is called should they break a rule.

        The future resolves when they are durable; cancelling it, or the task that awaits it, does not take the write
        back. It raises JournalUnavailableError when the journal cannot be written and UnitRefusedError when the unit
        itself is at fault. `await submit(())` waits for everything submitted before.
        """
        for listener in self._listeners:
            try:
                listener(unit)
            except Exception:
                log.exception("a listener of the journal failed")
        return self._writer.submit(unit, patient=patient, refused=refused)

    def listen(self, listener: Listener) -> None:
        """Lets somebody hear each unit as it is submitted, before it is durable. Listeners must be quick; one that
        fails is logged and hinders nobody. A unit that has to be tried again is heard once."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def fence(self) -> AsyncIterator[Readers]:
        """Readers that see exactly what was submitted before `async with` and became durable, and nothing later.

        Writing goes on meanwhile. Do not hold a fence for long: the WAL cannot shrink below its snapshot.
        """
        gate = self._writer.gate()
        try:
            connection = await open_reader(self.path)
        except BaseException:
            gate.passed.set_result(None)
            raise
        pool = ReaderPool([connection])
        try:
            async with AsyncExitStack() as moment:
                try:
                    await gate.reached
                    now = await moment.enter_async_context(pool.at_one_moment())
                finally:
                    gate.passed.set_result(None)
                yield Readers(now)
        finally:
            await pool.close()

    async def close(self) -> None:
        """Writes what waits, checkpoints and closes every connection. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        await self._head_keeper.close()
        await self._pool.close()
        try:
            await self._connection.run(lambda database: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        except sqlite3.Error as error:
            log.warning("the journal could not be checkpointed at its end: %s", error)
        await self._connection.close()

    async def checkpoint(self) -> Checkpointed:
        """Moves what it can from the WAL into the database, without waiting for those who read.

        Raises JournalUnavailableError.
        """
        return await self._kept_up(checkpoint(self._connection))

    async def forget_old_fires(self) -> int:
        """Deletes fires that need not be kept, and tells how many. Raises JournalUnavailableError."""
        return await self._kept_up(forget_old_fires(self._connection, self._clock))

    async def fold_old_runs(self, before: int) -> Folded:
        """Lets go of runs that ended before a day of UTC begins (unix ms); sums and the balance that counters are
        rebuilt from keep what they used. Raises JournalUnavailableError."""
        return await self._kept_up(fold_old_runs(self._connection, self._clock, before))

    async def _kept_up(self, work: Awaitable[Kept]) -> Kept:
        try:
            return await work
        except (sqlite3.Error, ValueError) as error:
            raise JournalUnavailableError(f"The journal cannot be kept up: {error}.") from error

    async def tidy(self) -> Tidied:
        """Gives free space back to the disk, with the last traces of deleted texts; others are written meanwhile.

        Raises JournalUnavailableError.
        """
        try:
            return await tidy(self._connection, self._clock)
        except (sqlite3.Error, ValueError) as error:
            raise JournalUnavailableError(f"The journal cannot be tidied: {error}.") from error

    async def keep_head(self) -> None:
        """Has everything submitted so far written, and the head of the audit chain up to there in its file.

        Raises JournalUnavailableError.
        """
        await self._writer.submit(())
        await self._head_keeper.flush()

    def _head_moved(self, head: Link) -> None:
        if self.audit_intact:
            self._head_keeper.moved(head)

    def _parted(self, head: Link) -> None:
        """The last head that fitted is kept, and no later one: it is the only trace of rows that were cut off."""
        self._head_moved(head)
        self.audit_intact = False


class _HeadKeeper:
    """Writes the newest head of the audit chain to its file, off the loop and at most once a second."""

    def __init__(self, file: HeadFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._newest: Link | None = None
        self._timer: Timer | None = None
        self._writing: asyncio.Task[None] | None = None

    def moved(self, head: Link) -> None:
        self._newest = head
        if self._timer is None:
            self._timer = self._clock.call_later(HEAD_SECONDS, self._due)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self.flush()

    async def flush(self) -> None:
        """Writes the newest head now."""
        if self._writing is not None:
            await self._writing
        await self._write()

    def _due(self) -> None:
        if self._writing is not None and not self._writing.done():
            self._timer = self._clock.call_later(HEAD_SECONDS, self._due)
            return
        self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """A head that cannot be written is only older than it might be; the next commit brings the next try."""
        head, self._newest = self._newest, None
        if head is None:
            return
        try:
            await asyncio.to_thread(self._file.write, head)
        except OSError as error:
            log.warning("the head of the audit chain could not be written: %s", error)


def _prepare_file(path: Path) -> None:
    """Makes the directory and the file with narrow modes; SQLite gives its WAL the mode of the database."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        path.chmod(0o600)


def _check_head(database: sqlite3.Connection, file: HeadFile) -> tuple[Link, bool]:
    """The chain's end, and whether the head outside the database lies on the chain.

    A head that does not is left as it is: writing a new one would destroy the only trace of rows that were cut off.
    """
    newest = newest_link(database)
    try:
        head = file.read()
    except StateError as error:
        log.error("%s", error)
        return newest, False
    if head is None and newest == GENESIS and not _used(database):
        file.write(GENESIS)
        return newest, True
    if head is None or not head_fits(database, head):
        log.error("the audit chain does not reach the head kept in %s: rows may have been cut off", file.path)
        return newest, False
    return newest, True


def _used(database: sqlite3.Connection) -> bool:
    """Whether this journal has told of something, so that its chain was longer than it is."""
    (used,) = database.execute("SELECT EXISTS (SELECT 1 FROM runs) OR EXISTS (SELECT 1 FROM decisions)").fetchone()
    return bool(used)


@asynccontextmanager
async def open_readers(state_dir: Path) -> AsyncIterator[Readers]:
    """Reads the journal of a state directory whether an engine holds it or not; writes nothing.

    Raises StateError when there is no journal (code `no_journal`), or one of a newer Palyra.
    """
    path = state_dir / JOURNAL_FILE
    if not path.is_file():
        raise StateError(
            f"There is no journal in {state_dir}.",
            fix="Start palyra-tui or `palyra serve` there first.",
            code=NO_JOURNAL,
        )
    latest = MIGRATIONS[-1][0]
    try:
        connection = await open_reader(path, installed_extension())
        pool = ReaderPool([connection])
        try:
            version = await connection.run(version_of)
            if version != latest:
                raise StateError(
                    f"The journal {path} has schema version {version}; this Palyra reads {latest}.",
                    fix="Start the engine once to bring an older one up to date, or upgrade Palyra for a newer one.",
                    code="journal_newer" if version > latest else "journal_older",
                )
            yield Readers(pool)
        finally:
            await pool.close()
    except sqlite3.Error as error:
        raise StateError(
            f"{path} cannot be read: {error}.", fix="Restore it from backups/, or choose another --state-dir."
        ) from error


@asynccontextmanager
async def empty_readers(clock: Clock) -> AsyncIterator[Readers]:
    """Readers of a journal in which nothing has been written yet."""
    with tempfile.TemporaryDirectory(prefix="palyra-") as directory:
        journal = await Journal.open(Path(directory), clock)
        await journal.close()
        async with open_readers(Path(directory)) as readers:
            yield readers
