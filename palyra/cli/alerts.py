"""`palyra alerts`: what is out of the ordinary, and saying that somebody knows."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, run
from palyra.cli.output import instant, print_json, say, table
from palyra.control.commands import AckAlert, SnoozeAlert
from palyra.control.queries import AlertsQuery
from palyra.control.snapshots import AlertView
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError

AlertId = Annotated[str, typer.Argument(metavar="ID", help="The alert's id.")]


def alerts(launch: Launch) -> typer.Typer:
    """`palyra alerts …`."""
    app = typer.Typer(help="What is out of the ordinary.", no_args_is_help=True)

    @app.command("list")
    def list_(
        all_: Annotated[bool, typer.Option("--all", help="Those that are resolved too.")] = False,
        limit: Annotated[int, typer.Option(min=1, max=500)] = 200,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Open ones first, then the more severe, then the older; resolved ones last, newest first."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(AlertsQuery(all_, limit))
            if as_json:
                print_json({"alerts": page.alerts})
                return DONE
            if not page.alerts:
                say("No alerts.")
                return DONE
            table(
                ("alert", "state", "severity", "kind", "seen", "since", "last", "what"),
                [
                    (
                        view.alert_id,
                        _state(view),
                        view.severity,
                        view.kind,
                        f"{view.occurrences:,}",
                        instant(view.first_seen),
                        instant(view.last_seen),
                        view.summary,
                    )
                    for view in page.alerts
                ],
                right=(4,),
            )
            return DONE

        run(work)

    @app.command("ack")
    def ack(alert_id: AlertId, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Says that somebody knows: it stays quiet for as long as it holds, unless it gets worse."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), AckAlert(alert_id), as_json=as_json)

        run(work)

    @app.command("snooze")
    def snooze(
        alert_id: AlertId,
        for_: Annotated[str, typer.Option("--for", metavar="DUR", help="How long, like 30m or 8h.")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Puts it away for a while; it comes back if it still holds then."""

        async def work() -> int:
            try:
                seconds = parse_duration_ms(for_) // 1000
            except ValueError as error:
                raise BadInputError(f"--for: {error}.", fix="Give a duration like 30m or 8h.") from None
            return await act(launch, place(config, state_dir), SnoozeAlert(alert_id, seconds), as_json=as_json)

        run(work)

    return app


def _state(view: AlertView) -> str:
    if view.state == "snoozed":
        return f"snoozed until {instant(view.snoozed_until)}"
    return f"{view.state} by {view.acted_by}" if view.state == "acknowledged" else view.state
