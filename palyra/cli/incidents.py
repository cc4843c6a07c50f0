"""`palyra incidents`: what is wrong, what is done about it, and what people were not told of it."""

from typing import Annotated

import typer

from palyra.cli.dead_letters import dead_letters
from palyra.cli.heartbeats import add_heartbeats
from palyra.cli.incident_acts import add_acts, add_remedy
from palyra.cli.incident_tables import show_detail, show_page, show_stats
from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, place, run
from palyra.cli.output import print_json
from palyra.control.incidents_queries import IncidentQuery, IncidentsQuery, IncidentStatsQuery


def incidents(launch: Launch) -> typer.Typer:
    """`palyra incidents …`."""
    app = typer.Typer(help="What is wrong, and what is done about it.", no_args_is_help=True)

    @app.command("list")
    def list_(
        state: Annotated[str, typer.Option(metavar="STATE", help="open, remediating or resolved.")] = "",
        severity: Annotated[str, typer.Option(metavar="S", help="low, medium, high or critical.")] = "",
        domain: Annotated[str, typer.Option(metavar="D", help="watchdog, provider, scheduler, queue, …")] = "",
        assignee: Annotated[str, typer.Option(metavar="NAME", help="An operator, or nobody.")] = "",
        text: Annotated[str, typer.Option(metavar="WORDS", help="Words that must occur.")] = "",
        parent: Annotated[str, typer.Option(metavar="ID", help="Those that hang below this one.")] = "",
        all_: Annotated[bool, typer.Option("--all", help="Resolved ones and those below others, too.")] = False,
        limit: Annotated[int, typer.Option(min=1, max=500)] = 200,
        cursor: Annotated[str, typer.Option(metavar="C", help="Where the page before ended.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Critical and unacknowledged ones first; what was put away last."""

        async def work() -> int:
            chosen = state or ("" if all_ else "unresolved")
            query = IncidentsQuery(chosen, severity, domain, assignee, text, parent, all_, limit, cursor)
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(query)
            if as_json:
                print_json(page)
            else:
                show_page(page)
            return DONE

        run(work)

    @app.command("show")
    def show(
        incident_id: Annotated[str, typer.Argument(metavar="ID", help="The incident's id.")],
        before: Annotated[str, typer.Option(metavar="E", help="The timeline before this entry.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """All about one: its timeline, what was tried, what can be done."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(IncidentQuery(incident_id, before))
            if as_json:
                print_json(detail)
            else:
                show_detail(detail)
            return DONE

        run(work)

    @app.command("stats")
    def stats(
        window: Annotated[str, typer.Option(metavar="W", help="24h, 7d or 30d.")] = "7d",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """How quickly incidents were found, taken up and ended."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                told = await control.ask(IncidentStatsQuery(window))
            if as_json:
                print_json(told)
            else:
                show_stats(told)
            return DONE

        run(work)

    add_acts(app, launch)
    add_remedy(app, launch)
    app.add_typer(dead_letters(launch), name="dead-letters")
    add_heartbeats(app, launch)
    return app
