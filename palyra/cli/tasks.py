"""`palyra tasks`: durable work in the background; made, looked at, held, stopped and tried again."""

import json
from typing import Annotated, Any

import typer

from palyra.cli.launch import Launch
from palyra.cli.moments import moment_ahead
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, act, given_text, place, report, run
from palyra.cli.output import print_json, say
from palyra.cli.selecting import selected_ids, sure
from palyra.cli.task_tables import print_detail, print_result, print_stats, print_tasks
from palyra.control.protocol import Control
from palyra.control.task_commands import ActOnTasks, AddTask, EditTask, PrioritiseTask, TaskVerb
from palyra.control.task_queries import TaskDetail, TaskQuery, TasksQuery, TaskStatsQuery
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError
from palyra.core.plural import plural

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]
TaskIds = Annotated[list[str] | None, typer.Argument(metavar="TASK…", help="Ids of tasks.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept with the task and in the audit.")]
State = Annotated[str, typer.Option("--state", metavar="S", help="All tasks in this state, instead of ids.")]
Yes = Annotated[bool, typer.Option("--yes", help="Does not ask first.")]

WAIT_MS = 10_000
NOT_NOW = "No engine runs on this state directory: the task waits for the next start."


def tasks(launch: Launch) -> typer.Typer:
    """`palyra tasks …`."""
    app = typer.Typer(help="Durable work in the background.", no_args_is_help=True)
    _add_looking(app, launch)
    _add_adding(app, launch)
    for verb, told in (
        ("cancel", "Stops tasks; those that run are ended at the meter."),
        ("pause", "Keeps queued tasks from being begun."),
        ("resume", "Puts paused tasks back into the queue, at their old place."),
    ):
        _add_verb(app, launch, verb, told)  # type: ignore[arg-type]
    _add_retry(app, launch)
    _add_changing(app, launch)
    return app


def _add_looking(app: typer.Typer, launch: Launch) -> None:
    @app.command("list")
    def list_(
        state: Annotated[str, typer.Option("--state", metavar="S", help="Only in this state.")] = "",
        kind: Annotated[str, typer.Option("--kind", metavar="K", help="Only of this kind.")] = "",
        owner: Annotated[str, typer.Option("--owner", metavar="P", help="Only this principal's.")] = "",
        parent: Annotated[str, typer.Option("--parent", metavar="ID", help="Only below this run or task.")] = "",
        job: Annotated[str, typer.Option("--job", metavar="NAME", help="Only of this job.")] = "",
        ready: Annotated[bool, typer.Option("--ready", help="Only queued ones whose time has come.")] = False,
        limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Live ones first, then the newest."""

        async def work() -> int:
            query = TasksQuery(state, kind, owner, parent, job, ready, limit)
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(query)
            if as_json:
                print_json({"tasks": page.tasks, "next_cursor": page.next_cursor})
            else:
                print_tasks(page.tasks)
            return DONE

        run(work)

    @app.command("show")
    def show(task_id: TaskId, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """One task: its attempts, runs and lease, and why it waits."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(TaskQuery(task_id))
            _print(detail, as_json=as_json)
            return DONE

        run(work)

    @app.command("stats")
    def stats(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """How many there are by state and kind, the oldest ready one, throughput, stale writes."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                told = await control.ask(TaskStatsQuery())
            if as_json:
                print_json(told)
            else:
                print_stats(told)
            return DONE

        run(work)


def _print(detail: TaskDetail, *, as_json: bool) -> None:
    if as_json:
        print_json(detail)
    else:
        print_detail(detail)


def _add_adding(app: typer.Typer, launch: Launch) -> None:
    @app.command("add")
    def add(
        kind: Annotated[str, typer.Argument(metavar="[KIND]", help="background_prompt, summary, …")] = "",
        text: Annotated[str | None, typer.Option("--input", metavar="TEXT|-", help="The text; - reads stdin.")] = None,
        payload: Annotated[str | None, typer.Option("--payload", metavar="JSON", help="Data that follows it.")] = None,
        owner: Annotated[str, typer.Option("--owner", metavar="P", help="Who pays.")] = "",
        session: Annotated[str, typer.Option("--session", metavar="S", help="Its session.")] = "",
        tag: Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="A label.")] = None,
        model: Annotated[str, typer.Option("--model", metavar="M", help="A model's id, or auto.")] = "",
        budget: Annotated[int | None, typer.Option("--token-budget", help="Input and output of an attempt.")] = None,
        remember: Annotated[bool, typer.Option("--remember", help="Keeps the answer as a note.")] = False,
        priority: Annotated[int | None, typer.Option("--priority", metavar="N", help="-10 to 10.")] = None,
        not_before: Annotated[str | None, typer.Option("--not-before", metavar="TIME", help="When, or 30m.")] = None,
        expires: Annotated[
            str | None, typer.Option("--expires", metavar="TIME", help="Not begun after, or 2h.")
        ] = None,
        timeout: Annotated[str | None, typer.Option("--timeout", metavar="DUR", help="1s to 6h; 10m.")] = None,
        attempts: Annotated[int | None, typer.Option("--max-attempts", help="1 to 16; 3.")] = None,
        parent: Annotated[str, typer.Option("--parent", metavar="ID", help="The run or task it hangs below.")] = "",
        keep: Annotated[bool, typer.Option("--keep", help="Goes on when its parent is cancelled.")] = False,
        dedupe: Annotated[str, typer.Option("--dedupe", metavar="KEY", help="One open task per owner and key.")] = "",
        copy: Annotated[str, typer.Option("--copy", metavar="TASK", help="As that one, where nothing is said.")] = "",
        wait: Annotated[bool, typer.Option("--wait", help="Until it has ended; exit 1 unless completed.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Makes a task and prints its id. Without an engine it waits for the next start."""

        async def work() -> int:
            command = AddTask(
                task_kind=kind,
                text=None if text is None else given_text(text),
                payload=_payload(payload),
                owner=owner,
                session=session,
                tags=tuple(tag or ()),
                model=model,
                token_budget=budget,
                remember=remember,
                priority=priority,
                not_before=moment_ahead("--not-before", not_before),
                expires_at=moment_ahead("--expires", expires),
                timeout_ms=_duration("--timeout", timeout),
                max_attempts=attempts,
                parent=parent,
                keep=keep,
                dedupe_key=dedupe,
                copy=copy,
            )
            async with launch.acting(place(config, state_dir)) as control:
                result = await control.send(command)
                if not result.ok:
                    return report(result, as_json=as_json)
                if wait and control.attached:
                    return await _wait(control, result.data["task_id"], as_json=as_json)
                if as_json:
                    print_json(result)
                else:
                    say(result.data["task_id"])
                if wait:
                    say(NOT_NOW)
                    return REFUSED
            return DONE

        run(work)


def _payload(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        data = json.loads(given_text(text))
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise BadInputError("--payload: this is no JSON object.", fix='Write one, like {"labels": ["a", "b"]}.')
    return data


def _duration(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}.", fix="Give a duration like 90s or 10m.") from None


async def _wait(control: Control, task_id: str, *, as_json: bool) -> int:
    while True:
        detail = await control.ask(TaskQuery(task_id, WAIT_MS))
        if not detail.task.live:
            break
    if as_json:
        print_json(detail)
    elif detail.result is not None:
        print_result(detail.result, cut=detail.result_cut)
    else:
        print_detail(detail)
    return DONE if detail.task.state == "completed" else REFUSED


def _add_verb(app: typer.Typer, launch: Launch, verb: TaskVerb, told: str) -> None:
    @app.command(verb, help=told)
    def act_on(
        task_ids: TaskIds = None,
        reason: Reason = "",
        state: State = "",
        yes: Yes = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                ids = await selected_ids(control, task_ids, state)
                if state and not sure(f"{verb.capitalize()} {plural(len(ids), 'task')}?", yes=yes, count=len(ids)):
                    return REFUSED
                return report(await control.send(ActOnTasks(verb, ids, reason)), as_json=as_json)

        run(work)


def _add_retry(app: typer.Typer, launch: Launch) -> None:
    @app.command("retry")
    def retry(
        task_ids: TaskIds = None,
        reason: Reason = "",
        state: State = "",
        yes: Yes = False,
        keep_expiry: Annotated[bool, typer.Option("--keep-expiry", help="It still expires when it did.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Gives failed, cancelled and expired tasks a fresh start."""

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                ids = await selected_ids(control, task_ids, state)
                if state and not sure(f"Retry {plural(len(ids), 'task')}?", yes=yes, count=len(ids)):
                    return REFUSED
                command = ActOnTasks("retry", ids, reason, keep_expiry)
                return report(await control.send(command), as_json=as_json)

        run(work)


def _add_changing(app: typer.Typer, launch: Launch) -> None:
    # A number below zero looks like an option.
    @app.command("priority", context_settings={"ignore_unknown_options": True})
    def priority(
        task_id: TaskId,
        number: Annotated[int, typer.Argument(metavar="N", help="-10 to 10.")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Of the tasks whose time has come, the highest is begun first."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), PrioritiseTask(task_id, number), as_json=as_json)

        run(work)

    @app.command("edit")
    def edit(
        task_id: TaskId,
        not_before: Annotated[str | None, typer.Option("--not-before", metavar="TIME", help="When, or 30m.")] = None,
        expires: Annotated[str | None, typer.Option("--expires", metavar="TIME", help="When, 2h, or never.")] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Moves the time before which a task is not begun, or its expiry."""

        async def work() -> int:
            never = expires == "never"
            at = None if never else moment_ahead("--expires", expires)
            command = EditTask(task_id, moment_ahead("--not-before", not_before), at, never)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)
