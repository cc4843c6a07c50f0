"""`palyra usage`: what was used and what it cost; when, by whom, in which runs; and all of it for other programs."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import BAD_INPUT, DONE, Config, Json, StateDir, act, place, run
from palyra.cli.output import complain, instant, print_json, say, table
from palyra.cli.usage_options import BY, Asked, asking
from palyra.cli.usage_tables import print_breakdown, print_insights, print_summary, print_timeline
from palyra.control.commands import CorrectUsage
from palyra.control.export import export_usage, format_of
from palyra.control.protocol import Control
from palyra.control.usage_queries import (
    InsightsQuery,
    UsageAnswer,
    UsageQuery,
    UsageRowsQuery,
    UsageRunsQuery,
)
from palyra.core.clock import SystemClock
from palyra.core.errors import BadInputError
from palyra.core.money import format_usd_short, parse_usd
from palyra.core.plural import plural
from palyra.core.private_files import new_private_file

BUCKETS = ("auto", "hour", "day")
PAGE = 50

By = Annotated[str, typer.Option("--by", metavar="KEY", help=", ".join(BY))]
Zone = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="Whose days and hours; else the engine's zone.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="Most entries.")]
Cursor = Annotated[str, typer.Option("--cursor", help="Where the page before stopped.")]


def usage(launch: Launch) -> typer.Typer:
    """`palyra usage …`."""
    app = typer.Typer(help="What was used and what it cost.", invoke_without_command=True)

    def ask(asked: Asked, work: Callable[[Control, int], Awaitable[int]]) -> None:
        async def reading() -> int:
            async with launch.reading(place(asked.config, asked.state_dir)) as control:
                # A snapshot would tell the time too, but counts all budgets anew where no engine runs.
                return await work(control, SystemClock().now_ms())

        run(reading)

    @app.callback()
    @asking("24h")
    def summary(
        asked: Asked,
        context: typer.Context,
        by: By = "model",
        limit: Limit = PAGE,
    ) -> None:
        """Totals of a period and a breakdown, to the nano-dollar."""
        if context.invoked_subcommand is not None:
            return

        async def work(control: Control, now: int) -> int:
            start, end = asked.period(now)
            query = UsageQuery(start, end, by=_known(by), bucket="none", where=asked.where)
            answer = await _gathered(control, query, limit)
            if asked.as_json:
                print_json(answer)
            else:
                print_summary(
                    answer, f"last {asked.since}" if asked.until is None else f"{instant(start)} to {instant(end)}"
                )
            return DONE

        ask(asked, work)

    @app.command("correct")
    def correct(
        what: Annotated[str, typer.Argument(metavar="RUN_OR_HOLD", help="The run, or one of its holds.")],
        reason: Annotated[str, typer.Option(metavar="T", help="Why; it is kept in the audit chain.")],
        input_: Annotated[int | None, typer.Option("--input", min=0, metavar="N", help="Input tokens in all.")] = None,
        output: Annotated[int | None, typer.Option(min=0, metavar="N", help="Output tokens in all.")] = None,
        cached: Annotated[int | None, typer.Option(min=0, metavar="N", help="Cached ones of the input.")] = None,
        cost: Annotated[
            str | None, typer.Option(metavar="USD", help="What it cost; else its tokens are priced as it was held.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Puts right what an attempt used: a further row cites the first, and budgets and sums follow. Admins only."""

        async def work() -> int:
            try:
                nano = None if cost is None else parse_usd(cost)
            except ValueError as error:
                raise BadInputError(f"--cost: {error}.") from None
            command = CorrectUsage(what, reason, input_, output, cached, nano)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("timeline")
    @asking("30d")
    def timeline(
        asked: Asked,
        by: By = "model",
        bucket: Annotated[str, typer.Option(metavar="KIND", help="auto (hours up to 72 h), hour or day.")] = "auto",
        zone: Zone = None,
    ) -> None:
        """Usage over time in hours or local days, none left out, with a series for each of the dearest."""

        async def work(control: Control, now: int) -> int:
            if bucket not in BUCKETS:
                complain(f"--bucket {bucket!r} is unknown: use one of {', '.join(BUCKETS)}")
                return BAD_INPUT
            start, end = asked.period(now)
            whose = zone if zone is not None else (await control.snapshot([])).engine.timezone
            answer = await control.ask(UsageQuery(start, end, _known(by), bucket, whose, where=asked.where))
            if asked.as_json:
                print_json(answer)
            else:
                print_timeline(answer)
            return DONE

        ask(asked, work)

    @app.command("breakdown")
    @asking("30d")
    def breakdown(
        asked: Asked,
        by: By = "model",
        limit: Annotated[int, typer.Option("--limit", min=1, max=PAGE, help="Entries on a page.")] = 10,
        cursor: Cursor = "",
    ) -> None:
        """Who or what used it, the dearest first, a page at a time."""

        async def work(control: Control, now: int) -> int:
            start, end = asked.period(now)
            answer = await control.ask(
                UsageQuery(start, end, _known(by), bucket="none", limit=limit, cursor=cursor, where=asked.where)
            )
            if asked.as_json:
                print_json(answer)
            else:
                print_breakdown(answer)
            return DONE

        ask(asked, work)

    @app.command("runs")
    @asking("24h")
    def runs(
        asked: Asked,
        limit: Limit = PAGE,
        cursor: Cursor = "",
    ) -> None:
        """The runs that a period's numbers count, the last to end first."""

        async def work(control: Control, now: int) -> int:
            page = await control.ask(UsageRunsQuery(*asked.period(now), asked.where, limit, cursor))
            if asked.as_json:
                print_json(page)
                return DONE
            table(
                ("ended", "run", "state", "user", "model", "in", "out", "cost", "why"),
                [
                    (
                        instant(one.finished_at),
                        one.run_id,
                        one.state,
                        one.principal,
                        one.model or one.model_asked,
                        f"{one.input_tokens:,}",
                        f"{one.output_tokens:,}",
                        "unpriced" if one.cost_nano_usd is None else format_usd_short(one.cost_nano_usd),
                        one.reason,
                    )
                    for one in page.runs
                ],
                right=(5, 6, 7),
            )
            if page.next_cursor:
                say(f"more with --cursor {page.next_cursor}")
            return DONE

        ask(asked, work)

    @app.command("insights")
    @asking("24h", filtered=False)
    def insights(
        asked: Asked,
        limit: Limit = 10,
    ) -> None:
        """Why requests went where they went, the mix of models, what alarms, and where budgets are going."""

        async def work(control: Control, now: int) -> int:
            answer = await control.ask(InsightsQuery(*asked.period(now), limit))
            if asked.as_json:
                print_json(answer)
            else:
                print_insights(answer)
            return DONE

        ask(asked, work)

    @app.command("export")
    @asking("30d")
    def export(
        asked: Asked,
        file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; `-` is standard output.")] = "-",
        form: Annotated[
            str | None, typer.Option("--format", metavar="KIND", help="csv, json or jsonl; else by FILE's ending, csv.")
        ] = None,
    ) -> None:
        """Every settled attempt of a period, the first first; a file is 0600 and appears whole or not at all."""

        async def work(control: Control, now: int) -> int:
            chosen = format_of(file, "json" if asked.as_json and form is None else form)
            start, end = asked.period(now)
            # What settles while this runs would come or not come by chance.
            query = UsageRowsQuery(start, min(end, now + 1), asked.where)
            if file == "-":
                out = sys.stdout.buffer
                await export_usage(control, query, chosen, out.write, shown=sys.stdout.isatty())
                out.flush()
                return DONE
            with new_private_file(Path(file)) as target:
                count = await export_usage(control, query, chosen, target.write)
            complain(f"{plural(count, 'attempt')} in {file}")
            return DONE

        ask(asked, work)

    return app


async def _gathered(control: Control, query: UsageQuery, limit: int) -> UsageAnswer:
    """The answer with up to `limit` entries of its breakdown, however many pages that takes."""
    answer = await control.ask(replace(query, limit=min(limit, PAGE)))
    while answer.next_cursor and len(answer.breakdown) < limit:
        left = min(limit - len(answer.breakdown), PAGE)
        more = await control.ask(replace(query, since=answer.since, limit=left, cursor=answer.next_cursor))
        answer = replace(answer, breakdown=(*answer.breakdown, *more.breakdown), next_cursor=more.next_cursor)
    return answer


def _known(by: str) -> str:
    if by not in BY:
        raise BadInputError(f"--by {by!r} is unknown.", fix=f"Use one of: {', '.join(BY)}.")
    return by
