"""What diagnostics hear of a house while it works: failures as they happen, and counts of the last minutes."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palyra.core.events import Event
from palyra.core.rolling import Rolling
from palyra.diagnostics.failure import BAD_STATUS, UNREACHABLE, Source, is_failure
from palyra.diagnostics.failures import FailureBook
from palyra.diagnostics.work import RecentFire
from palyra.journal.changes import Change, DecisionMade, HoldEnded, UsageRecorded
from palyra.journal.delivery_rows import DeliveryRow
from palyra.journal.entity import Entity, EntitySaved
from palyra.journal.job_rows import ENDED, JOB_FIRES
from palyra.journal.readers import Readers
from palyra.journal.task_rows import TASKS, TERMINAL
from palyra.providers.ways import AttemptEnd
from palyra.tasks.ends import POISON

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

MODELS_MOST = 200
FIRES_SHOWN, FIRES_READ = 20, 100
EXHAUSTED = "attempts_exhausted"


class Hearing:
    """Counts and failures of one engine. Every call is synchronous and cheap: some come with each request."""

    def __init__(self, engine: "Engine", failures: FailureBook) -> None:
        self._engine = engine
        self.failures = failures
        self.decisions = Rolling(engine.clock)
        self.tasks_ended = Rolling(engine.clock)
        self.poisoned = Rolling(engine.clock, 86_400.0)
        self._fires: dict[str, RecentFire] = {}
        """The newest that ended, by id, in that order."""
        self.overruns = 0
        self.unpriced: Counter[str] = Counter()
        """Models that were used although nobody knew their price."""
        self._journal_failures = 0
        engine.journal.listen(self.hear)
        engine.events.subscribe(self._refused, "config.refused")

    async def restore(self, readers: Readers) -> None:
        """What jobs did under an earlier engine. Raises JournalUnavailableError."""
        found = (await readers.fires(limit=FIRES_READ)).fires
        for row in sorted((one for one in found if one.terminal), key=lambda one: (one.finished_at or 0, one.fire_id)):
            self._ended(
                RecentFire(
                    row.fire_id,
                    self._job(row.job_id),
                    row.state.value,
                    row.reason,
                    row.trigger.value,
                    row.release_at,
                    row.finished_at,
                    row.lateness_ms,
                )
            )

    def recent_fires(self) -> tuple[RecentFire, ...]:
        """The newest first."""
        return tuple(reversed(self._fires.values()))

    def attempt(self, end: AttemptEnd) -> None:
        """How an attempt at a provider ended."""
        if end.error is not None:
            told = {"run": end.run_id, "attempt": str(end.number or "")}
            self.failures.record(Source.PROVIDER, end.provider, end.error.error_class.value, end.error.message, told)

    def delivery(self, row: DeliveryRow) -> None:
        """A webhook did not take a notification."""
        code = UNREACHABLE if row.status is None else BAD_STATUS
        kind, _, name = row.subject.partition(":")
        self.failures.record(Source.WEBHOOK, row.webhook, code, row.error, {kind: name} if name else None)

    def gateway(self, where: str, what: str) -> None:
        """A request failed by a fault of our own."""
        self.failures.record(Source.GATEWAY, where, "internal_error", what)

    def collector(self, name: str, why: str) -> None:
        """A collector of the diagnostics could not do its work."""
        self.failures.record(Source.COLLECTOR, name, "collector", why)

    def _refused(self, event: Event) -> None:
        """The configuration was read again and is not valid."""
        told = "; ".join(map(str, event.data["problems"]))
        self.failures.record(Source.CONFIG, event.subject, "invalid_reload", told)

    def look(self) -> None:
        """Whether the journal has refused something since the last look."""
        stats = self._engine.journal.stats
        if stats.failures_total > self._journal_failures:
            self.failures.record(Source.JOURNAL, "journal", "journal", stats.last_error)
        self._journal_failures = stats.failures_total

    def hear(self, unit: Sequence[Change]) -> None:
        """What is written to the journal, each unit once."""
        for change in unit:
            if isinstance(change, EntitySaved):
                if change.table == JOB_FIRES.table.name:
                    self._fire(change)
                elif change.table == TASKS.table.name:
                    self._task(change)
            elif isinstance(change, DecisionMade):
                self.decisions.add(change.row.outcome)
            elif isinstance(change, HoldEnded):
                self.overruns += change.overrun
            elif isinstance(change, UsageRecorded) and change.row.price_state.startswith("unknown"):
                self._unpriced(change.row.model)

    def _unpriced(self, model: str) -> None:
        if model in self.unpriced or len(self.unpriced) < MODELS_MOST:
            self.unpriced[model] += 1

    def _fire(self, change: EntitySaved) -> None:
        fire = _Fields(JOB_FIRES, change)
        state, reason = fire.text("state"), fire.text("reason")
        if state not in ENDED:
            return
        name = self._job(fire.text("job_id"))
        self._ended(
            RecentFire(
                fire.text("fire_id"),
                name,
                state,
                reason,
                fire.text("trigger"),
                fire.number("release_at") or 0,
                fire.number("finished_at"),
                fire.number("lateness_ms"),
            )
        )
        if not is_failure(state, reason):
            return
        told = {"fire": fire.text("fire_id"), "job": fire.text("job_id")}
        self.failures.record(Source.JOB, name, reason, fire.text("error"), told)

    def _ended(self, fire: RecentFire) -> None:
        self._fires.pop(fire.fire_id, None)
        self._fires[fire.fire_id] = fire
        if len(self._fires) > FIRES_SHOWN:
            del self._fires[next(iter(self._fires))]

    def _job(self, job_id: str) -> str:
        """Its name; one that is gone has none but its id."""
        lane = self._engine.jobs.roster.get(job_id)
        return job_id if lane is None else lane.job.name

    def _task(self, change: EntitySaved) -> None:
        task = _Fields(TASKS, change)
        state, reason, error = task.text("state"), task.text("reason"), task.text("error")
        if state not in TERMINAL:
            return
        self.tasks_ended.add(state)
        if reason == POISON:
            self.poisoned.add(task.text("task_id"))
        if reason == EXHAUSTED:
            reason = error.partition(":")[0] or reason
        if is_failure(state, reason):
            told = {"task": task.text("task_id"), "run": task.text("target_run_id")}
            self.failures.record(Source.TASK, task.text("kind"), reason, error, told)


class _Fields:
    """The columns of a row that is being saved."""

    def __init__(self, entity: Entity[Any], change: EntitySaved) -> None:
        self._places = _places(entity)
        self._values = change.values

    def text(self, name: str) -> str:
        return str(self._values[self._places[name]])

    def number(self, name: str) -> int | None:
        found = self._values[self._places[name]]
        return found if isinstance(found, int) else None


def _places(entity: Entity[Any]) -> dict[str, int]:
    known = _PLACES.get(entity.table.name)
    if known is None:
        known = _PLACES[entity.table.name] = {name: place for place, name in enumerate(entity.table.columns)}
    return known


_PLACES: dict[str, dict[str, int]] = {}
