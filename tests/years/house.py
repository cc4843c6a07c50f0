"""One life of the part of an engine that works by itself: scheduler, tasks and healing over one journal."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from palyra.config.operations import HealingConfig, Maintenance
from palyra.core.events import EventHub
from palyra.core.ids import IdSource
from palyra.core.pulse import WorkHeartbeatKind
from palyra.engine.healing import heal_jobs
from palyra.engine.jobs import Jobs, TaskDoor
from palyra.engine.remedies import cancel_run, task_remedies
from palyra.governance.ledger import Ledger
from palyra.healing.healing import CYCLE_MS, Healing, HealingMeans
from palyra.healing.heartbeats import Heartbeats
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from palyra.runs.background import BackgroundRuns
from palyra.runs.durable import Durable
from palyra.runs.recovery import end_interrupted
from palyra.scheduler import restoring as jobs_restoring
from palyra.scheduler.acts import JobActs
from palyra.scheduler.carrying import Carrying
from palyra.scheduler.scheduler import Scheduler, SchedulerSettings
from palyra.tasks import restoring as tasks_restoring
from palyra.tasks.desk import TaskDesk
from palyra.tasks.queue import QueueSettings, TaskQueue
from tests.years.clockwork import LeapLag, YearsClock
from tests.years.runs import Runs
from tests.years.tally import Tally

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

CYCLE_S = CYCLE_MS / 1000
LOOK_S = 5.0
LONG_S = 86_400.0
"""How long rooms sleep that would look every second: while somebody works, and while nobody does."""


class PatientQueue(TaskQueue):
    """Looks every few seconds, and only while somebody works."""

    def _pause(self) -> float:
        due = self.desk.book.next_due()
        longest = LOOK_S if self._workers or self._troubled else LONG_S
        return longest if due is None else min(longest, max((due - self._clock.now_ms()) / 1000, 0.001))


class WakingPulse:
    """Beats, and has somebody watch from then on."""

    def __init__(self, heartbeats: Heartbeats, watch: Callable[[], None]) -> None:
        self._heartbeats = heartbeats
        self._watch = watch
        self.clear = heartbeats.clear
        self.allow_silence = heartbeats.allow_silence

    def record(
        self,
        kind: WorkHeartbeatKind,
        object_id: str,
        summary: str,
        phase: str | None = None,
        progress: int | None = None,
    ) -> None:
        self._heartbeats.record(kind, object_id, summary, phase, progress)
        self._watch()


class House:
    """`dead` says whether the process was killed: nothing it does counts any more."""

    def __init__(
        self,
        journal: Journal,
        clock: YearsClock,
        dice: random.Random,
        tally: Tally,
        dead: Callable[[], bool],
        started: Callable[[float], None],
    ) -> None:
        self.journal, self.clock, self.tally, self.dead = journal, clock, tally, dead
        self.ids = IdSource(clock, entropy=dice.randbytes)
        self.boot_id = self.ids.new()
        self.durable = Durable(journal)
        self.events = EventHub()
        self.lag = LeapLag(clock)
        self.runs = Runs(self, random.Random(dice.random()), started)
        self.healing = Healing(
            HealingMeans(
                clock=clock,
                new_id=self.ids.new,
                boot_id=self.boot_id,
                lag=self.lag,
                write=self.durable.write,
                write_and_wait=self.durable.wait,
                ask=lambda escalation: self._asked(),
                relate=lambda heartbeat: {},
            ),
            HealingConfig(),
        )
        self._watching: asyncio.Task[None] | None = None
        self.pulse = WakingPulse(self.healing.heartbeats, self._watch)
        heard = {"tell": self.healing.tell, "pulse": self.pulse}
        runs = cast("BackgroundRuns", self.runs)
        self.desk = TaskDesk(journal, self.durable, clock, self.ids, self.events, self.runs, lambda name: "")
        self.tasks = PatientQueue(
            self.desk,
            runs,
            journal,
            clock,
            self.ids,
            self.boot_id,
            QueueSettings(),
            cleared=self.healing.clear,
            **cast("dict[str, Any]", heard),
        )
        self._upkeep = random.Random(dice.random())
        carrying = Carrying(
            runs,
            self.durable,
            clock,
            {Maintenance.HEALTH_CHECK: self._health_check},
            TaskDoor(self.desk, journal),
        )
        self.scheduler = Scheduler(
            journal,
            clock,
            self.ids,
            self.boot_id,
            carrying,
            SchedulerSettings(longest_sleep_s=LONG_S),
            self.events,
            clear=self.healing.clear,
            **cast("dict[str, Any]", heard),
        )
        self.acts = JobActs(self.scheduler, "UTC", "ann")
        self._loops: list[asyncio.Task[None]] = []

    def _asked(self) -> str:
        self.tally.seen["people were asked"] += 1
        return self.ids.new()

    async def _health_check(self) -> Mapping[str, object]:
        await self.clock.sleep(self._upkeep.uniform(0.1, 20))
        return {"changed": self._upkeep.randint(0, 1)}

    def slot_of(self, fire_id: str) -> tuple[str, int] | None:
        """Of a fire that is under way: its job and its slot."""
        order = self.scheduler.running(fire_id) if fire_id else None
        return None if order is None or order.fire.slot is None else (order.job.job_id, order.fire.slot)

    async def open(self) -> None:
        """In the order of an engine's start: runs are recovered, then everything that owns some."""
        none_held = cast("Ledger", SimpleNamespace(open_holds=list))
        await end_interrupted(none_held, self.journal, self.clock, self.boot_id, cast("Any", None))
        engine = cast(
            "Engine",
            SimpleNamespace(
                runner=SimpleNamespace(stop=self.runs.stop, live=self.runs), tasks=self.tasks, clock=self.clock
            ),
        )
        self.healing.chest.add("cancel_run", cancel_run(engine, self.healing))
        for name, act in task_remedies(engine, self.healing).items():
            self.healing.chest.add(name, act)
        await self.healing.restore(self.journal.readers)
        await tasks_restoring.restore(self.desk, self.journal, self.boot_id)
        await jobs_restoring.restore(self.scheduler, self.journal.readers)
        heal_jobs(self.healing, Jobs(self.scheduler, self.acts))
        self.tasks.open_claims()
        for loop in (self.tasks.run, self.scheduler.run):
            self._keep_up(loop())

    def _watch(self) -> None:
        """The healing loop turns while there is work: between two jobs of a year it would turn millions of times."""
        if self._watching is None and not self.dead():
            self._watching = asyncio.create_task(self._watch_over())
            self._watching.add_done_callback(self._ended)

    async def _watch_over(self) -> None:
        healing, turns = self.healing, 0
        loop = asyncio.create_task(healing.run())
        loop.add_done_callback(self._ended)
        while turns < 2:
            await self.clock.sleep(CYCLE_S)
            turns = 0 if len(healing.heartbeats) or healing.remedier.under_way else turns + 1
        loop.cancel()
        self._watching = None

    def _keep_up(self, loop: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(loop)
        task.add_done_callback(self._ended)
        self._loops.append(task)

    def _ended(self, loop: "asyncio.Task[None]") -> None:
        if not loop.cancelled() and not self.dead() and loop.exception() is not None:
            self.tally.faults.append(f"a loop ended: {loop.exception()!r}")

    async def close(self) -> None:
        """In order: what runs is given back."""
        self.tasks.stop_claims()
        self.scheduler.drain()
        self._loops[-1].cancel()
        await self.scheduler.close()
        for live in list(self.runs.live):
            self.runs.cancel(live, "engine_stopping", "palyra")
        await self.tasks.close()
        if self._watching is not None:
            await self._watching
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.healing.close()
        await self.journal.close()

    @property
    def quiet(self) -> bool:
        """Nothing is under way and nothing waits for its turn."""
        release = self.scheduler.roster.next_release()
        return (
            (release is None or release > self.clock.now_ms())
            and not self.scheduler.busy
            and not len(self.desk.book)
            and not any(lane.fires or lane.review for lane in self.scheduler.roster)
            and self.journal.healthy
            and not self.journal.behind
        )


async def opened_journal(state_dir: Path, clock: YearsClock, first: Sequence[Change]) -> Journal:
    """`first` are the changes of a new installation."""
    journal = await Journal.open(state_dir, clock)
    if first:
        await journal.submit(first)
    return journal
