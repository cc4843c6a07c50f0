"""Runs that are alive in this process, and their consistent rows."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from palyra.core.clock import Clock
from palyra.core.events import Event, EventHub
from palyra.core.pulse import NoPulse, Pulse, WorkHeartbeatKind
from palyra.journal.changes import Change, RunNoted, RunSaved
from palyra.journal.rows import RunRow
from palyra.runs.attempt import Attempt
from palyra.runs.request import Owner
from palyra.runs.states import SPARES_CHILDREN, Phase, RunState, check_move
from palyra.runs.trail import Traced

log = logging.getLogger(__name__)


class RunStoppedError(Exception):
    """Somebody asked this run to stop while it could be interrupted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_FIELDS = tuple(field.name for field in fields(RunRow))


@dataclass(slots=True)
class LiveRun:
    """One run while it lives: its newest row and how to stop it.

    `stop_reason` holds the first reason somebody asked it to stop for; later ones change nothing. `attempt` is the
    one under way.
    """

    _row: RunRow
    held_usd: int | None = 0
    stop_reason: str = ""
    stopped_by: str = ""
    attempt: Attempt | None = None
    usage_source: str = ""
    cached: bool | None = None
    """Whether a kept answer was given; None where none was looked for."""
    cost: int | None = 0
    """What its attempts were charged so far, in nano-dollars; None once one was that nobody knows the price of."""
    marks: tuple[str, ...] = ()
    """Flags of what was charged."""
    tokens: tuple[int, int] = (0, 0)
    """Input and output of its attempts so far."""
    traces: list[Traced] = field(default_factory=list)
    """Its attempts that ended."""
    away_s: float = 0.0
    """Seconds it spent waiting for providers, for places with them, and for people."""
    parked_s: float = 0.0
    """Seconds it spent waiting for people, before the wait that is under way."""
    parked_since: float | None = None
    """When the wait for a person that is under way began, in monotonic seconds."""
    owner: Owner | None = None
    """Whom it is for, where no client waits for it."""
    retry_after_ms: int | None = None
    """What the provider that failed it asked to wait."""
    resting: bool = False
    """Whether it waits for the instant of its next attempt."""
    saved: bool = False
    """Whether the journal knows the run."""
    dirty: bool = False
    """Whether consoles were shown more than the journal was."""
    state: RunState = field(init=False)
    title: str = field(init=False)
    """What it is, in a few words."""
    pulse: Pulse = field(default_factory=NoPulse)
    progress: int = 0
    """How often its worker got on."""
    _facts: dict[str, Any] = field(init=False)
    """The row's fields with what was touched since `_row` was made: making rows costs more than all other bookkeeping,
    and reading the fields of the one before is half of that."""
    _stale: bool = False
    _opening: list[Change] = field(default_factory=list)
    _task: asyncio.Task[object] | None = None
    _struck: bool = False

    def __post_init__(self) -> None:
        self.state = RunState(self._row.state)
        self.title = f"{self._row.model_asked} for {self._row.scope.principal}"
        self._facts = {name: getattr(self._row, name) for name in _FIELDS}

    @property
    def run_id(self) -> str:
        """Its ULID."""
        return self._row.run_id

    @property
    def row(self) -> RunRow:
        """Its row as it stands."""
        if self._stale:
            self._row = RunRow(**self._facts)
            self._stale = False
        return self._row

    def spend(self, cost: int | None, input_tokens: int, output_tokens: int, flags: tuple[str, ...]) -> None:
        """An attempt was charged."""
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        self.tokens = (self.tokens[0] + input_tokens, self.tokens[1] + output_tokens)
        self.marks = tuple(dict.fromkeys([*self.marks, *flags]))

    def spent(self) -> dict[str, Any]:
        """What its attempts came to, as fields of its row."""
        input_tokens, output_tokens = self.tokens
        return {
            "cost": self.cost,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "flags": self.marks,
        }

    def beat(self, phase: str | None = None) -> None:
        """Its worker lives, and may have come to another phase."""
        self.pulse.record(WorkHeartbeatKind.RUN, self._row.run_id, self.title, phase)

    def advance(self) -> None:
        """Its worker got on: a chunk came, an answer began."""
        self.progress += 1
        self.pulse.record(WorkHeartbeatKind.RUN, self._row.run_id, self.title, None, self.progress)

    def allow_silence(self, milliseconds: int) -> None:
        """From here on it may go without progress for that long."""
        self.pulse.allow_silence(WorkHeartbeatKind.RUN, self._row.run_id, milliseconds)

    def touch(self, changes: dict[str, Any]) -> None:
        """Changes the row without a new version; its state stays."""
        self._facts |= changes
        self._stale = True

    def new_version(self, state: RunState, changes: dict[str, Any]) -> RunRow:
        """The row's next version, in that state."""
        self._facts |= {**changes, "version": self._row.version + 1, "state": state.value}
        self._row = RunRow(**self._facts)
        self._stale = False
        self.state = state
        return self._row

    def stop(self, reason: str) -> None:
        """`ask_to_stop` for callbacks, which nobody answers."""
        self.ask_to_stop(reason)

    def ask_to_stop(self, reason: str, by: str = "") -> bool:
        """Interrupts the run where it may be interrupted, now or next. Returns whether this was the first to ask."""
        if self.stop_reason or self.state.terminal:
            return False
        self.stop_reason = reason
        self.stopped_by = by
        if self._task is not None:
            self._struck = True
            self._task.cancel()
        return True

    @property
    def phase(self) -> str:
        """What it is at, for its heartbeat."""
        phase: str = self._facts["phase"]
        return phase

    def opens_with(self, changes: Sequence[Change]) -> None:
        """These are written with its row."""
        self._opening = list(changes)

    def begun(self) -> list[Change]:
        """What is written with its row, until `known` says that it is."""
        if not self.saved:
            self.saved = True
            if self.owner is not None:
                self._opening += _asked(lambda owner: owner.begun(self.row), self.owner)
        return self._opening

    def known(self) -> None:
        """The journal has its row."""
        self._opening = []

    def ended(self) -> list[Change]:
        """What its owner has written with its end."""
        owner = self.owner
        if owner is None:
            return []
        return [*self.begun(), *_asked(lambda one: one.ended(self.row, self.retry_after_ms), owner)]

    def parked_for(self, now: float) -> float:
        """Seconds spent waiting for people, by that instant of monotonic time."""
        return self.parked_s + (0.0 if self.parked_since is None else now - self.parked_since)

    @contextmanager
    def parked(self, clock: Clock) -> Iterator[None]:
        """Inside, it waits for a person."""
        self.parked_since = clock.monotonic()
        try:
            with self.away(clock):
                yield
        finally:
            self.parked_s, self.parked_since = self.parked_for(clock.monotonic()), None

    @contextmanager
    def away(self, clock: Clock) -> Iterator[None]:
        """Time spent inside is not the house's own."""
        begun = clock.monotonic()
        try:
            yield
        finally:
            self.away_s += clock.monotonic() - begun

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """While inside, `ask_to_stop` ends what is awaited. Raises RunStoppedError, also on entry."""
        if self.stop_reason:
            raise RunStoppedError(self.stop_reason)
        task = asyncio.current_task()
        assert task is not None
        self._task, self._struck = task, False
        before = task.cancelling()
        try:
            yield
        except asyncio.CancelledError:
            if self._struck and task.uncancel() <= before:
                raise RunStoppedError(self.stop_reason) from None
            raise
        else:
            if self._struck:
                # What was awaited did not let itself be ended; what comes next must not take the blow for it.
                task.uncancel()
        finally:
            self._task = None


def _asked(ask: Callable[[Owner], Sequence[Change]], owner: Owner) -> list[Change]:
    try:
        return list(ask(owner))
    except Exception:
        log.exception("the owner of a run did not answer")
        return []


Children = Callable[[str], Sequence[Change]]
"""What is to be written when a run is cancelled, by its id: the work that hangs below it is stopped with it."""


def _childless(_run_id: str) -> Sequence[Change]:
    return ()


Silence = Callable[[str, bool], int]
"""How long an attempt with a provider, streamed or not, may go without progress, in ms."""


class LiveRuns:
    """Every run that has not ended, with what happened last to each published as an event."""

    def __init__(self, clock: Clock, events: EventHub) -> None:
        self._clock = clock
        self._events = events
        self._runs: dict[str, LiveRun] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.started_total = 0
        self.children: Children = _childless
        self.pulse: Pulse = NoPulse()
        self.silence: Silence = lambda provider, streaming: 0

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[LiveRun]:
        return iter(tuple(self._runs.values()))

    def get(self, run_id: str) -> LiveRun | None:
        """The run of that id, while it lives."""
        return self._runs.get(run_id)

    def stopping(self, run_id: str) -> bool | None:
        """Whether somebody has asked a run to stop; None where it is not alive."""
        run = self._runs.get(run_id)
        return None if run is None else bool(run.stop_reason)

    def start(self, row: RunRow, owner: Owner | None = None) -> LiveRun:
        """A run begins: it beats, counts and is told of."""
        run = LiveRun(row, owner=owner)
        self._runs[row.run_id] = run
        run.pulse = self.pulse
        run.beat(row.phase)
        self._idle.clear()
        self.started_total += 1
        self._publish(run, "run.started")
        return run

    def move(self, run: LiveRun, state: RunState, *, reason: str = "", **changes: Any) -> list[Change]:
        """Moves a run and returns what must be made durable. Raises IllegalMoveError and then changes nothing."""
        check_move(run.state, state, reason)
        now = self._clock.now_ms()
        if state.terminal:
            changes.setdefault("finished_at", now)
        written: list[Change] = [RunSaved(run.new_version(state, {**changes, "reason": reason}))]
        if state.terminal:
            told: dict[str, Any] = {"state": state.value, "reason": reason}
            if run.traces:
                told["attempt"] = run.traces[-1].to_json()
            written.append(RunNoted(run.run_id, now, "run_terminal", told))
            written += run.ended()
            if state is RunState.CANCELLED and reason not in SPARES_CHILDREN:
                written += self.children(run.run_id)
            self._runs.pop(run.run_id, None)
            if not self._runs:
                self._idle.set()
            self.pulse.clear(WorkHeartbeatKind.RUN, run.run_id)
            # A worker that does not know yet must not bring its heartbeat back.
            run.pulse = NoPulse()
            self._publish(run, "run.ended")
        else:
            run.beat(run.row.phase)
            self._publish(run, "run.moved")
        return written

    def touch(self, run: LiveRun, phase: Phase | None = None, **changes: Any) -> None:
        """Changes what consoles see of a live run without a durable write; nothing once it has ended."""
        if run.state.terminal:
            return
        if phase is not None:
            changes["phase"] = phase.value
            run.beat(phase.value)
        run.touch(changes)
        run.dirty = True
        self._publish(run, "run.moved")

    def renew(self, run: LiveRun, **changes: Any) -> Change:
        """Changes a live run's row in its state; what is returned must be made durable."""
        renewed = RunSaved(run.new_version(run.state, changes))
        run.dirty = False
        if "phase" in changes:
            run.beat(changes["phase"])
        self._publish(run, "run.moved")
        return renewed

    def snapshot(self, run: LiveRun) -> Change:
        """What a run looks like now, to be made durable."""
        run.dirty = False
        return RunSaved(run.new_version(run.state, {}))

    async def idle(self) -> None:
        """Returns once no run is alive."""
        await self._idle.wait()

    def _publish(self, run: LiveRun, kind: str) -> None:
        self._events.publish(Event(kind, self._clock.now_ms(), run.run_id, {"run": run}))
