"""What a console may ask about background tasks, and the answers. Times UTC unix ms, durations in ms."""

from dataclasses import field
from typing import Any, Literal

from palyra.core.values import value


@value
class TaskView:
    """A task as it stands. `state`: queued, running, paused, cancel_requested, completed, failed, cancelled, expired.

    `parent_run_id` and `parent_task_id` are what it hangs below; `keep`: it goes on when that is cancelled. `waits` is
    why it waits (not_before, backoff, worker_limit, parent_limit, provider_lease, approval, paused), empty where it
    does not; `ready`: its time has come. `attempt` counts those begun, `target_run_id` is the newest one's run.
    """

    task_id: str
    version: int
    task_kind: str
    source: str
    state: str
    owner: str
    session: str
    created_at: int
    updated_at: int
    dedupe_key: str
    channel: str
    agent: str
    job: str
    tags: dict[str, str]
    fire_id: str
    parent_run_id: str
    parent_task_id: str
    keep: bool
    model: str
    token_budget: int
    remember: bool
    priority: int
    not_before: int
    expires_at: int | None
    timeout_ms: int
    attempt: int
    max_attempts: int
    backoff_ms: int
    interruptions: int
    boot_id: str
    worker_id: str
    fence: int
    lease_until: int | None
    target_run_id: str
    tokens: int
    reason: str
    error: str
    decision_id: str
    started_at: int | None
    finished_at: int | None
    waits: str = ""
    ready: bool = False

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.finished_at is None


@value
class TaskRunView:
    """A run that was made for a task, and how it ended; `state` is empty while nobody knows of it."""

    run_id: str
    attempt: int
    state: str
    reason: str
    model: str
    cost_nano_usd: int | None
    accepted_at: int | None
    finished_at: int | None


@value
class TasksQuery:
    """Live tasks first, then the newest. An empty value asks for nothing; `parent` is a run's or a task's id, `ready`
    asks for queued ones whose time has come."""

    state: str = ""
    task_kind: str = ""
    owner: str = ""
    parent: str = ""
    job: str = ""
    ready: bool = False
    limit: int = 50
    cursor: str = ""
    kind: Literal["tasks"] = "tasks"


@value
class TasksPage:
    """Tasks, the newest first; an empty cursor: the last page."""

    tasks: tuple[TaskView, ...]
    next_cursor: str = ""


@value
class TaskQuery:
    """One task in full. With `wait_ms` (at most 20,000), as soon as it has ended, or else after that time."""

    task_id: str
    wait_ms: int = 0
    kind: Literal["task"] = "task"


@value
class TaskDetail:
    """`result` is the answer of a completed one, `result_cut` whether it was longer. `heartbeat_age_ms`: since its
    worker last gave a sign of life, None where nobody works on it."""

    task: TaskView
    text: str
    payload: dict[str, Any]
    runs: tuple[TaskRunView, ...]
    result: str | None = None
    result_cut: bool = False
    heartbeat_age_ms: int | None = None


@value
class TaskStatsQuery:
    """Sums of the background queue. Answer: TaskStats."""

    kind: Literal["task_stats"] = "task_stats"


@value
class TaskStats:
    """How the queue does. `depth` counts open tasks by kind and state, `ended` those kept that have ended, by state.

    `ended_last_hour` is the throughput; `stale_writes` counts what workers wrote that did not own their task any more,
    since this engine started. Without an engine `live` is False, and what only an engine knows is 0.
    """

    live: bool
    depth: dict[str, dict[str, int]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    ready: int = 0
    oldest_ready_id: str = ""
    oldest_ready_ms: int | None = None
    ended_last_hour: int = 0
    stale_writes: int = 0
    workers: int = 0
    working: int = 0


TaskAsked = TasksQuery | TaskQuery | TaskStatsQuery
TaskTold = TasksPage | TaskDetail | TaskStats
