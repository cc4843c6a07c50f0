"""`palyra runs`: governed pieces of work; listed, looked at, followed and stopped."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.moments import moment_since
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, exit_code, place, report, run
from palyra.cli.output import complain, plain, print_json, say
from palyra.cli.run_tables import line_of, line_of_note, print_run, print_runs, print_texts
from palyra.cli.selecting import sure
from palyra.control.commands import CancelRun
from palyra.control.protocol import Control
from palyra.control.queries import RunQuery, RunsQuery
from palyra.control.snapshots import CommandResult, Topic
from palyra.control.text_queries import RunTextsQuery
from palyra.core.clock import SystemClock
from palyra.core.errors import BadInputError, EngineGoneError, NotFoundError
from palyra.core.plural import plural

LIVE = "pending,parked,running"
PAGE = 500
LOOK_S = 0.5

Principal = Annotated[str, typer.Option("--principal", metavar="P", help="Only this principal's.")]
Session = Annotated[str, typer.Option("--session", metavar="S", help="Only of this session.")]


def runs(launch: Launch) -> typer.Typer:
    """`palyra runs …`."""
    app = typer.Typer(help="Governed pieces of work.", no_args_is_help=True)
    _add_looking(app, launch)
    _add_watch(app, launch)
    _add_cancel(app, launch)
    return app


def _add_looking(app: typer.Typer, launch: Launch) -> None:
    @app.command("list")
    def list_(
        state: Annotated[str, typer.Option("--state", metavar="S", help="pending, running, failed, …")] = "",
        principal: Principal = "",
        session: Session = "",
        job: Annotated[str, typer.Option("--job", metavar="NAME", help="Only of this job.")] = "",
        model: Annotated[str, typer.Option("--model", metavar="M", help="Asked for or used.")] = "",
        since: Annotated[
            str | None,
            typer.Option("--since", metavar="WHEN", help="Accepted since: like 24h, an instant or UTC date."),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Newest first."""

        async def work() -> int:
            query = RunsQuery(
                state=state,
                principal=principal,
                session=session,
                job=job,
                model=model,
                since=moment_since(since),
                limit=limit,
            )
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(query)
            if as_json:
                print_json({"runs": page.runs, "next_cursor": page.next_cursor})
            else:
                print_runs(page.runs)
            return DONE

        run(work)

    @app.command("show")
    def show(
        run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
        content: Annotated[
            bool,
            typer.Option("--content", help="What it was asked and answered too, where runs.store_content keeps it."),
        ] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """One run: its attempts and holds, its decision, its timeline."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(RunQuery(run_id))
                texts = await control.ask(RunTextsQuery(run_id)) if content else None
            if as_json:
                print_json(detail if texts is None else {**plain(detail), "texts": texts.texts})
            else:
                print_run(detail)
                if texts is not None:
                    print_texts(texts)
            return DONE

        run(work)


def _add_watch(app: typer.Typer, launch: Launch) -> None:
    @app.command("watch")
    def watch(
        run_id: Annotated[str, typer.Argument(metavar="[RUN]", help="Only this run, until it has ended.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """What happens to runs, a line for each change; of one run until its end."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                if not control.attached:
                    raise EngineGoneError("No engine runs on this state directory.", fix="Start one first.")
                return await (_follow(control, run_id, as_json=as_json) if run_id else _watch(control, as_json=as_json))

        run(work)


async def _watch(control: Control, *, as_json: bool) -> int:
    """Until it is interrupted."""
    seen: dict[str, int] = {}
    first = True
    while True:
        for view in reversed((await control.snapshot([Topic.RUNS])).runs):
            if seen.get(view.run_id) != view.version:
                seen[view.run_id] = view.version
                if not first or view.live:
                    print_json(view) if as_json else say(line_of(view))
        first = False
        await SystemClock().sleep(LOOK_S)


async def _follow(control: Control, run_id: str, *, as_json: bool) -> int:
    told, version = 0, 0
    while True:
        detail = await control.ask(RunQuery(run_id))
        if not as_json and detail.run.version != version:
            say(line_of(detail.run))
        version = detail.run.version
        for note in detail.notes[told:]:
            print_json(note) if as_json else say(line_of_note(note))
        told = len(detail.notes)
        if not detail.run.live:
            return DONE
        await SystemClock().sleep(LOOK_S)


def _add_cancel(app: typer.Typer, launch: Launch) -> None:
    @app.command("cancel")
    def cancel(
        run_ids: Annotated[list[str] | None, typer.Argument(metavar="RUN…", help="Ids of runs.")] = None,
        principal: Principal = "",
        session: Session = "",
        reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the run's timeline.")] = "",
        yes: Annotated[bool, typer.Option("--yes", help="Does not ask first.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Stops runs; what they used so far is charged."""

        async def work() -> int:
            filtered = bool(principal or session)
            if bool(run_ids) is filtered:
                raise BadInputError(
                    "Name runs by their ids, or those of a principal or a session.",
                    fix="Give RUN…, --principal P or --session S.",
                )
            async with launch.acting(place(config, state_dir)) as control:
                ids = run_ids or await _live(control, principal, session)
                if filtered and not sure(f"Cancel {plural(len(ids), 'run')}?", yes=yes, count=len(ids)):
                    return REFUSED
                results = [(run_id, await control.send(CancelRun(run_id, reason))) for run_id in ids]
            return _told(results, as_json=as_json)

        run(work)


async def _live(control: Control, principal: str, session: str) -> list[str]:
    """Raises NotFoundError where none is alive."""
    found: list[str] = []
    cursor = ""
    while True:
        page = await control.ask(RunsQuery(state=LIVE, principal=principal, session=session, limit=PAGE, cursor=cursor))
        found += [view.run_id for view in page.runs]
        cursor = page.next_cursor
        if not cursor:
            break
    if not found:
        raise NotFoundError("No such run is alive.")
    return found


def _told(results: list[tuple[str, CommandResult]], *, as_json: bool) -> int:
    """Each alone; several that did not all succeed end with the code of the first that did not."""
    if len(results) == 1:
        return report(results[0][1], as_json=as_json)
    refused = [(run_id, result) for run_id, result in results if not result.ok]
    done = [run_id for run_id, result in results if result.ok]
    if as_json:
        print_json({"done": done, "refused": [{"run_id": run_id, "result": result} for run_id, result in refused]})
    else:
        say(
            f"{plural(len(done), 'run')} {'is' if len(done) == 1 else 'are'} being cancelled, {len(refused):,} refused."
        )
        for _, result in refused:
            complain(f"{result.message} {result.fix}".strip())
    return exit_code(refused[0][1]) if refused else DONE
