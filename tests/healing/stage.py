"""A house for the loop: a clock turned by hand, a measured event loop, runs that can hang, a journal where needed."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from palyra.config.operations import HealingConfig
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import JournalUnavailableError
from palyra.core.ids import IdSource
from palyra.core.lag import LoopLag
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.healing import Healing, HealingMeans
from palyra.healing.heartbeats import WorkHeartbeat
from palyra.healing.record import Attempt, IncidentEvent, IncidentRecord, TimelineEntry
from palyra.healing.remedier import Escalation
from palyra.healing.remedies import Checked, RemedyAct, helped
from palyra.journal.changes import Change
from palyra.journal.entity import EntitySaved
from palyra.journal.incident_rows import TIMELINE
from palyra.journal.journal import Journal

T0 = 1_795_348_800_000
RUN = WorkHeartbeatKind.RUN


def condition(
    key: str = "job:j1:faulted",
    severity: Severity = Severity.HIGH,
    domain: Domain = Domain.SCHEDULER,
    since: int = T0,
    related: Mapping[str, str] | None = None,
    subject: str = "",
) -> Condition:
    return Condition(domain, key, severity, f"{key} is wrong", since=since, related=related or {}, subject=subject)


@dataclass
class Stage:
    """A running loop. `runs` are what `cancel_run` can end; `deaf` ones ignore it."""

    clock: ManualClock
    healing: Healing
    lag: LoopLag
    written: list[Change] = field(default_factory=list)
    events: list[IncidentEvent] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    cancelled: list[tuple[str, int]] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    journal: Journal | None = None
    dead: bool = False
    """Nothing that happens is written any more."""

    def beat(self, run_id: str, progress: int | None = None, phase: str | None = None) -> None:
        self.healing.heartbeats.record(RUN, run_id, "gpt-5.4 for alice", phase, progress)

    def end(self, run_id: str) -> None:
        self.healing.heartbeats.clear(RUN, run_id)

    async def pass_time(self, milliseconds: int) -> None:
        """Time passes on a loop that turns; what is written in it is durable at its end."""
        await self.clock.advance(milliseconds / 1000)
        if self.journal is not None:
            for _ in range(4):
                async with self.journal.fence():
                    await settle_loop()

    async def beating(self, run_ids: Sequence[str], seconds: float, every: float = 15) -> None:
        """Time passes while these runs beat."""
        passed = 0.0
        while passed < seconds:
            for run_id in run_ids:
                self.beat(run_id)
            await self.clock.advance(min(every, seconds - passed))
            passed += every

    def incidents(self) -> list[IncidentRecord]:
        return self.healing.book.live()

    def incident_of(self, run_id: str) -> IncidentRecord | None:
        return self.healing.book.of(Domain.WATCHDOG, f"heartbeat:run:{run_id}")

    def attempts(self, run_id: str) -> list[Attempt]:
        record = self.incident_of(run_id)
        return [] if record is None else self.healing.attempts.of(record)

    def told(self) -> list[str]:
        """What happened, but for what nobody is told of: children and what was put away."""
        return [event.kind.value for event in self.events if not self._now(event).quiet(event.at)]

    def _now(self, event: IncidentEvent) -> IncidentRecord:
        return self.healing.book.get(event.record.incident_id)

    def lines(self, incident_id: str) -> list[str]:
        """The kinds of an incident's timeline, as written."""
        return [entry.kind.value for entry in self.timeline(incident_id)]

    def timeline(self, incident_id: str) -> list[TimelineEntry]:
        entries = [
            TIMELINE.read([*one.values[:-1], _loaded(one.values[-1])])
            for one in self.written
            if isinstance(one, EntitySaved) and one.table == TIMELINE.table.name
        ]
        return [entry for entry in entries if entry.incident_id == incident_id]

    # What `cancel_run` does in a real house

    async def _cancel(self, record: IncidentRecord, attempt: Attempt) -> str:
        self.cancelled.append((record.subject, self.clock.now_ms()))
        if record.subject not in self.deaf:
            self.end(record.subject)
        return f"Run {record.subject} was asked to stop."

    def _ended(self, record: IncidentRecord, attempt: Attempt) -> Checked:
        gone = self.healing.heartbeats.get(RUN, record.subject) is None
        return helped(gone, attempt, "cancelled" if gone else "")

    def stop_tasks(self) -> None:
        for task in self.tasks:
            task.cancel()

    async def close(self) -> None:
        """Raises what the loop ended with, if it did."""
        self.stop_tasks()
        ended = await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.healing.close()
        if self.journal is not None and self.journal.healthy:
            async with self.journal.fence():
                pass
        for error in ended:
            if error is not None and not isinstance(error, asyncio.CancelledError):
                raise error


def _loaded(text: object) -> object:
    return json.loads(str(text))


def healing_config(mode: str = "auto", **features: str) -> HealingConfig:
    every = dict.fromkeys(
        ("runs", "tasks", "jobs", "approvals", "providers", "external", "storage", "notifications"), mode
    )
    return HealingConfig.model_validate({"mode": mode, "features": every | features})


async def a_stage(
    config: HealingConfig | None = None,
    *,
    clock: ManualClock | None = None,
    journal: Journal | None = None,
    relate: Callable[[WorkHeartbeat], Mapping[str, str]] = lambda heartbeat: {},
    boot_id: str = "boot-1",
    measured: bool = True,
) -> Stage:
    """With a journal, what it knows is restored and what happens goes there too. Unless `measured`, nobody notices when
    the loop stands still, and long times pass quickly."""
    clock = clock or ManualClock(T0)
    lag = LoopLag(clock)
    stage: Stage

    def write(changes: Sequence[Change]) -> None:
        stage.written.extend(changes)
        if journal is not None and changes and not stage.dead:
            journal.submit(changes).add_done_callback(lambda done: done.exception())

    async def write_and_wait(changes: Sequence[Change]) -> None:
        stage.written.extend(changes)
        if journal is not None:
            if not journal.healthy:
                raise JournalUnavailableError("The journal cannot be written.")
            await journal.submit(changes)

    def ask(escalation: Escalation) -> str:
        stage.escalations.append(escalation)
        return f"approval-{len(stage.escalations)}"

    means = HealingMeans(
        clock=clock,
        new_id=IdSource(clock).new,
        boot_id=boot_id,
        lag=lag,
        write=write,
        write_and_wait=write_and_wait,
        ask=ask,
        relate=relate,
    )
    stage = Stage(clock, Healing(means, config or healing_config()), lag, journal=journal)
    stage.healing.on_event(stage.events.append)
    stage.healing.chest.add(
        "cancel_run", RemedyAct(stage._cancel, stage._ended, lambda record: [f"Ends run {record.subject}."])
    )
    if journal is not None:
        await stage.healing.restore(journal.readers)
    works = [stage.healing.run, lag.run] if measured else [stage.healing.run]
    stage.tasks = [asyncio.create_task(work()) for work in works]
    await settle_loop()
    return stage
