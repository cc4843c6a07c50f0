"""Folding the engine's events into what a status line and lists need, so that no snapshot asks the journal."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError
from palyra.core.events import Event, EventHub
from palyra.core.windows import Interval, Window, window_for
from palyra.journal.readers import Readers
from palyra.journal.rows import RunRow
from palyra.runs.live import LiveRun

Fence = Callable[[], AbstractAsyncContextManager[Readers]]
"""A look at the journal as it is in this very step."""

RECENT_RUNS = 300
"""How many ended runs are shown beside those that are alive."""

DAYS_KEPT = 3
"""A clock that was set back, or ahead, and right again finds what had been spent on that day; and a day that is still
to come what was spent on it while a clock was ahead."""


class Fold:
    """Recent runs and today's spending, kept up by events. `version` grows with each of them."""

    def __init__(self, clock: Clock, events: EventHub, timezone: str) -> None:
        self._clock = clock
        self._timezone = timezone
        self._day: Window | None = None
        self._spent = 0
        self._other_days: dict[int, int] = {}
        """What was spent on days a clock was set away from, by their start."""
        self._live: dict[str, LiveRun] = {}
        """They are asked for their rows when somebody looks."""
        self._ended: dict[str, RunRow] = {}
        """Those that ended last, in the order they did."""
        self.version = 0
        self.requests_total = 0
        self._leave = events.subscribe(self._hear)

    async def begin(self, readers: Readers) -> None:
        """Takes over what the journal knows of before this start."""
        now = self._clock.now_ms()
        spent_today = await readers.spent_on_day(now, self._timezone)
        page = await readers.runs(limit=RECENT_RUNS)
        day = self._roll(now)
        self._spent += spent_today
        for _ in range(DAYS_KEPT):
            assert day.end is not None, "a day ends"
            day = window_for(Interval.DAILY, self._timezone, day.end)
            spent = await readers.spent_on_day(day.start, self._timezone)
            if spent:
                self._other_days[day.start] = self._other_days.get(day.start, 0) + spent
        for row in reversed(page.runs):
            if row.run_id not in self._live:
                self._ended.setdefault(row.run_id, row)

    async def move_to(self, timezone: str, fence: Fence) -> None:
        """Counts today's spending by the days of another zone. Where the journal cannot be read it stays as it was."""
        if timezone == self._timezone:
            return
        before = self._timezone, self._day, self._spent, self._other_days
        now = self._clock.now_ms()
        # What ends from here on is heard of; what ended so far is in the journal as this fence sees it.
        pinned = fence()
        self._timezone, self._day, self._spent, self._other_days = timezone, None, 0, {}
        self._roll(now)
        try:
            async with pinned as readers:
                self._spent += await readers.spent_on_day(now, timezone)
        except JournalUnavailableError:
            since = self._spent
            self._timezone, self._day, spent, self._other_days = before
            self._spent = spent + since
        self.version += 1

    def close(self) -> None:
        """Hears no more events."""
        self._leave()

    def spent_today(self) -> int:
        """Nano-dollars charged since local midnight."""
        self._roll(self._clock.now_ms())
        return self._spent

    def runs(self) -> list[tuple[RunRow, int | None]]:
        """Recent runs, newest first, each with what it holds now (nano-dollars, None when its price is unknown)."""
        newest_first = sorted([*self._ended, *self._live], reverse=True)
        live = self._live
        return [
            (live[run_id].row, live[run_id].held_usd) if run_id in live else (self._ended[run_id], 0)
            for run_id in newest_first
        ]

    def _roll(self, now: int) -> Window:
        day = self._day
        if day is None or not day.contains(now):
            if day is not None:
                self._other_days[day.start] = self._spent
            day = self._day = window_for(Interval.DAILY, self._timezone, now)
            self._spent = self._other_days.pop(day.start, 0)
            if len(self._other_days) > 2 * DAYS_KEPT:
                del self._other_days[next(iter(self._other_days))]
        return day

    def _corrected(self, event: Event) -> None:
        """An attempt of long ago turned out to have cost something else, on the day it settled."""
        row, difference, at = event.data["row"], event.data["difference"], event.data["at"]
        if row.run_id in self._ended:
            self._ended[row.run_id] = row
        self._roll(event.at)
        if self._day is not None and self._day.contains(at):
            self._spent += difference

    def _hear(self, event: Event) -> None:
        self.version += 1
        if event.kind == "run.corrected":
            self._corrected(event)
        run = event.data.get("run")
        if not isinstance(run, LiveRun):
            return
        if event.kind != "run.ended":
            self._live[run.run_id] = run
            return
        self._live.pop(run.run_id, None)
        row = self._ended[run.run_id] = run.row
        self._roll(event.at)
        self.requests_total += 1
        self._spent += row.cost or 0
        if len(self._ended) > RECENT_RUNS:
            del self._ended[next(iter(self._ended))]
