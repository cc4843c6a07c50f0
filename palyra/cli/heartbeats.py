"""`palyra incidents heartbeats`: all work that proves that it lives, and how long ago it did."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, place, run
from palyra.cli.output import print_json, say, table
from palyra.control.notice_queries import HeartbeatsQuery, HeartbeatView
from palyra.core.durations import format_duration


def add_heartbeats(app: typer.Typer, launch: Launch) -> None:
    """Adds `palyra incidents heartbeats`."""

    @app.command("heartbeats")
    def heartbeats(
        kind: Annotated[str, typer.Option(metavar="KIND", help="run, background_task, cron_job, external.")] = "",
        state: Annotated[str, typer.Option(metavar="STATE", help="healthy, silent, stalled or failing.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=1000)] = 200,
        cursor: Annotated[str, typer.Option(metavar="C", help="Where the page before ended.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """All work that proves that it lives, by kind and id."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(HeartbeatsQuery(kind, state, limit, cursor))
            if as_json:
                print_json(
                    {"heartbeats": page.heartbeats, "total": page.total, "next_cursor": page.next_cursor or None}
                )
            elif not page.heartbeats:
                say("No heartbeats.")
            else:
                table(
                    ("kind", "id", "state", "phase", "last beat", "progress", "advanced", "what"),
                    [_line(view) for view in page.heartbeats],
                    right=(4, 5, 6),
                )
                if page.next_cursor:
                    say(f"{page.total:,} in all; go on with --cursor {page.next_cursor}")
            return DONE

        run(work)


def _line(view: HeartbeatView) -> tuple[str, ...]:
    return (
        view.work,
        f"{view.principal}/{view.object_id}" if view.principal else view.object_id,
        view.state,
        view.phase,
        f"{format_duration(view.age_ms)} ago",
        "" if view.progress is None else f"{view.progress:,}",
        f"{format_duration(view.progress_age_ms)} ago",
        view.summary,
    )
