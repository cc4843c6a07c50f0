"""Tasks, what they were given, what came of them, and for whom runs were made that no client waited for.

Times are UTC unix ms.
"""

from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.journal.entity import Entity


class TaskState(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCEL_REQUESTED = "cancel_requested"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """Whether nothing more becomes of it."""
        return self in TERMINAL

    @property
    def leased(self) -> bool:
        """Whether a worker may hold it."""
        return self in (TaskState.RUNNING, TaskState.CANCEL_REQUESTED)


TERMINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED})


KEEP, REMEMBER = "keep", "remember"


class Waits(StrEnum):
    """What `not_before` of a queued task comes from."""

    ASKED = ""
    BACKOFF = "backoff"
    PROVIDER_LEASE = "provider_lease"


@value
class TaskRow:
    """One task as it stands, without its texts. `version` grows with every change.

    `labels` are its channel, agent and tags, as far as it has any. `parent_run_id` and `parent_task_id` are what it
    hangs below. `marks` may have KEEP: it goes on when that is cancelled, and REMEMBER: its result is kept as a note.
    `attempt` counts those that were begun, `interruptions` the crashes in a row. `fence` grows with every
    claim: what a worker writes under an older one has no effect. `boot_id`, `worker_id` and `lease_until` are empty
    unless it is leased; `target_run_id` is the run of its newest attempt. `tokens` were used by runs of this attempt.
    """

    task_id: str
    version: int
    kind: str
    source: str
    state: TaskState
    owner: str
    session: str
    created_at: int
    updated_at: int
    dedupe_key: str = ""
    job: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    fire_id: str = ""
    parent_run_id: str = ""
    parent_task_id: str = ""
    marks: tuple[str, ...] = ()
    model: str = "auto"
    token_budget: int = 0
    priority: int = 0
    not_before: int = 0
    waits: Waits = Waits.ASKED
    expires_at: int | None = None
    timeout_ms: int = 600_000
    attempt: int = 0
    max_attempts: int = 3
    backoff_ms: int = 1_000
    interruptions: int = 0
    boot_id: str = ""
    worker_id: str = ""
    fence: int = 0
    lease_until: int | None = None
    target_run_id: str = ""
    tokens: int = 0
    reason: str = ""
    error: str = ""
    decision_id: str = ""
    started_at: int | None = None
    finished_at: int | None = None

    @property
    def keep(self) -> bool:
        """Whether it goes on when what it hangs below is cancelled."""
        return KEEP in self.marks

    @property
    def remember(self) -> bool:
        """Whether its answer becomes a note."""
        return REMEMBER in self.marks

    @property
    def scope(self) -> Scope:
        """Who pays for it."""
        labels = self.labels
        channel, agent, tags = labels.get("channel", ""), labels.get("agent", ""), labels.get("tags", {})
        return Scope(self.owner, self.session, channel=channel, agent=agent, job=self.job, tags=tags)


@value
class TaskInput:
    """What a task was given; it never changes."""

    task_id: str
    text: str
    payload: dict[str, Any]


@value
class TaskResult:
    """What a completed task came to, by its run. `cut`: it was longer."""

    task_id: str
    run_id: str
    text: str
    cut: bool


@value
class TaskUsage:
    """What all runs of a task used, in tokens and nano-dollars; cost None where the price of one is not known."""

    input_tokens: int
    output_tokens: int
    cost: int | None


@value
class RunOwner:
    """For whom a run was made: a job's fire or a task, its how many-th attempt, and the run it hangs below."""

    run_id: str
    source: str
    fire_id: str
    task_id: str
    parent_run_id: str
    attempt: int


@value
class TaskFilter:
    """Which tasks to list; an empty value asks for nothing. `parent` is a run's or a task's id. `ready_at`: only queued
    ones whose time has come by then."""

    states: tuple[str, ...] = ()
    kind: str = ""
    owner: str = ""
    parent: str = ""
    job: str = ""
    ready_at: int | None = None


@value
class TaskPage:
    """Live tasks first, then those that have ended; of both the newest first. `cursor` asks for the next page and is
    empty on the last one."""

    tasks: tuple[TaskRow, ...]
    cursor: str


@value
class TaskCount:
    """How many tasks of a kind are in a state."""

    kind: str
    state: str
    count: int


TASKS = Entity(TaskRow, "tasks", ["task_id"])
TASK_INPUTS = Entity(TaskInput, "task_inputs", ["task_id"], version="")
TASK_RESULTS = Entity(TaskResult, "task_results", ["task_id"], version="")
RUN_OWNERS = Entity(RunOwner, "run_owners", ["run_id"], version="")
