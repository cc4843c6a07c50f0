"""`palyra jobs`: what starts by itself, when, and how it went."""

from typing import Annotated

import typer

from palyra.cli.job_tables import tell_fires, tell_job, tell_jobs
from palyra.cli.launch import Launch, Place
from palyra.cli.moments import after, moment_since
from palyra.cli.options import (
    CONFLICT,
    DONE,
    REFUSED,
    Config,
    Json,
    StateDir,
    act,
    given_text,
    place,
    report,
    run,
)
from palyra.cli.output import complain, print_json, say
from palyra.control.commands import Command
from palyra.control.jobs_commands import (
    AddJob,
    DeleteJob,
    EditJob,
    PauseJob,
    ResetJob,
    ResumeJob,
    ReviewDecision,
    ReviewFire,
    TriggerJob,
)
from palyra.control.jobs_queries import FiresQuery, FireView, JobQuery, JobsQuery
from palyra.control.protocol import Control
from palyra.control.schedule_answers import instant_text
from palyra.core.clock import SystemClock
from palyra.core.errors import BadInputError

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's name or id.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any other field, as [[jobs]] has it; may be repeated."),
]
Cron = Annotated[str | None, typer.Option("--cron", metavar="EXPR", help="Five fields.")]
Every = Annotated[str | None, typer.Option("--every", metavar="DUR", help="An interval, like 90s or 2h30m.")]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="An instant with an offset, or 'in 30m'.")]
Zone = Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="An IANA zone, or local.")]
Anchor = Annotated[str | None, typer.Option("--anchor", metavar="TIME", help="Where an interval counts from.")]
Prompt = Annotated[str | None, typer.Option(help="A prompt; `-` reads standard input.")]
Task = Annotated[str | None, typer.Option(metavar="KIND", help="A kind of background task.")]
Maintenance = Annotated[str | None, typer.Option(metavar="ACTION", help="Upkeep, like journal_checkpoint.")]
Model = Annotated[str | None, typer.Option(help="A model's id, or auto.")]
POLL_S = 0.2


def jobs(launch: Launch) -> typer.Typer:
    """`palyra jobs …`."""
    app = typer.Typer(help="What starts by itself.", no_args_is_help=True)

    @app.command("list")
    def list_(
        all_: Annotated[bool, typer.Option("--all", help="Those of the system too.")] = False,
        state: Annotated[str, typer.Option(help="active, paused, exhausted or faulted.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Jobs by name, with the next and the newest fire of each."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(JobsQuery(all_, state))
            if as_json:
                print_json(page)
            else:
                tell_jobs(page)
            return DONE

        run(work)

    @app.command("show")
    def show(
        job: Job,
        count: Annotated[int, typer.Option(min=1, max=100, help="How many instants.")] = 10,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """One job: its fields, its next instants, its newest fires."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(JobQuery(job, count))
            if as_json:
                print_json(detail)
            else:
                tell_job(detail)
            return DONE

        run(work)

    @app.command("add")
    def add(
        name: Annotated[str, typer.Argument(metavar="NAME")],
        cron: Cron = None,
        every: Every = None,
        at: At = None,
        timezone: Zone = None,
        anchor: Anchor = None,
        prompt: Prompt = None,
        task: Task = None,
        maintenance: Maintenance = None,
        model: Model = None,
        setting: Setting = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Adds a job: a schedule, and what it does."""

        async def work() -> int:
            fields = _fields(cron, every, at, timezone, anchor, prompt, task, maintenance, model, setting)
            return await _act_and_show(
                launch, place(config, state_dir), AddJob({"name": name, **fields}), as_json=as_json
            )

        run(work)

    @app.command("edit")
    def edit(
        job: Job,
        name: Annotated[str | None, typer.Option(help="Another name.")] = None,
        cron: Cron = None,
        every: Every = None,
        at: At = None,
        timezone: Zone = None,
        anchor: Anchor = None,
        prompt: Prompt = None,
        task: Task = None,
        maintenance: Maintenance = None,
        model: Model = None,
        setting: Setting = None,
        version: Annotated[int | None, typer.Option(help="Refused where the job has another by now.")] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Changes a job; it is planned anew from now on. A blank value sets a field back to its default."""

        async def work() -> int:
            fields = _fields(cron, every, at, timezone, anchor, prompt, task, maintenance, model, setting)
            fields |= {} if name is None else {"name": name}
            command = EditJob(job, fields, version)
            return await _act_and_show(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("pause")
    def pause(
        job: Job,
        reason: Annotated[str, typer.Option()] = "",
        cancel_active: Annotated[bool, typer.Option("--cancel-active", help="Stop what is under way too.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Nothing starts until it is resumed; fires that wait are skipped."""
        _run_act(launch, place(config, state_dir), PauseJob(job, reason, cancel_active), as_json)

    @app.command("resume")
    def resume(job: Job, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Goes on with the first slot from now on."""
        _run_act(launch, place(config, state_dir), ResumeJob(job), as_json)

    @app.command("reset")
    def reset(job: Job, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Plans a faulted job again."""
        _run_act(launch, place(config, state_dir), ResetJob(job), as_json)

    @app.command("delete")
    def delete(job: Job, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Deletes an operator's job that is not active; its history stays."""
        _run_act(launch, place(config, state_dir), DeleteJob(job), as_json)

    @app.command("run")
    def run_(
        job: Job,
        key: Annotated[str, typer.Option(metavar="K", help="Asking again with it answers with the first fire.")] = "",
        wait: Annotated[bool, typer.Option("--wait", help="Return when the fire has ended.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Fires now, beside the schedule."""

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                result = await control.send(TriggerJob(job, key))
                if not wait or not result.ok:
                    return report(result, as_json=as_json)
                fire = await _ended(control, job, result.data["fire_id"])
            if as_json:
                print_json(fire)
            else:
                say(f"Fire {fire.fire_id} of {job} {fire.state}{f': {fire.reason}' if fire.reason else ''}.")
                if fire.error:
                    complain(fire.error)
            return {"completed": DONE, "skipped": CONFLICT}.get(fire.state, REFUSED)

        run(work)

    @app.command("runs")
    def runs(
        job: Annotated[str, typer.Argument(metavar="[JOB]")] = "",
        state: Annotated[str, typer.Option(help="pending, running, backoff, review, completed, failed …")] = "",
        since: Annotated[
            str | None,
            typer.Option("--since", metavar="WHEN", help="Only since: like 24h, an instant or UTC date."),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Fires, newest first."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(FiresQuery(job, state, moment_since(since), limit))
            if as_json:
                print_json(page)
            else:
                tell_fires(page.fires)
            return DONE

        run(work)

    @app.command("review")
    def review(
        fire: Annotated[str, typer.Argument(metavar="FIRE")],
        decision: Annotated[str, typer.Argument(metavar="run|replay|skip")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Decides on slots that were missed: one fire for all, one for each in order, or none."""
        _run_act(launch, place(config, state_dir), _review(fire, decision), as_json)

    return app


def _run_act(launch: Launch, where: Place, command: Command, as_json: bool) -> None:
    async def work() -> int:
        return await act(launch, where, command, as_json=as_json)

    run(work)


async def _act_and_show(launch: Launch, where: Place, command: Command, *, as_json: bool) -> int:
    """Carries a command out, and tells when the job fires next."""
    async with launch.acting(where) as control:
        result = await control.send(command)
        code = report(result, as_json=as_json)
        if result.ok and not as_json:
            tell_job(await control.ask(JobQuery(result.data["job_id"], 5, 0)), brief=True)
    return code


def _review(fire: str, decision: str) -> ReviewFire:
    known: dict[str, ReviewDecision] = {"run": "run", "replay": "replay", "skip": "skip"}
    if decision not in known:
        raise typer.BadParameter("say run, replay or skip")
    return ReviewFire(fire, known[decision])


async def _ended(control: Control, job: str, fire_id: str) -> FireView:
    """The fire once it has ended."""
    clock = SystemClock()
    while True:
        page = await control.ask(FiresQuery(job, limit=500))
        found = next((one for one in page.fires if one.fire_id == fire_id), None)
        if found is not None and found.finished_at is not None:
            return found
        await clock.sleep(POLL_S)


def _fields(
    cron: str | None,
    every: str | None,
    at: str | None,
    timezone: str | None,
    anchor: str | None,
    prompt: str | None,
    task: str | None,
    maintenance: str | None,
    model: str | None,
    setting: list[str] | None,
) -> dict[str, str]:
    """What was given, by the names of fields. Raises BadInputError."""
    fields: dict[str, str] = {}
    for pair in setting or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise BadInputError(f"--set {pair!r} is no FIELD=VALUE.", fix="Write it like --set max_attempts=3.")
        fields[name.strip()] = text
    given = {
        "cron": cron,
        "every": every,
        "at": None if at is None else _instant(at),
        "timezone": timezone,
        "anchor": anchor,
        "prompt": None if prompt is None else given_text(prompt),
        "task": task,
        "maintenance": maintenance,
        "model": model,
    }
    return {**fields, **{name: text for name, text in given.items() if text is not None}}


def _instant(text: str) -> str:
    """`in 30m` as an instant; anything else as it is. Raises BadInputError."""
    word, _, span = text.strip().partition(" ")
    if word != "in":
        return text
    try:
        ahead = after("--at", span)
    except ValueError as error:
        raise BadInputError(f"--at: {error}.") from None
    return instant_text(ahead)
