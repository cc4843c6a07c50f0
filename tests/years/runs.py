"""Background runs of the years: some succeed, some fail, some are refused, hang, turn in circles or do not listen."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from palyra.core.errors import JournalUnavailableError
from palyra.core.pulse import WorkHeartbeatKind
from palyra.journal.changes import RunSaved
from palyra.journal.rows import RunRow
from palyra.runs.background import PromptAsk, PromptResult
from tests.journal.samples import a_run

if TYPE_CHECKING:
    from tests.years.house import House

RUN = WorkHeartbeatKind.RUN
MOODS = {
    "quick": 70,
    "long": 5,
    "rate_limited": 6,
    "auth_invalid": 3,
    "refused": 2,
    "deferred": 3,
    "by_operator": 1,
    "hang": 2,
    "deaf": 1,
    "circling": 1,
    "broken": 1,
}
BEATING = frozenset({"quick", "long", "rate_limited", "auth_invalid", "refused", "deferred", "by_operator"})
ENDS = {
    "rate_limited": ("failed", "rate_limited"),
    "auth_invalid": ("failed", "auth_invalid"),
    "refused": ("refused", "budget_exceeded"),
    "deferred": ("failed", "deferred"),
    "by_operator": ("cancelled", "by_operator"),
}


class BrokenError(Exception):
    """A run that ends as none should."""


@dataclass
class Live:
    ask: PromptAsk
    row: RunRow
    mood: str
    stopped: "asyncio.Future[str]"


class Runs:
    """In place of BackgroundRuns. `started` hears of each attempt, with how long it will take in seconds."""

    def __init__(self, house: "House", dice: random.Random, started: Callable[[float], None]) -> None:
        self._house = house
        self._dice = dice
        self._started = started
        self.calm = False
        """Everything succeeds at once."""
        self.live: dict[str, Live] = {}

    def stop(self, run_id: str, reason: str, by: str) -> bool:
        return self.cancel(run_id, reason, by)

    def get(self, run_id: str) -> Live | None:
        """As the engine's live runs are asked."""
        return self.live.get(run_id)

    def stopping(self, run_id: str) -> bool | None:
        live = self.live.get(run_id)
        return None if live is None else live.stopped.done()

    def cancel(self, run_id: str, reason: str, by: str) -> bool:
        live = self.live.get(run_id)
        if live is None:
            return False
        if not live.stopped.done():
            self._house.tally.stopped(live.ask, reason, beats=live.mood in BEATING)
            live.stopped.set_result(reason)
        return True

    async def run(self, ask: PromptAsk) -> PromptResult:
        house, mood = self._house, "quick" if self.calm else self._mood()
        if mood == "broken":
            raise BrokenError
        row = replace(
            a_run(ask.run_id),
            boot_id=house.boot_id,
            source=ask.source,
            state="running",
            accepted_at=house.clock.now_ms(),
            scope=ask.scope,
        )
        try:
            await house.durable.wait([RunSaved(row), *ask.begun(row)])
        except JournalUnavailableError:
            return self._end(ask, row, "failed", "journal_unavailable")
        if house.dead():
            return PromptResult(ask.run_id, "failed", "interrupted")
        self._begins(ask)
        live = self.live[ask.run_id] = Live(ask, row, mood, asyncio.get_running_loop().create_future())
        try:
            state, reason = await self._work(live)
        except asyncio.CancelledError:
            self._end(ask, row, "cancelled", "engine_stopping")
            raise
        finally:
            house.healing.heartbeats.clear(RUN, ask.run_id)
            self.live.pop(ask.run_id, None)
        return self._end(ask, row, state, reason)

    def _mood(self) -> str:
        return self._dice.choices(list(MOODS), list(MOODS.values()))[0]

    def _begins(self, ask: PromptAsk) -> None:
        tally, house = self._house.tally, self._house
        fence = 0
        if ask.task_id:
            twins = [one for one in self.live.values() if one.ask.task_id == ask.task_id and not one.stopped.done()]
            if twins:
                tally.faults.append(f"task {ask.task_id} has two live runs")
            task = house.tasks.desk.book.get(ask.task_id)
            fence = 0 if task is None else task.fence
        tally.attempt(ask, fence)
        slot = house.slot_of(ask.fire_id)
        if slot is not None:
            tally.slot(*slot, ask.fire_id)

    async def _work(self, live: Live) -> tuple[str, str]:
        clock, ask, dice, mood = self._house.clock, live.ask, self._dice, live.mood
        took = dice.uniform(20, 200) if mood == "long" else dice.uniform(0.05, 3)
        began, at, progress = clock.monotonic(), 0.0, 0
        longest = ask.max_duration_ms / 1000
        self._started(took)
        while True:
            if mood not in ("hang", "deaf") or not progress:
                progress += 1
                told = 1 if mood == "circling" else progress
                if ask.beat is not None:
                    ask.beat("dispatch", told)
                self._house.pulse.record(RUN, ask.run_id, "a run", "dispatch", told)
            wait = min(dice.uniform(3, 14), took - at if mood in BEATING else longest - at)
            if await self._stopped_within(live, wait):
                if mood == "deaf":
                    await clock.sleep(dice.uniform(1, 40))
                return "cancelled", live.stopped.result()
            at = clock.monotonic() - began
            if at >= longest:
                return "failed", "run_timeout"
            if mood in BEATING and at >= took:
                return ENDS.get(mood, ("completed", "stop"))

    async def _stopped_within(self, live: Live, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with self._house.clock.timeout(max(0.001, seconds)):
                await asyncio.shield(live.stopped)
        return live.stopped.done()

    def _end(self, ask: PromptAsk, row: RunRow, state: str, reason: str) -> PromptResult:
        house = self._house
        result = PromptResult(ask.run_id, state, reason, text="done" if state == "completed" else "")
        house.tally.seen[f"run {state} {reason}"] += 1
        ended = replace(row, state=state, reason=reason, version=2, finished_at=house.clock.now_ms())
        accepted = ask.ended(result)
        written = house.durable.begin([RunSaved(ended), *accepted])

        def durable(done: "asyncio.Future[None]") -> None:
            told = not done.cancelled() and done.exception() is None
            if told and accepted and result.completed and not house.dead():
                house.tally.done(ask)

        written.add_done_callback(durable)
        return result
