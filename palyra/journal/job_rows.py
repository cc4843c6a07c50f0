"""Jobs, their fires and the attempts of these, as they are kept. Times are UTC unix ms, costs nano-dollars."""

from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.journal.entity import Entity


class JobSource(StrEnum):
    """Who made a job."""

    SYSTEM = "system"
    CONFIG = "config"
    OPERATOR = "operator"


class JobState(StrEnum):
    """Whether a job fires."""

    ACTIVE = "active"
    PAUSED = "paused"
    EXHAUSTED = "exhausted"
    FAULTED = "faulted"


class FireState(StrEnum):
    """Where a fire stands; each slot has one."""

    PENDING = "pending"
    RUNNING = "running"
    BACKOFF = "backoff"
    REVIEW = "review"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    DENIED = "denied"

    @property
    def terminal(self) -> bool:
        """Whether nothing more becomes of it."""
        return self in ENDED

    @property
    def active(self) -> bool:
        """From its release until it ends; a review waits for a person and stands in nobody's way."""
        return not self.terminal and self is not FireState.REVIEW


ENDED = frozenset({FireState.COMPLETED, FireState.FAILED, FireState.CANCELLED, FireState.SKIPPED, FireState.DENIED})


class Trigger(StrEnum):
    """What made a fire."""

    SCHEDULE = "schedule"
    CATCH_UP = "catch_up"
    MANUAL = "manual"
    REVIEW = "review"


@value
class JobRow:
    """A job as it stands.

    `revision` grows with every save, `version` with every edit. `work` is what its action needs: prompt, model,
    max_tokens, json; task, input; or maintenance. `labels` are its channel, agent and tags, `rules` how it is planned
    and carried out, both as far as there are any. `why` of the state, by whom and since when. `planned_after` is the
    instant after which `next_slot` is the first slot, `zone_rules` the version of the zone rules it was found by.
    `fired` counts fires that started, `failures` those in a row that failed.
    """

    job_id: str
    revision: int
    version: int
    name: str
    name_key: str
    source: JobSource
    schedule: str
    expression: str
    timezone: str
    action: str
    work: dict[str, Any]
    owner: str
    session: str
    created_at: int
    updated_at: int
    created_by: str
    labels: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    state: JobState = JobState.ACTIVE
    why: str = ""
    state_by: str = ""
    state_at: int = 0
    anchor: int = 0
    planned_after: int = 0
    next_slot: int | None = None
    release_at: int | None = None
    last_slot: int | None = None
    zone_rules: str = ""
    fired: int = 0
    failures: int = 0

    @property
    def maintenance(self) -> bool:
        """The upkeep it does; empty for other jobs."""
        return self.action == "maintenance"

    @property
    def outlives(self) -> bool:
        """Whether its work goes on in the next engine: a task stays in its queue."""
        return self.action == "task"

    @property
    def scope(self) -> Scope:
        """Who pays for its work."""
        labels = self.labels
        channel, agent, tags = labels.get("channel", ""), labels.get("agent", ""), labels.get("tags", {})
        return Scope(self.owner, self.session, channel=channel, agent=agent, job=self.name, tags=tags)

    @property
    def remember(self) -> bool:
        """Whether answers become notes."""
        return bool(self.rules.get("remember", False))

    @property
    def recall(self) -> int:
        """How many notes are recalled."""
        return int(self.rules.get("recall", 0))

    @property
    def jitter_ms(self) -> int:
        """It fires up to so many ms late."""
        return int(self.rules.get("jitter_ms", 0))

    @property
    def misfire(self) -> str:
        """What becomes of missed slots."""
        return str(self.rules.get("misfire", "skip"))

    @property
    def max_lateness(self) -> int | None:
        """A slot older than so many ms is missed."""
        return self.rules.get("max_lateness")

    @property
    def concurrency(self) -> str:
        """What a fire does while one before it goes on."""
        return str(self.rules.get("concurrency", "forbid"))

    @property
    def max_attempts(self) -> int:
        """How often a fire is tried."""
        return int(self.rules.get("max_attempts", 1))

    @property
    def backoff_ms(self) -> int:
        """How long it waits before it is tried again, doubled each time."""
        return int(self.rules.get("backoff_ms", 1_000))

    @property
    def max_duration(self) -> int:
        """An attempt may take so many ms."""
        return int(self.rules.get("max_duration", 3_600_000))

    @property
    def max_runs(self) -> int | None:
        """It fires so often at most; None: without end."""
        return self.rules.get("max_runs")


@value
class FireRow:
    """One fire.

    `job_revision` is the job's that it was planned from, 0 where no slot was used up. `slot` None: asked for by hand,
    `by` whom, with `key` so that asking again is no second time. `coalesced_count` further slots up to
    `covers_through` are in it; of a review `spans` has each stretch of them, (first, last, how many). `held_until` is
    the end of a wait that was declared: a place, the fire before it. `attempts` are those that count, `tries` all.
    `changed`: whether it did anything.
    """

    fire_id: str
    revision: int
    job_id: str
    job_revision: int
    boot_id: str
    trigger: Trigger
    slot: int | None
    release_at: int
    created_at: int
    state: FireState = FireState.PENDING
    reason: str = ""
    by: str = ""
    key: str | None = None
    coalesced_count: int = 0
    covers_through: int | None = None
    spans: tuple[tuple[int, int, int], ...] = ()
    held_until: int | None = None
    dispatched_at: int | None = None
    lateness_ms: int | None = None
    retry_at: int | None = None
    attempts: int = 0
    tries: int = 0
    work_ids: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = 0
    error: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    changed: bool = True
    finished_at: int | None = None

    @property
    def terminal(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state.terminal

    @property
    def by_hand(self) -> bool:
        """Whether somebody asked for it."""
        return self.trigger is Trigger.MANUAL


@value
class AttemptRow:
    """One attempt of a fire: `attempt_id` is the id of its run or task, or its own for maintenance."""

    attempt_id: str
    revision: int
    fire_id: str
    number: int
    boot_id: str
    started_at: int
    state: str = "running"
    reason: str = ""
    message: str = ""
    ended_at: int | None = None


JOBS = Entity(JobRow, "jobs", ["job_id"], version="revision")
JOB_FIRES = Entity(FireRow, "job_fires", ["fire_id"], version="revision")
JOB_ATTEMPTS = Entity(AttemptRow, "job_attempts", ["attempt_id"], version="revision")
