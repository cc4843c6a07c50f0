"""Folding the engine's events into what a status line and lists need, so that no snapshot asks the journal."""

from collections import OrderedDict

from palyra.core.clock import Clock
from palyra.core.events import Event, EventHub
from palyra.core.windows import Interval, Window, window_for
from palyra.journal.readers import Readers
from palyra.journal.rows import RunRow
from palyra.runs.live import LiveRun

RECENT_RUNS = 300


class Fold:
    """Recent runs and today's spending, kept up by events. `version` grows with each of them."""

    def __init__(self, clock: Clock, events: EventHub, timezone: str) -> None:
        self._clock = clock
        self._timezone = timezone
        self._day: Window | None = None
        self._spent = 0
        self._runs: OrderedDict[str, RunRow | LiveRun] = OrderedDict()
        """Rows of runs that have ended; those alive are asked for theirs when somebody looks."""
        self.version = 0
        self.requests_total = 0
        self._leave = events.subscribe(self._hear)

    async def begin(self, readers: Readers) -> None:
        """Takes over what the journal knows of before this start."""
        now = self._clock.now_ms()
        counts = await readers.status_counts(now, self._timezone)
        page = await readers.runs(limit=RECENT_RUNS)
        self._roll(now)
        self._spent += counts.spent_today
        for row in reversed(page.runs):
            self._runs.setdefault(row.run_id, row)

    def close(self) -> None:
        self._leave()

    def spent_today(self) -> int:
        """Nano-dollars charged since local midnight."""
        self._roll(self._clock.now_ms())
        return self._spent

    def runs(self) -> list[tuple[RunRow, int | None]]:
        """Recent runs, newest first, each with what it holds now (nano-dollars, None when its price is unknown)."""
        newest_first = [run for _, run in sorted(self._runs.items(), reverse=True)]
        return [(run.row, run.held_usd) if isinstance(run, LiveRun) else (run, 0) for run in newest_first]

    def _roll(self, now: int) -> None:
        if self._day is None or not self._day.contains(now):
            self._day = window_for(Interval.DAILY, self._timezone, now)
            self._spent = 0

    def _hear(self, event: Event) -> None:
        self.version += 1
        run = event.data.get("run")
        if not isinstance(run, LiveRun):
            return
        self._runs[run.run_id] = run
        if event.kind == "run.ended":
            row = self._runs[run.run_id] = run.row
            self._roll(event.at)
            self.requests_total += 1
            self._spent += row.cost or 0
        while len(self._runs) > RECENT_RUNS:
            gone = next((run_id for run_id, kept in self._runs.items() if not isinstance(kept, LiveRun)), None)
            if gone is None:
                break
            del self._runs[gone]
