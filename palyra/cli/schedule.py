"""`palyra schedule next`: when an expression fires. Needs no engine."""

from typing import Annotated

import typer

from palyra.cli.moments import moment_ahead
from palyra.cli.options import BAD_INPUT, DONE, Json, run
from palyra.cli.output import complain, instant, print_json, say, table
from palyra.control.jobs_queries import InstantView, ScheduleQuery
from palyra.control.schedule_answers import MOST, answer_schedule
from palyra.core.clock import SystemClock

MARKS = {"forward": "clock goes forward", "back": "clock goes back", "": ""}


def schedule() -> typer.Typer:
    """`palyra schedule …`."""
    app = typer.Typer(help="When schedules fire.", no_args_is_help=True)

    @app.callback()
    def group() -> None:
        """When schedules fire."""

    @app.command("next")
    def next_(
        expression: Annotated[str, typer.Argument(metavar="EXPR", help="Five fields, like '0 9 * * mon-fri'.")],
        timezone: Annotated[str, typer.Option("--tz", metavar="ZONE", help="An IANA zone, or local.")] = "UTC",
        after: Annotated[str | None, typer.Option("--after", metavar="TIME", help="An instant; else now.")] = None,
        count: Annotated[int, typer.Option(min=1, max=MOST)] = 10,
        as_json: Json = False,
    ) -> None:
        """The next instants of a cron expression, in UTC and in the zone's own time."""

        async def work() -> int:
            now = SystemClock().now_ms()
            query = ScheduleQuery(expression, "cron", timezone, moment_ahead("--after", after), count)
            answer = answer_schedule(query, "UTC", now)
            if as_json:
                print_json(answer)
            elif answer.problems:
                complain(*answer.problems)
            elif not answer.instants:
                say("It does not fire within 50 years.")
            else:
                tell_instants(answer.instants)
            return BAD_INPUT if answer.problems else DONE

        run(work)

    return app


def tell_instants(instants: tuple[InstantView, ...]) -> None:
    """Prints instants, in UTC and where they are local."""
    table(
        ("UTC", "local", ""),
        [(instant(one.at), f"{one.local} {one.offset}", MARKS[one.mark]) for one in instants],
    )
