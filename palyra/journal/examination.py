"""What a journal tells of itself: whether it is sound, and what in it waits for somebody who is gone. Only reads.

Each part is asked for itself, so that a page that cannot be read hides no more than what is on it.
"""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import field, replace
from pathlib import Path
from typing import TypeVar

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError, StateError
from palyra.core.processes import started_ms
from palyra.core.values import value
from palyra.core.windows import DAY_MS
from palyra.journal.audit import HEAD_FILE, AuditReport, HeadFile, verify_chain
from palyra.journal.connection import ReaderPool, open_reader
from palyra.journal.job_rows import JobSource, JobState
from palyra.journal.journal import JOURNAL_FILE
from palyra.journal.migrations import version_of
from palyra.journal.readers import Readers
from palyra.journal.rows import CredentialRow
from palyra.journal.schema import LATEST
from palyra.journal.vector_extension import installed_extension

T = TypeVar("T")

NEWEST_LINKS = 5_000
"""Links of the audit chain that are followed where not all are."""
WHOLE_ROWS = 25_000
"""So many rows are all summed up again; of more only the newest."""
NEWEST_ROWS = 2_500
"""Of each table, and those before them of the same quarter of an hour, or day, that a sum is of."""
MOST_TOLD = 100
PAUSED_LONG_MS = DAY_MS
_COPY = "palyra-doctor-"


@value
class JournalSize:
    """Pages of `page_size` bytes, how many of them are free, and the bytes of the WAL."""

    page_size: int
    pages: int
    free: int
    wal_bytes: int


@value
class OpenHold:
    """A hold that has not ended. Times are UTC unix ms."""

    hold_id: str
    run_id: str
    boot_id: str
    created_at: int


@value
class JobTrouble:
    """A job that does not run, and why: faulted, or of the system and paused since `since` (UTC unix ms)."""

    job_id: str
    name: str
    state: str
    why: str
    by: str
    since: int


@value
class LeasedTask:
    """A task that a worker of the engine `boot_id` has begun."""

    task_id: str
    kind: str
    boot_id: str
    lease_until: int | None


@value
class Examined:
    """What was found. A part that could not be asked is in `problems`, by the name of its field, with the reason.

    `newest_at` is when the newest row was written. `integrity` has SQLite's own words, empty for a sound file, and
    `foreign_keys` rows that refer to none. `sums_whole` and `audit_whole`: not only what is recent was looked at.
    `holds` and `tasks` may be of an engine that runs: its boot is not told here. `zones` are those that operators'
    policies and jobs are reckoned in, `credentials` what is noted of those of providers.
    """

    version: int
    size: JournalSize | None = None
    newest_at: int | None = None
    integrity: tuple[str, ...] = ()
    foreign_keys: tuple[str, ...] = ()
    audit: AuditReport | None = None
    audit_whole: bool = True
    sums: tuple[str, ...] = ()
    sums_whole: bool = True
    holds: tuple[OpenHold, ...] = ()
    jobs: tuple[JobTrouble, ...] = ()
    tasks: tuple[LeasedTask, ...] = ()
    zones: tuple[str, ...] = ()
    job_names: tuple[str, ...] = ()
    credentials: tuple[CredentialRow, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def current(self) -> bool:
        """Whether the journal is of this version's schema."""
        return self.version == LATEST


class NotAJournalError(StateError):
    """What lies there cannot be opened as a journal at all; the message says why."""


class NoRoomError(StateError):
    """A journal with something in its WAL is examined on a copy, for which there is no room."""

    code = "no_room"


@value
class Asking:
    """How a journal is examined. `deep`: every row. `limit_s` is for each part, None for no limit. `live`: an engine
    writes to it meanwhile."""

    deep: bool = False
    limit_s: float | None = 30.0
    live: bool = False


async def examine(state_dir: Path, clock: Clock, asking: Asking) -> Examined:
    """Examines the journal of a state directory, leaving everything there as it is.

    One whose WAL holds something is examined on a copy, elsewhere, unless an engine is live. Raises NotAJournalError
    when it cannot be opened, NoRoomError, OSError.
    """
    async with _readable(state_dir / JOURNAL_FILE, live=asking.live) as (path, immutable):
        pool = await _pool(path, immutable=immutable)
        try:
            aside = await _pool(path, immutable=immutable)
            try:
                return await _examine(pool, aside, state_dir, clock, asking)
            finally:
                await aside.close()
        finally:
            await pool.close()


async def _pool(path: Path, *, immutable: bool) -> ReaderPool:
    try:
        return ReaderPool([await open_reader(path, installed_extension(), immutable=immutable)])
    except sqlite3.Error as error:
        raise NotAJournalError(str(error)) from error


class _Parts:
    """Asks for one part after another; `problems` has, by name, why one could not be had."""

    def __init__(self, clock: Clock, limit_s: float | None) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self.problems: dict[str, str] = {}

    async def ask(self, name: str, work: Callable[[], Awaitable[T]]) -> T | None:
        try:
            async with self._clock.timeout(self._limit_s):
                return await work()
        except TimeoutError:
            self.problems[name] = f"it took longer than {self._limit_s:g} s"
        except JournalUnavailableError as error:
            self.problems[name] = str(error.__cause__ or error.message)
        except (StateError, OSError, ValueError, TypeError) as error:
            self.problems[name] = str(error)
        return None


async def _examine(pool: ReaderPool, aside: ReaderPool, state_dir: Path, clock: Clock, asking: Asking) -> Examined:
    try:
        version = await pool.run(_opened)
    except JournalUnavailableError as error:
        raise NotAJournalError(str(error.__cause__ or error.message)) from error
    if version < 0:
        raise NotAJournalError("it is a database, but no journal of Palyra")
    parts = _Parts(clock, asking.limit_s)
    # It takes as long as all others together, and SQLite does it without this interpreter.
    integrity = asyncio.create_task(parts.ask("integrity", lambda: aside.run(_integrity)))
    try:
        found = await _structure(pool, parts, version, state_dir, asking)
        if version == LATEST:
            found = await _rows_of(found, pool, parts, clock.now_ms(), deep=asking.deep)
        return replace(found, integrity=await integrity or (), problems=parts.problems)
    finally:
        integrity.cancel()


async def _structure(pool: ReaderPool, parts: _Parts, version: int, state_dir: Path, asking: Asking) -> Examined:
    """What every version of the schema has."""
    wal = state_dir / f"{JOURNAL_FILE}-wal"
    head_file = HeadFile(state_dir / HEAD_FILE)
    links = None if asking.deep else NEWEST_LINKS
    size = await parts.ask("size", lambda: pool.run(lambda database: _size(database, _bytes_of(wal))))
    newest = await parts.ask("newest_at", lambda: pool.run(_newest))
    foreign_keys = await parts.ask("foreign_keys", lambda: pool.run(_foreign_keys)) or ()
    audit = await parts.ask(
        "audit", lambda: pool.run(lambda database: verify_chain(database, head_file, asking.live, links))
    )
    audit_whole = audit is None or asking.deep or audit.head.seq <= NEWEST_LINKS
    return Examined(version, size, newest, (), foreign_keys, audit, audit_whole)


async def _rows_of(found: Examined, pool: ReaderPool, parts: _Parts, now: int, *, deep: bool) -> Examined:
    """What can only be asked in the newest schema."""
    readers = Readers(pool)
    whole = deep or (await parts.ask("sums", lambda: pool.run(_rows)) or 0) <= WHOLE_ROWS
    return replace(
        found,
        sums=await parts.ask("sums", lambda: _sums(readers, whole=whole)) or (),
        sums_whole=whole,
        holds=await parts.ask("holds", lambda: pool.run(_open_holds)) or (),
        jobs=await parts.ask("jobs", lambda: _jobs(readers, now)) or (),
        tasks=await parts.ask("tasks", lambda: pool.run(_leased_tasks)) or (),
        zones=await parts.ask("zones", lambda: pool.run(_zones)) or (),
        credentials=await parts.ask("credentials", readers.credentials) or (),
        job_names=await parts.ask("job_names", lambda: pool.run(_job_names)) or (),
    )


@asynccontextmanager
async def _readable(path: Path, *, live: bool) -> AsyncIterator[tuple[Path, bool]]:
    """A file that can be read without touching the journal, and whether nobody writes to it."""
    if live:
        yield path, False
        return
    wal = path.with_name(f"{path.name}-wal")
    if not _bytes_of(wal):
        yield path, True
        return
    await asyncio.to_thread(_forget_copies)
    directory = Path(tempfile.mkdtemp(prefix=f"{_COPY}{os.getpid()}-"))
    try:
        needed = _bytes_of(path) + 2 * _bytes_of(wal)
        if shutil.disk_usage(directory).free < needed:
            raise NoRoomError(
                f"There is no room in {directory.parent} for a copy of the journal ({needed} bytes).",
                fix="Make room there, or start the engine.",
            )
        copy = directory / path.name
        for name in (path, wal):
            await asyncio.to_thread(shutil.copyfile, name, copy.with_name(name.name))
        yield copy, False
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _forget_copies() -> None:
    """Those of this account whose process was killed before it could remove them."""
    for path in Path(tempfile.gettempdir()).glob(f"{_COPY}*-*"):
        pid = path.name.removeprefix(_COPY).partition("-")[0]
        with suppress(OSError):
            if pid.isdecimal() and started_ms(int(pid)) is None and path.lstat().st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)


def _bytes_of(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _opened(database: sqlite3.Connection) -> int:
    """The version of its schema; -1 for a database of somebody else."""
    version = version_of(database)
    tables = database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'audit'").fetchone()[0]
    return version if version > 0 and tables else -1


def _size(database: sqlite3.Connection, wal_bytes: int) -> JournalSize:
    names = ("page_size", "page_count", "freelist_count")
    page_size, pages, free = (int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
    return JournalSize(page_size, pages, free, wal_bytes)


def _newest(database: sqlite3.Connection) -> int | None:
    times = [
        database.execute(sql).fetchone()[0]
        for sql in (
            "SELECT max(accepted_at) FROM runs",
            "SELECT max(at) FROM usage",
            "SELECT max(at) FROM (SELECT at FROM audit ORDER BY seq DESC LIMIT 1)",
        )
    ]
    return max((at for at in times if at is not None), default=None)


def _integrity(database: sqlite3.Connection) -> tuple[str, ...]:
    try:
        said = [str(row[0]) for row in database.execute(f"PRAGMA quick_check({MOST_TOLD})")]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        # Too damaged for the check itself.
        return (str(error),)
    return () if said == ["ok"] else tuple(said)


def _foreign_keys(database: sqlite3.Connection) -> tuple[str, ...]:
    rows = database.execute("PRAGMA foreign_key_check").fetchmany(MOST_TOLD)
    return tuple(f"{table} row {number} refers to no row of {parent}" for table, number, parent, _ in rows)


def _rows(database: sqlite3.Connection) -> int:
    counts = (f"(SELECT ifnull(max(seq), 0) FROM {table})" for table in ("runs", "usage", "decisions"))
    (rows,) = database.execute(f"SELECT {' + '.join(counts)}").fetchone()
    return int(rows)


async def _sums(readers: Readers, *, whole: bool) -> tuple[str, ...]:
    """What does not add up, of everything or of the newest rows."""
    if whole:
        return (await readers.rollup_differences())[:MOST_TOLD]
    found: list[str] = []
    for part, cursor in await readers.newest_cursors(NEWEST_ROWS):
        while cursor.partition(".")[0] == part and len(found) < MOST_TOLD:
            check = await readers.check_sums(cursor)
            found += check.differences
            cursor = check.cursor
    return tuple(found[:MOST_TOLD])


def _open_holds(database: sqlite3.Connection) -> tuple[OpenHold, ...]:
    columns = "hold_id, run_id, boot_id, created_at"
    found = database.execute(f"SELECT {columns} FROM holds WHERE state = 'held' ORDER BY boot_id, seq").fetchall()
    return tuple(OpenHold(*row) for row in found)


def _leased_tasks(database: sqlite3.Connection) -> tuple[LeasedTask, ...]:
    columns = "task_id, kind, boot_id, lease_until"
    found = database.execute(f"SELECT {columns} FROM tasks WHERE lease_until IS NOT NULL ORDER BY seq").fetchall()
    return tuple(LeasedTask(*row) for row in found)


def _zones(database: sqlite3.Connection) -> tuple[str, ...]:
    policies = "SELECT json_extract(body, '$.timezone') FROM policies WHERE json_valid(body)"
    found = database.execute(f"SELECT timezone FROM jobs UNION {policies}").fetchall()
    return tuple(sorted(zone for (zone,) in found if zone))


def _job_names(database: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(name for (name,) in database.execute("SELECT name FROM jobs ORDER BY seq"))


async def _jobs(readers: Readers, now: int) -> tuple[JobTrouble, ...]:
    unreadable = set(await readers.unreadable_jobs())
    found = []
    for job in await readers.jobs():
        long = job.source is JobSource.SYSTEM and job.state is JobState.PAUSED and now - job.state_at > PAUSED_LONG_MS
        if job.job_id in unreadable:
            found.append(JobTrouble(job.job_id, job.name, "unreadable", "", "", job.state_at))
        elif job.state is JobState.FAULTED or long:
            found.append(JobTrouble(job.job_id, job.name, job.state.value, job.why, job.state_by, job.state_at))
    return tuple(found)
