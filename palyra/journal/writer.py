"""Group commit: everything that waits becomes durable in one transaction, while the next batch gathers."""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from palyra.core.clock import Clock, Timer
from palyra.core.errors import JournalUnavailableError, PalyraError
from palyra.core.values import value
from palyra.journal.audit import newest_link
from palyra.journal.audit_chain import Link
from palyra.journal.batch import MAX_ROWS, REFUSALS, Unit, assemble, encode, write
from palyra.journal.changes import Change
from palyra.journal.connection import Connection

log = logging.getLogger(__name__)

REMEMBERED_COMMITS = 1024
PATIENCE_SECONDS = 0.005
"""How long units nobody waits for lie until a commit of their own; any other unit takes them along at once."""


class UnitRefusedError(PalyraError):
    """This unit breaks a rule of the journal; nothing of it was written, and the units beside it are not touched."""

    code = "unit_refused"


@value
class JournalStats:
    """How the writer does. Times in milliseconds; percentiles over the newest commits."""

    healthy: bool
    queue_units: int
    queue_rows: int
    commits_total: int
    units_total: int
    refused_total: int
    failures_total: int
    last_commit_ms: float
    last_commit_at: int | None
    last_batch_rows: int
    commit_p50_ms: float
    commit_p99_ms: float
    last_error: str


@dataclass(slots=True)
class _Waiting:
    unit: Unit
    durable: asyncio.Future[None]
    patient: bool


@dataclass(slots=True)
class Gate:
    """Holds the writer between two batches: `reached` resolves there, and it goes on once `passed` is done."""

    reached: asyncio.Future[None]
    passed: asyncio.Future[None]


@value
class _Committed:
    head: Link
    refused: dict[int, Exception] = field(default_factory=dict)


class Writer:
    """Owns the writing connection. Not a task but callbacks: the turn of the loop that hears of a commit starts the
    next one, so a busy loop does not add its own rounds to every commit."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        head: Link,
        window_seconds: float = 0.0,
        on_head: Callable[[Link], None] | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._head: Link | None = head
        self._window_seconds = window_seconds
        self._on_head = on_head
        self._queue: deque[_Waiting | Gate] = deque()
        self._queue_rows = 0
        self._urgent = 0
        """Gates and units in the queue that somebody waits for."""
        self._armed = False
        self._window: Timer | None = None
        self._patience: Timer | None = None
        self._busy = False
        self._closed = False
        self._healthy = True
        self._commits_total = 0
        self._units_total = 0
        self._refused_total = 0
        self._failures_total = 0
        self._last_commit_at: int | None = None
        self._last_batch_rows = 0
        self._last_error = ""
        self._durations: deque[float] = deque(maxlen=REMEMBERED_COMMITS)

    @property
    def healthy(self) -> bool:
        return self._healthy

    def submit(self, changes: Sequence[Change], *, patient: bool = False) -> asyncio.Future[None]:
        """Queues a unit. The future resolves when it is durable; cancelling it does not take the unit back. A `patient`
        unit waits for others to go with, since a commit for it alone would stand in the way of those.

        The future raises JournalUnavailableError when the journal cannot be written, UnitRefusedError when the unit
        breaks a rule. An empty unit resolves when everything submitted before it has been dealt with.
        """
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            durable.set_exception(JournalUnavailableError("The journal is closed."))
            return durable
        try:
            unit = encode(changes)
        except (TypeError, ValueError, RecursionError) as error:
            self._refused_total += 1
            durable.set_exception(_refused(error))
            return durable
        self._queue.append(_Waiting(unit, durable, patient))
        self._queue_rows += unit.rows
        self._urgent += not patient
        self._arm()
        return durable

    def gate(self) -> Gate:
        """Queues a stop of the writer between what was submitted before this call and what comes after it."""
        loop = asyncio.get_running_loop()
        gate = Gate(loop.create_future(), loop.create_future())
        if self._closed:
            gate.reached.set_exception(JournalUnavailableError("The journal is closed."))
            return gate
        self._queue.append(gate)
        self._urgent += 1
        self._arm()
        return gate

    async def close(self) -> None:
        """Writes what waits, then takes no more."""
        done = self.submit(())
        self._closed = True
        if self._window is not None:
            self._window.cancel()
            self._start()
        with suppress(JournalUnavailableError):
            await done

    def _arm(self) -> None:
        if self._busy or self._armed or not self._queue:
            return
        if not self._urgent:
            if self._patience is None:
                self._patience = self._clock.call_later(PATIENCE_SECONDS, self._out_of_patience)
            return
        self._armed = True
        if self._window_seconds and not self._closed:
            self._window = self._clock.call_later(self._window_seconds, self._start)
        else:
            asyncio.get_running_loop().call_soon(self._start)

    def _out_of_patience(self) -> None:
        self._patience = None
        if not self._armed:
            self._start()

    def _start(self) -> None:
        """Puts the next batch on the thread, or opens the gate that stands in front of it."""
        self._armed = False
        self._window = None
        if self._busy or not self._queue:
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        first = self._queue[0]
        self._busy = True
        if isinstance(first, Gate):
            self._queue.popleft()
            self._urgent -= 1
            first.passed.add_done_callback(self._pass)
            if not first.reached.done():
                first.reached.set_result(None)
            return
        batch = self._take_batch()
        units = [waiting.unit for waiting in batch]
        head = self._head
        ready = None if head is None else assemble(units, head)
        started = self._clock.monotonic()

        def done(committed: _Committed | None, error: BaseException | None) -> None:
            self._busy = False
            if committed is None:
                self._fail(batch, error)
            else:
                self._succeed(batch, committed, started)
            if self._window_seconds or not self._urgent:
                self._arm()
            else:
                self._start()

        self._connection.start(lambda database: _commit(database, units, head, ready), done)

    def _take_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        rows = 0
        while self._queue:
            waiting = self._queue[0]
            if isinstance(waiting, Gate) or (batch and rows + waiting.unit.rows > MAX_ROWS):
                break
            self._queue.popleft()
            self._urgent -= not waiting.patient
            batch.append(waiting)
            rows += waiting.unit.rows
        self._queue_rows -= rows
        return batch

    def _pass(self, _: asyncio.Future[None]) -> None:
        self._busy = False
        self._start()

    def _succeed(self, batch: list[_Waiting], committed: _Committed, started: float) -> None:
        rows = sum(waiting.unit.rows for waiting in batch)
        if rows:
            self._durations.append((self._clock.monotonic() - started) * 1000)
            self._healthy = True
            self._commits_total += 1
            self._units_total += len(batch) - len(committed.refused)
            self._refused_total += len(committed.refused)
            self._last_commit_at = self._clock.now_ms()
            self._last_batch_rows = rows
        moved = committed.head != self._head
        self._head = committed.head
        for index, waiting in enumerate(batch):
            if waiting.durable.done():
                continue
            if index in committed.refused:
                waiting.durable.set_exception(_refused(committed.refused[index]))
            else:
                waiting.durable.set_result(None)
        if moved and self._on_head is not None:
            self._on_head(committed.head)

    def _fail(self, batch: list[_Waiting], error: BaseException | None) -> None:
        """Nobody knows how long this lasts: everyone who waits is told now, and the next submit tries again."""
        log.error(
            "the journal could not be written: %s", error, exc_info=not isinstance(error, sqlite3.Error) and error
        )
        self._healthy = False
        self._failures_total += 1
        self._last_error = str(error)
        self._head = None
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        fix = (
            "Free disk space; Palyra goes on by itself."
            if full
            else "Restore it from backups/, or choose another --state-dir."
        )
        failed = batch + [waiting for waiting in self._queue if isinstance(waiting, _Waiting)]
        self._queue = deque(waiting for waiting in self._queue if isinstance(waiting, Gate))
        self._queue_rows = 0
        self._urgent = len(self._queue)
        for waiting in failed:
            if not waiting.durable.done():
                waiting.durable.set_exception(
                    JournalUnavailableError(f"The journal cannot be written: {error}.", fix=fix)
                )

    def stats(self) -> JournalStats:
        ordered = sorted(self._durations)
        return JournalStats(
            healthy=self._healthy,
            queue_units=sum(isinstance(waiting, _Waiting) for waiting in self._queue),
            queue_rows=self._queue_rows,
            commits_total=self._commits_total,
            units_total=self._units_total,
            refused_total=self._refused_total,
            failures_total=self._failures_total,
            last_commit_ms=self._durations[-1] if self._durations else 0.0,
            last_commit_at=self._last_commit_at,
            last_batch_rows=self._last_batch_rows,
            commit_p50_ms=ordered[len(ordered) // 2] if ordered else 0.0,
            commit_p99_ms=ordered[len(ordered) * 99 // 100] if ordered else 0.0,
            last_error=self._last_error,
        )


def _commit(
    database: sqlite3.Connection, units: list[Unit], head: Link | None, ready: tuple[list[Any], int, Link] | None
) -> _Committed:
    """Runs on the connection's thread. After a failure the head is asked of the database: nobody knows what of the
    failed batch got there."""
    if head is None or ready is None:
        head = newest_link(database)
        ready = assemble(units, head)
    values, rows, new_head = ready
    try:
        write(database, values, rows)
    except REFUSALS:
        _roll_back(database)
        return _commit_one_by_one(database, units, head)
    except BaseException:
        _roll_back(database)
        raise
    return _Committed(new_head)


def _commit_one_by_one(database: sqlite3.Connection, units: list[Unit], head: Link) -> _Committed:
    """Still one transaction, but a unit at fault takes only itself back."""
    refused: dict[int, Exception] = {}
    try:
        database.execute("BEGIN IMMEDIATE")
        for index, unit in enumerate(units):
            values, rows, new_head = assemble([unit], head)
            database.execute("SAVEPOINT unit")
            try:
                write(database, values, rows)
                head = new_head
            except REFUSALS as error:
                refused[index] = error
                database.execute("ROLLBACK TO unit")
            database.execute("RELEASE unit")
        database.execute("COMMIT")
    except BaseException:
        _roll_back(database)
        raise
    return _Committed(head, refused)


def _roll_back(database: sqlite3.Connection) -> None:
    if database.in_transaction:
        database.rollback()


def _refused(error: Exception) -> UnitRefusedError:
    return UnitRefusedError(f"The journal refused a write: {error}.")
