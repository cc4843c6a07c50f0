"""The loop: plans what is due, starts what may start, sleeps until the next release; woken by edits and ends.

Memory moves first and the journal follows in the same order; a fire is started only once its row is durable.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from palyra.core.clock import Clock
from palyra.core.conditions import Clear, Tell, nobody_cleared, nobody_told
from palyra.core.events import Event, EventHub
from palyra.core.ids import IdSource
from palyra.core.pulse import NoPulse, Pulse, WorkHeartbeatKind
from palyra.core.spread import Spread
from palyra.core.values import value
from palyra.journal.changes import AuditAdded, Change
from palyra.journal.job_rows import JOB_ATTEMPTS, AttemptRow, FireRow, FireState, JobState
from palyra.journal.readers.jobs import JobReaders
from palyra.scheduler import attempts, troubles
from palyra.scheduler.execution import Executor, Order
from palyra.scheduler.jumps import Jumps, turned_back
from palyra.scheduler.keeping import Keeping, Records
from palyra.scheduler.lane import Lane
from palyra.scheduler.retrying import BY_OPERATOR, ENGINE_STOPPING, AttemptEnd
from palyra.scheduler.roster import Planned, Roster
from palyra.scheduler.running import Running

log = logging.getLogger(__name__)

BATCH = 64
PAUSE_S = 1.0
REPLACE_MS = 5_000
REPLACED, REPLACE_TIMEOUT = "replaced", "replace_timeout"
LATENESS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60)


class JobJournal(Records, Protocol):
    """What the scheduler needs of the journal."""

    @property
    def readers(self) -> JobReaders:
        """Answers questions about jobs and fires."""
        ...


@value
class SchedulerSettings:
    """`longest_sleep_s`: how long the loop sleeps at most; `pause_after` failed fires in a row pause a job, 0 never."""

    enabled: bool = True
    max_concurrent: int = 8
    pause_after: int = 0
    longest_sleep_s: float = 1.0


class Scheduler:
    """Made on an open journal; `restoring.restore` fills it before `run`."""

    def __init__(
        self,
        journal: JobJournal,
        clock: Clock,
        ids: IdSource,
        boot_id: str,
        executor: Executor,
        settings: SchedulerSettings,
        events: EventHub,
        *,
        tell: Tell = nobody_told,
        clear: Clear = nobody_cleared,
        pulse: Pulse | None = None,
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.boot_id = boot_id
        self.ids = ids
        self.settings = settings
        self.events = events
        self.roster = Roster(boot_id, ids.new)
        self.tell, self.clear = tell, clear
        self.lateness = Spread(LATENESS_S)
        """Seconds between the release of a fire, or the end of a wait that was declared, and its start."""
        self.conflicts = 0
        self._executor = executor
        self._pulse: Pulse = NoPulse() if pulse is None else pulse
        self._keeping = Keeping(journal, self._conflict)
        self.jumps = Jumps(clock)
        self._woken = asyncio.Event()
        self._running: dict[str, Running] = {}
        self._ready: list[tuple[bool, int, int, str, str]] = []
        """Heap of fires that may start: maintenance first, then by release; entries may no longer hold."""
        self._entered = 0
        self._alarms: list[tuple[int, str, str]] = []
        """Heap of (instant, job, fire): a wait that is over, or a fire that was to make room."""
        self._reload: set[str] = set()
        self._place_freed = 0
        self._lane_freed: dict[str, int] = {}
        self._stopping = False

    # For those beside the loop

    def wake(self) -> None:
        """Something changed: what is due is looked for at once."""
        self._woken.set()

    def write(self, job_id: str, unit: Sequence[Change], durable: Callable[[], None] | None = None) -> None:
        """Makes durable what memory has moved by."""
        self._keeping.write(job_id, unit, durable)

    def running(self, fire_id: str) -> Order | None:
        """The attempt of a fire that is under way."""
        found = self._running.get(fire_id)
        return None if found is None or found.ended else found.order

    @property
    def busy(self) -> int:
        """How many attempts are under way."""
        return len(self._running)

    def overdue(self, now: int, by_ms: int = 60_000) -> list[tuple[str, int]]:
        """Jobs with a slot that this scheduler could have fired longer ago than that and has not: (job_id, slot). What
        was released before it was made, or while the machine slept, is late by no fault of its own. One that is
        switched off owes none."""
        if not self.settings.enabled:
            return []
        since, lived = self.jumps.made_at, now - max(0, self.jumps.unseen_ms)
        return [
            (lane.job.job_id, lane.job.next_slot)
            for lane in self.roster
            if lane.job.release_at is not None
            and lane.job.next_slot is not None
            and lived - max(lane.job.release_at, since) > by_ms
        ]

    def stop_fire(self, job_id: str, reason: str, by: str) -> bool:
        """Asks the active fire of a job to end; one that waits to try again ends at once. False where none is
        active."""
        lane = self.roster.get(job_id)
        head = None if lane is None else lane.head
        if lane is None or head is None:
            return False
        running = self._running.get(head.fire_id)
        if running is not None and not running.ended:
            self._stop(running, reason, by)
        elif head.state is FireState.BACKOFF and not lane.under_way:
            self._cancel_waiting(lane, head, reason)
        else:
            return False
        return True

    def dismiss(self, lane: Lane, reason: str, by: str) -> list[Change]:
        """Every fire of a job that goes is cancelled, and the attempt that is under way asked to end."""
        gone = {"state": FireState.CANCELLED, "reason": reason, "finished_at": self.clock.now_ms()}
        unit: list[Change] = []
        for fire in [*lane.fires, *([lane.review] if lane.review is not None else [])]:
            moved, change = self.roster.put(lane, fire, **gone)
            unit.append(change)
            running = self._running.get(fire.fire_id)
            if running is not None and not running.ended:
                running.gone = moved
                self._stop(running, BY_OPERATOR, by)
        self._lane_freed.pop(lane.job.job_id, None)
        return unit

    def _stop(self, running: Running, reason: str, by: str) -> None:
        running.asked = running.asked or reason
        self._executor.stop(running.order, reason, by)

    def _cancel_waiting(self, lane: Lane, fire: FireRow, reason: str) -> None:
        gone = {"state": FireState.CANCELLED, "reason": reason, "finished_at": self.clock.now_ms()}
        _, change = self.roster.put(lane, fire, **gone)
        self.write(lane.job.job_id, [change])
        self.consider(lane)

    def consider(self, lane: Lane) -> None:
        """Its first fire may be one that can start, now or when its wait is over."""
        head = lane.head
        if head is None or lane.under_way or head.fire_id in lane.unsaved:
            return
        if head.state is FireState.BACKOFF and head.retry_at is not None and head.retry_at > self.clock.now_ms():
            heapq.heappush(self._alarms, (head.retry_at, lane.job.job_id, head.fire_id))
        else:
            self._entered += 1
            entry = (not lane.job.maintenance, head.release_at, self._entered, lane.job.job_id, head.fire_id)
            heapq.heappush(self._ready, entry)
        self.wake()

    def admitted(self, lane: Lane, fire: FireRow, unit: Sequence[Change], *, replaces: bool) -> None:
        """Writes a new fire that memory knows of; once it is durable it may start."""

        def durable() -> None:
            lane.unsaved.discard(fire.fire_id)
            if replaces:
                self.replace(lane)
            self.consider(lane)

        self.write(lane.job.job_id, unit, durable)

    def replace(self, lane: Lane) -> None:
        """The active fire is to make room for the one that waits."""
        head = lane.head
        if head is None or len(lane.fires) < 2:
            return
        if not lane.under_way:
            self._cancel_waiting(lane, head, REPLACED)
            return
        now = self.clock.now_ms()
        if lane.replaced_at is None or now - lane.replaced_at >= REPLACE_MS:
            lane.replaced_at = now
            heapq.heappush(self._alarms, (now + REPLACE_MS, lane.job.job_id, head.fire_id))
            self.stop_fire(lane.job.job_id, REPLACED, "palyra")

    # The loop

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self.turn()
            await self._nap()

    async def turn(self) -> None:
        """Everything that can be done now."""
        self._woken.clear()
        now = self.clock.now_ms()
        by = self.jumps.look()
        if by is not None:
            self._jumped(by, now)
        if self._keeping.behind and not await self._journal_back():
            return
        for job_id in list(self._reload):
            self._reload.discard(job_id)
            await self._read_again(job_id)
        if self.settings.enabled and not self._stopping:
            await self._plan()
        self._ring(self.clock.now_ms())
        self._start_ready()

    async def _plan(self) -> None:
        while not self._keeping.behind:
            now = self.clock.now_ms()
            due = self.roster.due(now, BATCH)
            for lane in due:
                self._plan_one(lane, now)
            if len(due) < BATCH:
                return
            await asyncio.sleep(0)

    def _plan_one(self, lane: Lane, now: int) -> None:
        """Whatever is wrong with one job hinders no other."""
        try:
            planned = self.roster.plan(lane, now)
        except Exception as error:
            self._fault(lane, error, now)
            return
        self._planned(lane, planned, now)

    def _fault(self, lane: Lane, error: Exception, now: int) -> None:
        log.error("job %s cannot be planned", lane.job.name, exc_info=error)
        self.write(lane.job.job_id, [self.roster.fault(lane, str(error) or type(error).__name__, now)])
        self.tell(troubles.faulted(lane.job))

    def _planned(self, lane: Lane, planned: Planned, now: int) -> None:
        if not planned.unit:
            return

        def durable() -> None:
            for fire in planned.fires:
                lane.unsaved.discard(fire.fire_id)
            if planned.replaces:
                self.replace(lane)
            self.consider(lane)
            if planned.review is not None:
                self.tell(troubles.needs_review(lane.job))

        self.write(lane.job.job_id, planned.unit, durable)
        for fire in (*planned.fires, *planned.skipped):
            self.events.publish(Event("job.fire", now, lane.job.job_id, {"fire": fire}))

    def _ring(self, now: int) -> None:
        """Waits that are over."""
        while self._alarms and self._alarms[0][0] <= now:
            _, job_id, fire_id = heapq.heappop(self._alarms)
            lane = self.roster.get(job_id)
            if lane is None or lane.head is None or lane.head.fire_id != fire_id:
                continue
            if lane.replaced_at is None or now - lane.replaced_at < REPLACE_MS:
                self.consider(lane)
                continue
            for fire in lane.waiting:
                failed = {"state": FireState.FAILED, "reason": REPLACE_TIMEOUT, "finished_at": now}
                self.write(job_id, [self.roster.put(lane, fire, **failed)[1]])
            self.tell(troubles.replace_timed_out(lane.job))

    def _start_ready(self) -> None:
        while self._ready and len(self._running) < self.settings.max_concurrent and not self._stopping:
            _, _, _, job_id, fire_id = heapq.heappop(self._ready)
            lane = self.roster.get(job_id)
            now = self.clock.now_ms()
            if lane is not None and lane.head is not None and lane.head.fire_id == fire_id and lane.may_start(now):
                self._start(lane, lane.head, now)

    def _start(self, lane: Lane, fire: FireRow, now: int) -> None:
        number = fire.tries + 1
        attempt = AttemptRow(self.ids.new(), 1, fire.fire_id, number, self.boot_id, now)
        freed = max(self._place_freed, self._lane_freed.get(lane.job.job_id, 0))
        held_until = freed if freed > fire.release_at else None
        if fire.dispatched_at is None:
            self.lateness.add(max(0, now - (held_until or fire.release_at)) / 1000)
        self._hand_over(lane, fire, attempt, partial(self._begun, lane, attempt, held_until), adopted=False)

    def adopt(self, lane: Lane, fire: FireRow, attempt: AttemptRow) -> None:
        """An attempt that an earlier engine began goes on."""
        self._hand_over(lane, fire, attempt, list, adopted=True)

    def _hand_over(
        self,
        lane: Lane,
        fire: FireRow,
        attempt: AttemptRow,
        begun: Callable[[], Sequence[Change]],
        *,
        adopted: bool,
    ) -> None:
        lane.under_way = True
        job_id, name = lane.job.job_id, lane.job.name

        def beat(phase: str, progress: int | None) -> None:
            self._pulse.record(WorkHeartbeatKind.CRON_JOB, job_id, name, phase, progress)

        order = Order(
            lane.job,
            fire,
            attempt.attempt_id,
            attempt.number,
            adopted,
            begun,
            partial(self._ended, lane, attempt),
            beat,
        )
        running = self._running[fire.fire_id] = Running(order, attempt)
        running.task = asyncio.create_task(self._carry_out(running), name=f"palyra:job:{name}")

    async def _carry_out(self, running: Running) -> None:
        order = running.order
        order.beat("start", 0)
        try:
            if running.asked and not order.adopted:
                # It was told to end before anybody could hear of it.
                self._left(running, AttemptEnd("cancelled", running.asked))
                return
            if running.asked:
                asyncio.get_running_loop().call_soon(self._executor.stop, order, running.asked, "palyra")
            await self._executor.carry_out(order)
        except asyncio.CancelledError:
            if not order.job.outlives:
                self._left(running, AttemptEnd("cancelled", ENGINE_STOPPING))
            raise
        except Exception as error:
            log.exception("a fire of job %s could not be carried out", order.job.name)
            self._left(running, AttemptEnd("failed", "internal_error", f"{type(error).__name__}: {error}"))
        else:
            self._left(running, AttemptEnd("failed", "internal_error", "it ended without saying how"))
        finally:
            if len(self._running) >= self.settings.max_concurrent:
                self._place_freed = self.clock.now_ms()
            self._running.pop(order.fire.fire_id, None)
            self._pulse.clear(WorkHeartbeatKind.CRON_JOB, order.job.job_id)
            lane = self.roster.get(order.job.job_id)
            if lane is not None:
                self.consider(lane)
            self.wake()

    def _left(self, running: Running, end: AttemptEnd) -> None:
        if not running.ended:
            self.write(running.order.job.job_id, running.order.ended(end))

    def _begun(self, lane: Lane, attempt: AttemptRow, held_until: int | None) -> Sequence[Change]:
        if lane.head is None or lane.head.fire_id != attempt.fire_id:
            return [JOB_ATTEMPTS.saved(attempt)]
        return attempts.begin(self.roster, lane, attempt, held_until)

    def _ended(self, lane: Lane, attempt: AttemptRow, end: AttemptEnd) -> Sequence[Change]:
        running = self._running.get(attempt.fire_id)
        if running is None or running.ended:
            return []
        running.ended = True
        now = self.clock.now_ms()
        if all(fire.fire_id != attempt.fire_id for fire in lane.fires):
            return attempts.end_alone(attempt, running.gone, end, now)
        self._lane_freed[lane.job.job_id] = now
        ended = attempts.end(self.roster, lane, attempt, end, now, self.settings.pause_after)
        self._judge(lane, ended.verdict.state)
        self.events.publish(Event("job.ended", now, lane.job.job_id, {"state": ended.verdict.state.value}))
        return ended.changes

    def _judge(self, lane: Lane, state: FireState) -> None:
        job = lane.job
        if state is FireState.COMPLETED:
            self.clear(troubles.key(job.job_id, troubles.FAILING))
            self.clear(troubles.key(job.job_id, troubles.REPLACE))
        elif state is FireState.FAILED and job.failures >= attempts.FAILING:
            self.tell(troubles.failing(job))

    # What goes wrong

    def _conflict(self, job_id: str) -> None:
        self.conflicts += 1
        self._reload.add(job_id)
        self.wake()

    async def _read_again(self, job_id: str) -> None:
        """Somebody else has moved the job: what the journal has counts, and of its fires those of this engine."""
        row = await self.journal.readers.job(job_id)
        mine = [fire for fire in await self.journal.readers.open_fires(job_id) if fire.boot_id == self.boot_id]
        before = self.roster.get(job_id)
        if row is None:
            if before is not None:
                self.roster.forget(job_id)
            return
        lane = self.roster.take_in(row, mine)
        head = lane.head
        lane.under_way = head is not None and head.fire_id in self._running
        if row.next_slot is not None and await self.journal.readers.fire_of_slot(job_id, row.next_slot) is not None:
            # It was fired before the clock went back.
            self.write(job_id, [self.roster.pass_over(lane, row.next_slot)])
        self.consider(lane)

    async def _journal_back(self) -> bool:
        if await self._keeping.try_again():
            self.clear(troubles.JOURNAL)
            return True
        if self._keeping.failures >= troubles.JOURNAL_FAILURES:
            self.tell(troubles.no_journal())
        return False

    def _jumped(self, by_ms: int, now: int) -> None:
        log.warning("the clock jumped by %d ms: every job is planned again", by_ms)
        self.write("", [AuditAdded(now, "engine", self.boot_id, "palyra", {"verb": "clock_jumped", "by_ms": by_ms})])
        if by_ms < 0:
            for lane in self.roster:
                if lane.job.state is JobState.ACTIVE or lane.fires:
                    self._turn_back(lane, by_ms, now)
            self._place_freed = min(self._place_freed, now)
            self._lane_freed.clear()
        self.roster.rearm()

    def _turn_back(self, lane: Lane, by_ms: int, now: int) -> None:
        try:
            unit = turned_back(self.roster, lane, by_ms, now)
        except ValueError as error:
            self._fault(lane, error, now)
            return
        if lane.replaced_at is not None and lane.head is not None:
            lane.replaced_at += by_ms
            heapq.heappush(self._alarms, (lane.replaced_at + REPLACE_MS, lane.job.job_id, lane.head.fire_id))
        if unit:
            self.write(lane.job.job_id, unit)
            self.consider(lane)

    async def _nap(self) -> None:
        if self._woken.is_set():
            await asyncio.sleep(0)
            return
        seconds = PAUSE_S if self._keeping.behind else self._until_next()
        timer = self.clock.call_later(max(0.0, seconds), self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    def _until_next(self) -> float:
        """Seconds to the earliest release or alarm, at most the longest sleep."""
        now = self.clock.now_ms()
        moments = [self._alarms[0][0]] if self._alarms else []
        release = self.roster.next_release() if self.settings.enabled and not self._stopping else None
        if release is not None:
            moments.append(release)
        longest = self.settings.longest_sleep_s
        return min((min(moments) - now) / 1000, longest) if moments else longest

    # The end

    def drain(self) -> None:
        """Starts nothing more."""
        self._stopping = True

    async def close(self) -> None:
        """Ends what is under way; it is taken up again at the next start."""
        self._stopping = True
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
