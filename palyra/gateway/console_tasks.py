"""Background tasks over HTTP: lists, one in full, and what operators do about them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from palyra.control.plain import plain
from palyra.control.task_commands import ActOnTasks, AddTask, EditTask, PrioritiseTask, TaskCommand, TaskVerb
from palyra.control.task_queries import TaskQuery, TasksQuery, TaskStatsQuery
from palyra.core.errors import NotFoundError
from palyra.gateway.console_acts import Ask
from palyra.gateway.console_answers import Told, listed, refusal_for
from palyra.gateway.console_bodies import Members
from palyra.gateway.errors import RefusedError
from palyra.journal.task_rows import TaskState
from palyra.runs.request import Refusal

LONGEST_TEXT = 64 * 1024
LONGEST_NAME = 256
FULL_RETRY_S = 30.0
LATEST_MS = 253_402_300_799_999
_TEXTS = ("kind", "owner", "session", "channel", "agent", "dedupe_key", "parent", "model", "copy")
_NUMBERS: Mapping[str, tuple[int, int]] = {
    "token_budget": (1, 32_768),
    "priority": (-10, 10),
    "not_before": (0, LATEST_MS),
    "expires_at": (0, LATEST_MS),
    "timeout_ms": (1_000, 21_600_000),
    "max_attempts": (1, 16),
    "backoff_ms": (1, 60_000),
}
_FLAGS = ("keep", "remember")
_TASK = (*_TEXTS, *_NUMBERS, *_FLAGS, "text", "payload", "tags")


async def tasks(ask: Ask) -> Told:
    """`GET tasks`: in pages."""
    words = ask.words("status", "kind", "owner", "parent", "job", "ready", "limit", "cursor")
    query = TasksQuery(
        words.choice("status", tuple(state.value for state in TaskState)),
        words.text("kind"),
        words.text("owner"),
        words.text("parent"),
        words.text("job"),
        words.choice("ready", ("true", "false"), "false") == "true",
        words.limit(),
        words.text("cursor"),
    )
    page = await ask.control.ask(query)
    return listed("tasks", page.tasks, page.next_cursor)


async def task(ask: Ask) -> Told:
    """`GET tasks/ID`: a task; `stats` instead of an id: sums. Raises NotFoundError."""
    ask.words()
    if ask.identity == "stats":
        return Told({"stats": await ask.control.ask(TaskStatsQuery())})
    return Told(await _record(ask))


async def add(ask: Ask) -> Told:
    """`POST tasks`: asks for work; 201, or 200 where the same is open already. Raises RefusedError."""
    ask.words()
    result = await ask.control.send(read_task(ask.body))
    if result.code == "queue_full":
        text = f"{result.message} {result.fix}"
        raise RefusedError(Refusal(429, "rate_limit_error", "queue_full", text, retry_after=FULL_RETRY_S))
    if not result.ok:
        raise refusal_for(result, None)
    fresh = result.data["fresh"] == "true"
    return Told({"task_id": result.data["task_id"], "message": result.message}, 201 if fresh else 200)


async def cancel(ask: Ask) -> Told:
    """`POST tasks/ID/cancel`: asks for its end."""
    return await _act(ask, "cancel")


async def pause(ask: Ask) -> Told:
    """`POST tasks/ID/pause`: it is not begun until it is resumed."""
    return await _act(ask, "pause")


async def resume(ask: Ask) -> Told:
    """`POST tasks/ID/resume`: it waits for its turn again."""
    return await _act(ask, "resume")


async def retry(ask: Ask) -> Told:
    """`POST tasks/ID/retry`: queues a task that failed once more."""
    return await _act(ask, "retry")


async def priority(ask: Ask) -> Told:
    """`POST tasks/ID/priority`: -10 to 10, the highest first."""
    ask.words()
    members = Members(ask.body, ("priority",))
    number = members.number("priority", -10, 10)
    if number is None and not members.faults:
        members.fault("priority", "it is missing", "Write a whole number from -10 to 10.")
    members.done()
    return await _done(ask, PrioritiseTask(ask.identity, number or 0))


async def edit(ask: Ask) -> Told:
    """`PATCH tasks/ID`: when it may begin and when it expires, UTC unix ms."""
    ask.words()
    members = Members(ask.body, ("not_before", "expires_at"))
    not_before = members.number("not_before", 0, LATEST_MS)
    expires_at = members.number("expires_at", 0, LATEST_MS)
    never = members.given("expires_at") and not members.has("expires_at")
    members.done()
    return await _done(ask, EditTask(ask.identity, not_before, expires_at, never))


async def _act(ask: Ask, verb: TaskVerb) -> Told:
    ask.words()
    members = Members(ask.body, ("reason", "keep_expiry") if verb == "retry" else ("reason",))
    reason = members.text("reason")
    keep_expiry = members.flag("keep_expiry")
    members.done()
    return await _done(ask, ActOnTasks(verb, (ask.identity,), reason, keep_expiry))


async def _done(ask: Ask, command: TaskCommand) -> Told:
    """Raises RefusedError; a conflict tells the task as it stands."""
    result = await ask.control.send(command)
    if result.ok:
        return Told({"message": result.message, **await _record(ask)})
    record: Mapping[str, Any] | None = None
    if result.status == "conflict":
        try:
            record = await _record(ask)
        except NotFoundError:
            record = None
    raise refusal_for(result, record)


async def _record(ask: Ask) -> dict[str, Any]:
    data: dict[str, Any] = plain(await ask.control.ask(TaskQuery(ask.identity)))
    return data


def read_task(body: bytes) -> AddTask:
    """Raises RefusedError (400) with every fault of form; what the fields may hold is the queue's to say."""
    members = Members(body, _TASK)
    texts = {name: members.text(name, LONGEST_NAME) for name in _TEXTS}
    numbers = {name: members.number(name, *limits) for name, limits in _NUMBERS.items()}
    flags = {name: members.flag(name) for name in _FLAGS}
    payload = members.table("payload", 'Write one like {"labels": ["a", "b"]}.')
    given: dict[str, Any] = {
        **{"task_kind" if name == "kind" else name: text for name, text in texts.items()},
        **numbers,
        **flags,
        "text": members.text("text", LONGEST_TEXT) if members.has("text") else None,
        "payload": payload,
        "tags": members.texts("tags"),
    }
    members.done()
    return replace(AddTask(source="http"), **given)
