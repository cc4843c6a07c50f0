"""Carrying out what operators ask for about tasks: each one judged alone, and told how it came out."""

from dataclasses import replace
from typing import Any, assert_never

from palyra.control.snapshots import PARTLY_REFUSED, CommandResult
from palyra.control.task_commands import ActOnTasks, AddTask, EditTask, PrioritiseTask, TaskCommand
from palyra.core.errors import BadInputError, ConflictError, NotFoundError, PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.journal.task_rows import TaskRow, TaskState
from palyra.tasks.asking import TaskAsk, copied
from palyra.vault.access import FIRST_PRINCIPAL

MOST = 10_000
"""Tasks that one command may name."""
PAST = {"cancel": "cancelled", "pause": "paused", "resume": "queued again", "retry": "queued afresh"}


async def act_on_task(engine: Engine, command: TaskCommand, by: Decider) -> CommandResult:
    """Raises PalyraError for what is refused as a whole."""
    desk = engine.tasks.desk
    match command:
        case AddTask():
            return await _add(engine, command, by)
        case ActOnTasks():
            return await _each(engine, command, by)
        case PrioritiseTask():
            row = await desk.prioritise(command.task_id, command.priority, by.name)
            return CommandResult("accepted", f"task {row.task_id} has priority {row.priority}.", data=_data(row))
        case EditTask():
            changes: dict[str, int | None] = {}
            if command.not_before is not None:
                changes["not_before"] = command.not_before
            if command.expires_at is not None or command.never_expires:
                changes["expires_at"] = None if command.never_expires else command.expires_at
            if not changes:
                raise BadInputError("Nothing is to be changed.", fix="Name a time.")
            row = await desk.edit(command.task_id, by.name, **changes)
            return CommandResult("accepted", f"task {row.task_id} is changed.", data=_data(row))
        case _:
            assert_never(command)


async def _add(engine: Engine, command: AddTask, by: Decider) -> CommandResult:
    desk = engine.tasks.desk
    base = TaskAsk(owner=FIRST_PRINCIPAL)
    if command.copy:
        base = copied(await desk.find(command.copy), await desk.given(command.copy))
    given: dict[str, Any] = {
        "kind": command.task_kind or None,
        "text": command.text,
        "payload": command.payload,
        "owner": command.owner or None,
        "session": command.session or None,
        "channel": command.channel or None,
        "agent": command.agent or None,
        "tags": command.tags or None,
        "dedupe_key": command.dedupe_key or None,
        "parent": command.parent or None,
        "model": command.model or None,
        "token_budget": command.token_budget,
        "priority": command.priority,
        "not_before": command.not_before,
        "expires_at": command.expires_at,
        "timeout_ms": command.timeout_ms,
        "max_attempts": command.max_attempts,
        "backoff_ms": command.backoff_ms,
        "keep": command.keep or None,
        "remember": command.remember or None,
        "source": command.source,
    }
    ask = replace(base, **{name: one for name, one in given.items() if one is not None})
    row, fresh = await desk.submit(ask, by.name)
    data = {**_data(row), "fresh": "true" if fresh else "false"}
    if fresh:
        return CommandResult("accepted", f"task {row.task_id} is queued.", data=data)
    return CommandResult("accepted", f"task {row.task_id} has that dedupe key and is {row.state.value}.", data=data)


async def _each(engine: Engine, command: ActOnTasks, by: Decider) -> CommandResult:
    ids = tuple(dict.fromkeys(command.task_ids))
    if not 1 <= len(ids) <= MOST:
        raise BadInputError(f"{plural(len(ids), 'task')} cannot be acted on at once.", fix=f"Name 1 to {MOST:,}.")
    done: list[TaskRow] = []
    refused: list[tuple[str, PalyraError]] = []
    for task_id in ids:
        try:
            done.append(await _one(engine, command, task_id, by))
        except PalyraError as error:
            if len(ids) == 1:
                raise
            refused.append((task_id, error))
    data = {"done": ",".join(row.task_id for row in done), "refused": ",".join(task_id for task_id, _ in refused)}
    if len(ids) == 1:
        return CommandResult("accepted", _told(done[0], command), data={**_data(done[0]), **data})
    lines = [f"{plural(len(done), 'task')} {PAST[command.verb]}, {len(refused)} refused."]
    lines += [safe(error.message) for _, error in refused]
    if not refused:
        return CommandResult("accepted", lines[0], data=data)
    status = "conflict" if any(isinstance(error, ConflictError) for _, error in refused) else "denied"
    if all(isinstance(error, NotFoundError) for _, error in refused):
        status = "not_found"
    return CommandResult(status, "\n".join(lines), data=data, code=PARTLY_REFUSED)


async def _one(engine: Engine, command: ActOnTasks, task_id: str, by: Decider) -> TaskRow:
    desk = engine.tasks.desk
    if command.seen:
        present = (await desk.find(task_id)).state
        if present != command.seen:
            what = f"task {task_id} is {present.value} now, not {command.seen}; nothing was done"
            raise ConflictError(what, fix="Look again.", code="stale_version")
    match command.verb:
        case "cancel":
            return await desk.cancel(task_id, by.name, command.reason)
        case "pause":
            return await desk.pause(task_id, by.name, command.reason)
        case "resume":
            return await desk.resume(task_id, by.name, command.reason)
        case "retry":
            return await desk.retry(task_id, by.name, command.reason, keep_expiry=command.keep_expiry)


def _told(row: TaskRow, command: ActOnTasks) -> str:
    if row.state is TaskState.CANCEL_REQUESTED:
        return f"task {row.task_id} is being cancelled."
    return f"task {row.task_id} is {PAST[command.verb]}."


def _data(row: TaskRow) -> dict[str, str]:
    return {"task_id": row.task_id, "state": row.state.value, "version": str(row.version)}
