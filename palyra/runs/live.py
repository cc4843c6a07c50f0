"""Runs that are alive in this process, and their consistent rows."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from palyra.core.clock import Clock
from palyra.core.events import Event, EventHub
from palyra.journal.changes import Change, RunNoted, RunSaved
from palyra.journal.rows import RunRow
from palyra.runs.states import Phase, RunState, check_move


@dataclass(slots=True)
class LiveRun:
    """One run while it lives: its newest row and how to stop it.

    `cancelled_as` holds the first reason somebody asked it to stop for; later ones change nothing.
    """

    row: RunRow
    held_usd: int | None = 0
    cancelled_as: str = ""
    cancelled_by: str = ""
    cancel_asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def run_id(self) -> str:
        return self.row.run_id

    @property
    def state(self) -> RunState:
        return RunState(self.row.state)

    def ask_to_stop(self, reason: str, by: str = "") -> bool:
        """Returns whether this call was the first to ask."""
        if self.cancelled_as or self.state.terminal:
            return False
        self.cancelled_as = reason
        self.cancelled_by = by
        self.cancel_asked.set()
        return True


class LiveRuns:
    """Every run that has not ended, with what happened last to each published as an event."""

    def __init__(self, clock: Clock, events: EventHub) -> None:
        self._clock = clock
        self._events = events
        self._runs: dict[str, LiveRun] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.started_total = 0

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[LiveRun]:
        return iter(tuple(self._runs.values()))

    def get(self, run_id: str) -> LiveRun | None:
        return self._runs.get(run_id)

    def start(self, row: RunRow) -> LiveRun:
        run = LiveRun(row)
        self._runs[row.run_id] = run
        self._idle.clear()
        self.started_total += 1
        self._publish(run, "run.started")
        return run

    def move(self, run: LiveRun, state: RunState, *, reason: str = "", **changes: object) -> list[Change]:
        """Moves a run and returns what must be made durable. Raises IllegalMoveError and then changes nothing."""
        check_move(run.state, state, reason)
        now = self._clock.now_ms()
        if state.terminal:
            changes.setdefault("finished_at", now)
        run.row = replace(run.row, version=run.row.version + 1, state=state.value, reason=reason, **changes)  # type: ignore[arg-type]
        written: list[Change] = [RunSaved(run.row)]
        if state.terminal:
            written.append(RunNoted(run.run_id, now, "run_terminal", {"state": state.value, "reason": reason}))
            self._runs.pop(run.run_id, None)
            if not self._runs:
                self._idle.set()
            self._publish(run, "run.ended")
        else:
            self._publish(run, "run.moved")
        return written

    def touch(self, run: LiveRun, phase: Phase | None = None, **changes: object) -> None:
        """Changes what consoles see of a live run without a durable write."""
        if phase is not None:
            changes["phase"] = phase.value
        run.row = replace(run.row, **changes)  # type: ignore[arg-type]
        self._publish(run, "run.moved")

    async def idle(self) -> None:
        """Returns once no run is alive."""
        await self._idle.wait()

    def _publish(self, run: LiveRun, kind: str) -> None:
        self._events.publish(Event(kind, self._clock.now_ms(), run.run_id, {"row": run.row, "held": run.held_usd}))
