"""A scheduler on a real journal and a clock turned by hand; what carries attempts out does as the test says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.conditions import Condition
from palyra.core.events import EventHub
from palyra.core.ids import IdSource
from palyra.journal.changes import Change
from palyra.journal.job_rows import JOBS, FireRow, JobRow
from palyra.journal.journal import Journal
from palyra.scheduler.execution import Order
from palyra.scheduler.restoring import restore
from palyra.scheduler.retrying import AttemptEnd
from palyra.scheduler.scheduler import Scheduler, SchedulerSettings
from tests.scheduler.rows import T0

COMPLETED = AttemptEnd("completed", "stop", input_tokens=3, output_tokens=5, cost=7)


class Hands:
    """Carries attempts out: each completes at once, or with `hold` when the test says how it ended."""

    def __init__(self, journal: Journal, clock: ManualClock) -> None:
        self.hold = False
        self.deaf = False
        """Whether being asked to stop is not heard."""
        self.ends: list[AttemptEnd] = []
        """How the next attempts end, before they complete."""
        self.orders: list[Order] = []
        self.begun_at: list[int] = []
        self.stops: list[tuple[str, str]] = []
        self._journal = journal
        self._clock = clock
        self._open: dict[str, asyncio.Future[AttemptEnd]] = {}

    async def carry_out(self, order: Order) -> None:
        self.orders.append(order)
        if not order.adopted:
            await self._journal.submit(order.begun())
        self.begun_at.append(self._clock.now_ms())
        if self.ends:
            end = self.ends.pop(0)
        elif self.hold:
            waiting = self._open[order.fire.fire_id] = asyncio.get_running_loop().create_future()
            end = await waiting
        else:
            end = COMPLETED
        await self._journal.submit(order.ended(end))

    def stop(self, order: Order, reason: str, by: str) -> None:
        self.stops.append((order.fire.fire_id, reason))
        if not self.deaf and order.fire.fire_id in self._open:
            self.finish(AttemptEnd("cancelled", reason), order.fire.fire_id)

    def finish(self, end: AttemptEnd = COMPLETED, fire_id: str = "") -> None:
        waiting = self._open.pop(fire_id or next(iter(self._open)))
        if not waiting.done():
            waiting.set_result(end)

    @property
    def slots(self) -> list[int | None]:
        """Of the fires that were started, relative to T0, in seconds."""
        return [None if order.fire.slot is None else (order.fire.slot - T0) // 1000 for order in self.orders]


@dataclass
class Bench:
    journal: Journal
    clock: ManualClock
    scheduler: Scheduler
    hands: Hands
    told: dict[str, Condition] = field(default_factory=dict)

    async def turn(self) -> None:
        """Until nothing moves any more without time."""
        for _ in range(12):
            await self.scheduler.turn()
            await settle_loop(5)
            await self.journal.submit(())
            await settle_loop(5)

    async def at(self, seconds: float) -> None:
        """Goes to an instant, counted from T0, in one step."""
        self.clock.tick(seconds - (self.clock.now_ms() - T0) / 1000)
        await self.turn()

    async def fires(self, job_id: str = "j1") -> list[FireRow]:
        """As the journal has them, oldest first."""
        await self.journal.submit(())
        return list(reversed((await self.journal.readers.fires(job_id, limit=500)).fires))

    async def job(self, job_id: str = "j1") -> JobRow:
        found = await self.journal.readers.job(job_id)
        assert found is not None
        return found

    async def story(self, job_id: str = "j1") -> list[tuple[int | None, str, str, int]]:
        """(slot in seconds from T0, state, reason, how many more slots it covers) of each fire."""
        return [
            (
                None if fire.slot is None else (fire.slot - T0) // 1000,
                fire.state.value,
                fire.reason if fire.state != "completed" else "",
                fire.coalesced_count,
            )
            for fire in sorted(await self.fires(job_id), key=lambda fire: (fire.created_at, fire.fire_id))
        ]


@asynccontextmanager
async def bench(
    tmp_path: Path, *jobs: JobRow, clock: ManualClock | None = None, boot: str = "boot", **settings: Any
) -> AsyncIterator[Bench]:
    """Opens the journal anew each time: leaving without `close` of the scheduler is a crash, as far as it sees."""
    clock = clock or ManualClock(T0)
    journal = await Journal.open(tmp_path, clock)
    try:
        unit: Sequence[Change] = [JOBS.saved(job) for job in jobs]
        if unit:
            await journal.submit(unit)
        hands = Hands(journal, clock)
        told: dict[str, Condition] = {}

        def cleared(key: str) -> None:
            told.pop(key, None)

        scheduler = Scheduler(
            journal,
            clock,
            IdSource(clock),
            boot,
            hands,
            SchedulerSettings(**settings),
            EventHub(),
            tell=lambda condition: told.__setitem__(condition.key, condition),
            clear=cleared,
        )
        await restore(scheduler, journal.readers)
        yield Bench(journal, clock, scheduler, hands, told)
        await scheduler.close()
    finally:
        await journal.close()
