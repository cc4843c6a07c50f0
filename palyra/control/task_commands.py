"""What a console may do about background tasks."""

from typing import Any, Literal

from palyra.core.values import value

TaskVerb = Literal["cancel", "pause", "resume", "retry"]


@value
class AddTask:
    """Makes a task. An empty `owner` is the principal of the first key; `copy` is the id of a task whose fields are
    taken where they are not given here. Instants are UTC unix ms; what is None takes its default."""

    task_kind: str = ""
    text: str | None = None
    payload: dict[str, Any] | None = None
    owner: str = ""
    session: str = ""
    channel: str = ""
    agent: str = ""
    tags: tuple[str, ...] = ()
    dedupe_key: str = ""
    parent: str = ""
    keep: bool = False
    model: str = ""
    token_budget: int | None = None
    remember: bool = False
    priority: int | None = None
    not_before: int | None = None
    expires_at: int | None = None
    timeout_ms: int | None = None
    max_attempts: int | None = None
    backoff_ms: int | None = None
    copy: str = ""
    source: Literal["cli", "http", "run"] = "cli"
    kind: Literal["add_task"] = "add_task"


@value
class ActOnTasks:
    """Cancels, pauses, resumes or retries tasks, each judged alone. `keep_expiry` is of a retry.

    `seen` is the state that whoever acts saw: tasks that have another by now are left alone. Empty: whatever it is.
    """

    verb: TaskVerb
    task_ids: tuple[str, ...]
    reason: str = ""
    keep_expiry: bool = False
    seen: str = ""
    kind: Literal["act_on_tasks"] = "act_on_tasks"


@value
class PrioritiseTask:
    """-10 to 10; of those whose time has come the highest is begun first."""

    task_id: str
    priority: int
    kind: Literal["prioritise_task"] = "prioritise_task"


@value
class EditTask:
    """Moves the time before which a task is not begun, or its expiry; `never_expires` takes the latter away."""

    task_id: str
    not_before: int | None = None
    expires_at: int | None = None
    never_expires: bool = False
    kind: Literal["edit_task"] = "edit_task"


TaskCommand = AddTask | ActOnTasks | PrioritiseTask | EditTask
