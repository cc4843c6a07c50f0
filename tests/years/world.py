"""The years themselves: lives of an engine, one after the other, on one journal and one clock."""

import asyncio
import gc
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from palyra.core.errors import PalyraError
from palyra.journal import writer
from palyra.journal.job_rows import JOBS
from palyra.tasks.asking import TaskAsk
from tests.scheduler.rows import T0
from tests.simulation.loop import InlineQueues, SimLoop
from tests.simulation.sizes import place
from tests.simulation.stage import forget_connections, threads_within
from tests.years.clockwork import FaultyDisk, YearsClock
from tests.years.house import House, opened_journal
from tests.years.plans import Plan
from tests.years.tally import Tally

REST_S = 400.0
RARELY = 200_000
"""After how many new objects garbage is looked for: a usual look is a fifth of the years' time."""
COLLECTED_EVERY = 25
"""After so many lives what is left of them is let go."""


class Years:
    """`jumps` are the instants, in ms, that the wall clock was turned back to, and every start since the last one;
    `furthest` is how far it ever got."""

    def __init__(self, plan: Plan, seed: int, state_dir: Path) -> None:
        self.plan = plan
        self.seed = seed
        self.state_dir = state_dir
        self.dice = random.Random(seed)
        self.clock = YearsClock(T0)
        self.queues = InlineQueues(self.clock, random.Random(seed + 1))
        self.disk = FaultyDisk(random.Random(seed + 2), self.die)
        self.tally = Tally()
        self.dead = False
        self.lives = 0
        self.over = False
        self.ended_at = 0
        self.furthest = T0
        self.turned: list[int] = []
        self._loop: SimLoop | None = None
        self._house: House | None = None
        self._tasks: list[str] = []

    # Lives

    def run(self) -> None:
        while not self.over:
            self._live()
            if self.dead:
                self._off()

    def _live(self) -> None:
        self.lives += 1
        self.dead = False
        self.queues.live()
        self.queues.slow = self.dice.choice((0.0, 0.0, 0.0, 0.5))
        self.disk.failing = 0
        self.disk.die_in = None if self._late() else int(self.dice.expovariate(1 / self.plan.commits)) + 3
        loop = self._loop = SimLoop(self.clock)
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._life())
        except RuntimeError:
            if not self.dead:
                raise
        finally:
            asyncio.set_event_loop(None)
            self.queues.die()
            self.tally.faults += loop.faults
            self.dead = self.dead or not self.over
            loop.bury()
            if self.lives % COLLECTED_EVERY == 0:
                self._loop = self._house = None
                gc.collect()

    def die(self) -> None:
        """The process is killed, here and now."""
        self.tally.seen["killed"] += 1
        self.dead = True
        self.queues.die()
        assert self._loop is not None
        self._loop.stop()

    def _off(self) -> None:
        """Time goes on without an engine; perhaps somebody sets the clock."""
        self.clock.leap(self.dice.choice(self.plan.offs) * self.dice.random())
        if self.dice.random() < 0.1:
            self._set_clock()
        self._turned_back()

    def _late(self) -> bool:
        """The end comes: nothing goes wrong any more."""
        return self.clock.now_ms() >= self.plan.until

    async def _life(self) -> None:
        first = [JOBS.saved(job) for job in self.plan.jobs] if self.lives == 1 else []
        journal = await opened_journal(self.state_dir, self.clock, first)
        house = self._house = House(journal, self.clock, self.dice, self.tally, lambda: self.dead, self._began)
        await house.open()
        self._turned_back()
        while not self._late():
            await self.clock.sleep(self.dice.expovariate(1 / self.plan.quiet_s))
            self.furthest = max(self.furthest, self.clock.now_ms())
            if self.dice.random() < 0.1:
                self.tally.seen["closed in order"] += 1
                self.disk.failing = 0
                await house.close()
                return
            if self.dice.random() < 0.5:
                await self._people(house)
            elif not self._late():
                self._mishap()
            await self._decide(house)
        await self._rest(house)

    async def _rest(self, house: House) -> None:
        """Everything that was begun comes to its end, until nothing is left to account for."""
        house.runs.calm = True
        self.disk.failing, self.disk.die_in, self.queues.slow = 0, None, 0.0
        while not house.quiet or self.clock.now_ms() < self.furthest:
            await self.clock.sleep(REST_S * self.dice.random())
            await self._decide(house)
        self.ended_at = self.clock.now_ms()
        self.over = True
        await house.close()

    # What goes wrong

    def _began(self, seconds: float) -> None:
        """An attempt begins that will take so long: something may go wrong in it."""
        if not self._late() and self.dice.random() < self.plan.mishap:
            self.clock.call_later(self.dice.uniform(0, seconds * 1.2), self._mishap)

    def _mishap(self) -> None:
        kind = self.dice.choices(("forward", "back", "stall", "fail", "slow", "kill"), (4, 3, 6, 5, 3, 3))[0]
        self.tally.seen[kind] += 1
        match kind:
            case "forward":
                self._set_clock(back=False)
            case "back":
                self._set_clock(back=True)
            case "stall":
                self.clock.leap(self.dice.choice((0.5, 1.5, 20, 70, 250)) * self.dice.uniform(0.5, 1))
            case "fail":
                self.disk.failing, self.disk.lying = self.dice.randint(1, 5), self.dice.random() < 0.3
            case "slow":
                self.queues.slow = self.dice.choice((0.0, 0.3, 1.0))
            case "kill":
                self.disk.die_in = self.dice.randint(1, 4)

    def _set_clock(self, *, back: bool | None = None) -> None:
        """Also what a machine does that sleeps: it goes on later, and no time has passed for it."""
        back = self.dice.random() < 0.5 if back is None else back
        by = self.dice.choice(self.plan.leaps) * self.dice.uniform(0.5, 1) * (-1 if back else 1)
        now = self.clock.now_ms()
        self.furthest = max(self.furthest, now)
        self.clock.set_wall(now + int(by * 1000))
        if back:
            self._turned_back()
        if self._house is not None and not self.dead:
            self.clock.call_later(self.dice.choice((0.0, 0.0, 1.0)) * self.dice.random(), self._house.scheduler.wake)

    def _turned_back(self) -> None:
        """From here intervals may count anew."""
        self.turned.append(self.clock.now_ms())

    # What people do

    async def _people(self, house: House) -> None:
        dice, act = self.dice, self.dice.choice(("task", "task", "tasks", "cancel", "retry", "trigger", "stop"))
        with suppress(PalyraError):
            match act:
                case "task":
                    await self._add(house)
                case "tasks":
                    for _ in range(dice.randint(2, 6)):
                        await self._add(house)
                case "cancel" | "retry" if self._tasks:
                    await getattr(house.desk, act)(dice.choice(self._tasks), "ada")
                case "trigger":
                    await house.acts.trigger(dice.choice(self.plan.jobs).job_id, "ada", key=dice.choice(("", "k")))
                case "stop":
                    house.scheduler.stop_fire(dice.choice(self.plan.jobs).job_id, "by_operator", "ada")

    async def _add(self, house: House) -> None:
        dice, now = self.dice, self.clock.now_ms()
        ask = TaskAsk(
            text="do it",
            owner="ann",
            priority=dice.randint(-3, 3),
            not_before=dice.choice((None, now + dice.randint(1, 100_000))),
            expires_at=dice.choice((None, None, now + dice.randint(110_000, 200_000))),
            max_attempts=dice.randint(1, 4),
            parent=dice.choice(self._tasks[-3:]) if self._tasks and dice.random() < 0.3 else "",
            dedupe_key=dice.choice(("", "", "same")),
        )
        row, _ = await house.desk.submit(ask, "ada")
        self._tasks = [*self._tasks[-20:], row.task_id]

    async def _decide(self, house: House) -> None:
        """Somebody looks at what was missed."""
        for lane in house.scheduler.roster:
            if lane.review is not None and lane.review.fire_id not in lane.unsaved:
                decision = self.dice.choice(("run", "replay", "skip"))
                self.tally.seen[f"review: {decision}"] += 1
                with suppress(PalyraError):
                    await house.acts.review(lane.review.fire_id, decision, "ada")

    def told(self) -> str:
        return f"seed {self.seed}, {self.lives} lives, {self.disk.commits} commits, {dict(self.tally.seen)}"


@contextmanager
def years(plan: Plan, seed: int) -> Iterator[Years]:
    """Ready to run, in memory; on leaving, everything is as it was."""
    with place() as root, pytest.MonkeyPatch.context() as patch:
        made = Years(plan, seed, root / "state")
        threads_within(patch, made.queues)
        patch.setattr(writer, "_commit", made.disk.commit)
        log = logging.getLogger("palyra")
        patch.setattr(log, "disabled", True)
        before = log.level
        log.setLevel(logging.CRITICAL)
        collected = gc.get_threshold()
        gc.set_threshold(RARELY)
        try:
            yield made
        finally:
            gc.set_threshold(*collected)
            log.setLevel(before)
            forget_connections()
