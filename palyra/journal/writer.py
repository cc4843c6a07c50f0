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
from palyra.core.spread import Spread
from palyra.core.values import value
from palyra.journal.audit import newest_link
from palyra.journal.audit_chain import Link
from palyra.journal.batch import EMPTY, MAX_ROWS, REFUSALS, Unit, assemble, encode, write
from palyra.journal.changes import Change
from palyra.journal.connection import Connection

log = logging.getLogger(__name__)

REMEMBERED_COMMITS = 1024
COMMIT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384)
PATIENCE_SECONDS = 0.005
"""How long units nobody waits for lie until a commit of their own; any other unit takes them along at once."""
RETRY_SECONDS = 1.0
"""How long units that have to be written lie after a failure until they are tried again, should nothing else come."""

Refused = Callable[[Exception], None]
"""Told that a unit which was to be kept until it is written breaks a rule of the journal."""


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
    oldest_wait_ms: float = 0.0
    batch_rows_p50: int | None = None


@dataclass(slots=True)
class _Waiting:
    """`refused` of a unit that stays until it is written; `left` over by a failure; `tried` are the commits that
    failed with it and may have reached the disk."""

    unit: Unit
    durable: asyncio.Future[None]
    patient: bool
    refused: Refused | None = None
    left: bool = False
    tried: list["_Attempt"] = field(default_factory=list)


@dataclass(slots=True)
class Gate:
    """Holds the writer between two batches: `reached` resolves there, and it goes on once `passed` is done."""

    reached: asyncio.Future[None]
    passed: asyncio.Future[None]


@value
class _Committed:
    head: Link
    refused: dict[int, Exception] = field(default_factory=dict)


@dataclass(slots=True)
class _Attempt:
    """One try to commit a batch. What SQLite calls a failure may have reached the disk: where the audit chain moved,
    its end tells later which it was.

    `head` None: the chain's end is to be asked of the database, and with it how the `unsure` attempts came out.
    `known` is where it ended when that was last known, `parted` whether somebody else has moved it since; `expected` is
    where it ends if this one gets there, None where it would not move.
    """

    batch: list[_Waiting]
    head: Link | None
    known: Link
    ready: tuple[list[Any], int, Link] | None
    unsure: list["_Attempt"]
    parted: bool = False
    expected: Link | None = None
    landed: bool | None = None

    def units(self) -> list[Unit]:
        """What is to be written: a unit that got there after all is not written twice."""
        return [EMPTY if any(earlier.landed for earlier in waiting.tried) else waiting.unit for waiting in self.batch]

    def expect(self, before: Link, after: Link) -> None:
        self.expected = None if after == before else after


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
        on_parted: Callable[[Link], None] | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._head: Link | None = head
        self._known = head
        self._window_seconds = window_seconds
        self._on_head = on_head
        self._on_parted = on_parted
        """Told where the chain ended, once somebody else has cut it off there or added to it."""
        self._queue: deque[_Waiting | Gate] = deque()
        self._queue_rows = 0
        self._urgent = 0
        """Gates and units in the queue that somebody waits for."""
        self._armed = False
        self._window: Timer | None = None
        self._patience: Timer | None = None
        self._unsure: list[_Attempt] = []
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
        self._committed: deque[tuple[float, int]] = deque(maxlen=REMEMBERED_COMMITS)
        """When the newest commits ended, in monotonic seconds, and their rows."""
        self._waiting_since = 0.0
        """Since when something waits, in monotonic seconds."""
        self.commits = Spread(COMMIT_S)
        """Seconds that commits took."""
        self.batches = Spread(BATCH_ROWS)
        """Rows they wrote."""

    @property
    def healthy(self) -> bool:
        """Whether it could write the last time it tried."""
        return self._healthy

    @property
    def behind(self) -> int:
        """Units that a failed commit has left and that are still to be written."""
        return sum(isinstance(waiting, _Waiting) and waiting.left for waiting in self._queue)

    def submit(
        self, changes: Sequence[Change], *, patient: bool = False, refused: Refused | None = None
    ) -> asyncio.Future[None]:
        """Queues a unit. The future resolves when it is durable; cancelling it does not take the unit back. A `patient`
        unit waits for others to go with, since a commit for it alone would stand in the way of those. One with
        `refused` stays in its place until it is written, whatever the future was told of a failure: with the next
        commit, at the latest after a second, before everything that was submitted later.

        The future raises JournalUnavailableError when the journal cannot be written, UnitRefusedError when the unit
        breaks a rule. An empty unit resolves when everything submitted before it has been dealt with.
        """
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        if self._closed:
            durable.set_exception(JournalUnavailableError("The journal is closed."))
            return durable
        try:
            unit = encode(changes)
        except (TypeError, ValueError, RecursionError) as error:
            self._refused_total += 1
            durable.set_exception(_refused(error))
            if refused is not None:
                loop.call_soon(refused, error)
            return durable
        if not self._queue:
            self._waiting_since = self._clock.monotonic()
        self._queue.append(_Waiting(unit, durable, patient, refused))
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
                patience = PATIENCE_SECONDS if self._healthy else RETRY_SECONDS
                self._patience = self._clock.call_later(patience, self._out_of_patience)
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
        attempt = _Attempt(self._take_batch(), self._head, self._known, None, self._unsure)
        if attempt.head is not None:
            attempt.ready = assemble(attempt.units(), attempt.head)
        started = self._clock.monotonic()

        def done(committed: _Committed | None, error: BaseException | None) -> None:
            self._busy = False
            self._unsure = [earlier for earlier in self._unsure if earlier.landed is None]
            if attempt.parted:
                self._part(self._known)
            self._known = attempt.known
            if committed is None:
                self._fail(attempt, error)
            else:
                self._succeed(attempt.batch, committed, started)
            if self._window_seconds or not self._urgent:
                self._arm()
            else:
                self._start()

        self._connection.start(lambda database: _commit(database, attempt), done)

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
            seconds = self._clock.monotonic() - started
            self._durations.append(seconds * 1000)
            self._committed.append((started + seconds, rows))
            self.commits.add(seconds)
            self.batches.add(rows)
            self._healthy = True
            self._commits_total += 1
            self._units_total += len(batch) - len(committed.refused)
            self._refused_total += len(committed.refused)
            self._last_commit_at = self._clock.now_ms()
            self._last_batch_rows = rows
        moved = committed.head != self._head
        self._head = self._known = committed.head
        for index, waiting in enumerate(batch):
            refusal = committed.refused.get(index)
            if not waiting.durable.done():
                if refusal is not None:
                    waiting.durable.set_exception(_refused(refusal))
                else:
                    waiting.durable.set_result(None)
            if refusal is not None and waiting.refused is not None:
                waiting.refused(refusal)
        if moved and self._on_head is not None:
            self._on_head(committed.head)

    def _part(self, known: Link) -> None:
        """Goes on from where the chain ends now: who changes the audit is to be found out, not to stop the engine."""
        log.error("the audit chain does not end at row %d any more, where it was left", known.seq)
        if self._on_parted is not None:
            self._on_parted(known)

    def _fail(self, attempt: _Attempt, error: BaseException | None) -> None:
        """Nobody knows how long this lasts: everyone who waits is told now, and the next submit tries again. What has
        to be written keeps its place before all that comes later."""
        log.error(
            "the journal could not be written: %s", error, exc_info=not isinstance(error, sqlite3.Error) and error
        )
        self._healthy = False
        self._failures_total += 1
        self._last_error = str(error)
        self._head = None
        if attempt.expected is not None:
            self._unsure.append(attempt)
            for waiting in attempt.batch:
                waiting.tried.append(attempt)
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        fix = (
            "Free disk space; Palyra goes on by itself."
            if full
            else "Restore it from backups/, or choose another --state-dir."
        )

        def told() -> JournalUnavailableError:
            return JournalUnavailableError(f"The journal cannot be written: {error}.", fix=fix)

        left: deque[_Waiting | Gate] = deque()
        for item in (*attempt.batch, *self._queue):
            if isinstance(item, Gate):
                if not left or self._closed:
                    left.append(item)
                elif not item.reached.done():
                    # What lies before it cannot become durable now.
                    item.reached.set_exception(told())
                continue
            if not item.durable.done():
                item.durable.set_exception(told())
            if item.refused is not None and not self._closed:
                left.append(item)
        for item in left:
            if isinstance(item, _Waiting):
                item.patient = item.left = True
        self._queue = left
        self._queue_rows = sum(item.unit.rows for item in left if isinstance(item, _Waiting))
        self._urgent = sum(isinstance(item, Gate) for item in left)

    def slowest(self, seconds: float) -> float | None:
        """The 99th percentile of the commits that ended in the last so many seconds, in ms; None where none did."""
        since = self._clock.monotonic() - seconds
        lately = sorted(
            took for took, (ended, _) in zip(self._durations, self._committed, strict=True) if ended > since
        )
        return lately[len(lately) * 99 // 100] if lately else None

    def stats(self) -> JournalStats:
        """What it did since the start."""
        ordered = sorted(self._durations)
        rows = sorted(count for _, count in self._committed)
        waited = self._clock.monotonic() - self._waiting_since if self._queue else 0.0
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
            oldest_wait_ms=waited * 1000,
            batch_rows_p50=rows[len(rows) // 2] if rows else None,
        )


def _commit(database: sqlite3.Connection, attempt: _Attempt) -> _Committed:
    """Runs on the connection's thread. After a failure the head is asked of the database: it tells what of the failed
    commits got there."""
    head, ready = attempt.head, attempt.ready
    if head is None or ready is None:
        head = _end(database, attempt, [attempt.known, *(earlier.expected for earlier in attempt.unsure)])
        for earlier in attempt.unsure:
            earlier.landed = earlier.expected == head
        ready = assemble(attempt.units(), head)
    values, rows, new_head = ready
    attempt.expect(head, new_head)
    try:
        write(database, values, rows)
    except REFUSALS:
        _roll_back(database)
        return _commit_one_by_one(database, attempt, _end(database, attempt, [head]))
    except BaseException:
        _roll_back(database)
        raise
    return _Committed(new_head)


def _end(database: sqlite3.Connection, attempt: _Attempt, left: list[Link | None]) -> Link:
    """Where the chain ends, and whether that is one of the places where it may have been `left`."""
    attempt.known = newest_link(database)
    attempt.parted |= attempt.known not in left
    return attempt.known


def _commit_one_by_one(database: sqlite3.Connection, attempt: _Attempt, before: Link) -> _Committed:
    """Still one transaction, but a unit at fault takes only itself back."""
    refused: dict[int, Exception] = {}
    attempt.expected = None
    head = before
    try:
        database.execute("BEGIN IMMEDIATE")
        for index, unit in enumerate(attempt.units()):
            values, rows, new_head = assemble([unit], head)
            database.execute("SAVEPOINT unit")
            try:
                write(database, values, rows)
                head = new_head
            except REFUSALS as error:
                refused[index] = error
                database.execute("ROLLBACK TO unit")
            database.execute("RELEASE unit")
        attempt.expect(before, head)
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
