"""`palyra usage`: what was used and what it cost; when, by whom, in which runs; and all of it for other programs."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import BAD_INPUT, DONE, Config, Json, StateDir, place, report, run
from palyra.cli.output import complain, instant, print_json, say, table
from palyra.cli.usage_tables import print_breakdown, print_insights, print_summary, print_timeline
from palyra.control.commands import CorrectUsage
from palyra.control.export import ExportFormat, export_usage
from palyra.control.protocol import Control
from palyra.control.queries import InsightsQuery, UsageAnswer, UsageQuery, UsageRowsQuery, UsageRunsQuery
from palyra.core.clock import SystemClock
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError
from palyra.core.instants import parse_instant_ms
from palyra.core.money import format_usd_short, parse_usd
from palyra.core.plural import plural
from palyra.core.private_files import new_private_file
from palyra.core.usage_filter import UsageFilter
from palyra.core.values import value

BY = ("model", "provider", "user", "session", "channel", "agent", "job", "key", "tag")
BUCKETS = ("auto", "hour", "day")
PAGE = 50

Since = Annotated[
    str, typer.Option("--since", metavar="WHEN", help="How far back, like 24h or 30d, or an instant or UTC date.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="An instant or UTC date, or how long ago; else now.")
]
By = Annotated[str, typer.Option("--by", metavar="KEY", help=", ".join(BY))]
Zone = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="Whose days and hours; else the engine's zone.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="Most entries.")]
Cursor = Annotated[str, typer.Option("--cursor", help="Where the page before stopped.")]
Of = Annotated[
    list[str] | None,
    typer.Option("--of", metavar="KEY=NAME", help=f"Only this work; KEY is one of {', '.join(BY)}. May be repeated."),
]
Model = Annotated[str | None, typer.Option("--model", help="Only this model.")]
User = Annotated[str | None, typer.Option("--user", help="Only this user.")]
Session = Annotated[str | None, typer.Option("--session", help="Only this session.")]


@value
class _Period:
    """[since, until) as options say it, and whose usage is meant."""

    since: str
    until: str | None
    where: UsageFilter

    def at(self, now: int) -> tuple[int, int]:
        until = now + 1 if self.until is None else moment("--until", self.until, now)
        return moment("--since", self.since, until if self.until is not None else now), until


def usage(launch: Launch) -> typer.Typer:
    app = typer.Typer(help="What was used and what it cost.", invoke_without_command=True)

    def ask(config: Path | None, state_dir: Path | None, work: Callable[[Control, int], Awaitable[int]]) -> None:
        async def reading() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                # A snapshot would tell the time too, but counts all budgets anew where no engine runs.
                return await work(control, SystemClock().now_ms())

        run(reading)

    @app.callback()
    def summary(
        context: typer.Context,
        since: Since = "24h",
        until: Until = None,
        by: By = "model",
        limit: Limit = PAGE,
        of: Of = None,
        model: Model = None,
        user: User = None,
        session: Session = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Totals of a period and a breakdown, to the nano-dollar."""
        if context.invoked_subcommand is not None:
            return

        async def work(control: Control, now: int) -> int:
            period = _Period(since, until, _filter(of, model, user, session))
            start, end = period.at(now)
            query = UsageQuery(start, end, by=_known(by), bucket="none", where=period.where)
            answer = await _gathered(control, query, limit)
            if as_json:
                print_json(answer)
            else:
                print_summary(answer, f"last {since}" if until is None else f"{instant(start)} to {instant(end)}")
            return DONE

        ask(config, state_dir, work)

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
            async with launch.acting(place(config, state_dir)) as control:
                command = CorrectUsage(what, reason, input_, output, cached, nano)
                return report(await control.send(command), as_json=as_json)

        run(work)

    @app.command("timeline")
    def timeline(
        since: Since = "30d",
        until: Until = None,
        by: By = "model",
        bucket: Annotated[str, typer.Option(metavar="KIND", help="auto (hours up to 72 h), hour or day.")] = "auto",
        zone: Zone = None,
        of: Of = None,
        model: Model = None,
        user: User = None,
        session: Session = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Usage over time in hours or local days, none left out, with a series for each of the dearest."""

        async def work(control: Control, now: int) -> int:
            if bucket not in BUCKETS:
                complain(f"--bucket {bucket!r} is unknown: use one of {', '.join(BUCKETS)}")
                return BAD_INPUT
            period = _Period(since, until, _filter(of, model, user, session))
            start, end = period.at(now)
            whose = zone if zone is not None else (await control.snapshot([])).engine.timezone
            answer = await control.ask(UsageQuery(start, end, _known(by), bucket, whose, where=period.where))
            if as_json:
                print_json(answer)
            else:
                print_timeline(answer)
            return DONE

        ask(config, state_dir, work)

    @app.command("breakdown")
    def breakdown(
        since: Since = "30d",
        until: Until = None,
        by: By = "model",
        limit: Annotated[int, typer.Option("--limit", min=1, max=PAGE, help="Entries on a page.")] = 10,
        cursor: Cursor = "",
        of: Of = None,
        model: Model = None,
        user: User = None,
        session: Session = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Who or what used it, the dearest first, a page at a time."""

        async def work(control: Control, now: int) -> int:
            period = _Period(since, until, _filter(of, model, user, session))
            start, end = period.at(now)
            answer = await control.ask(
                UsageQuery(start, end, _known(by), bucket="none", limit=limit, cursor=cursor, where=period.where)
            )
            if as_json:
                print_json(answer)
            else:
                print_breakdown(answer)
            return DONE

        ask(config, state_dir, work)

    @app.command("runs")
    def runs(
        since: Since = "24h",
        until: Until = None,
        limit: Limit = PAGE,
        cursor: Cursor = "",
        of: Of = None,
        model: Model = None,
        user: User = None,
        session: Session = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """The runs that a period's numbers count, the last to end first."""

        async def work(control: Control, now: int) -> int:
            period = _Period(since, until, _filter(of, model, user, session))
            page = await control.ask(UsageRunsQuery(*period.at(now), period.where, limit, cursor))
            if as_json:
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

        ask(config, state_dir, work)

    @app.command("insights")
    def insights(
        since: Since = "24h",
        until: Until = None,
        limit: Limit = 10,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Why requests went where they went, the mix of models, what alarms, and where budgets are going."""

        async def work(control: Control, now: int) -> int:
            answer = await control.ask(InsightsQuery(*_Period(since, until, UsageFilter()).at(now), limit))
            if as_json:
                print_json(answer)
            else:
                print_insights(answer)
            return DONE

        ask(config, state_dir, work)

    @app.command("export")
    def export(
        file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; `-` is standard output.")] = "-",
        form: Annotated[
            str | None, typer.Option("--format", metavar="KIND", help="csv or json; else by FILE's ending, csv.")
        ] = None,
        since: Since = "30d",
        until: Until = None,
        of: Of = None,
        model: Model = None,
        user: User = None,
        session: Session = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    ) -> None:
        """Every settled attempt of a period, the first first; a file is 0600 and appears whole or not at all."""

        async def work(control: Control, now: int) -> int:
            chosen = "json" if as_json and form is None else form
            if chosen is None:
                chosen = "json" if file.lower().endswith(".json") else "csv"
            if chosen not in ("csv", "json"):
                complain(f"--format {chosen!r} is unknown: use csv or json")
                return BAD_INPUT
            period = _Period(since, until, _filter(of, model, user, session))
            start, end = period.at(now)
            # What settles while this runs would come or not come by chance.
            query = UsageRowsQuery(start, min(end, now + 1), period.where)
            if file == "-":
                out = sys.stdout.buffer
                await export_usage(control, query, ExportFormat(chosen), out.write, shown=sys.stdout.isatty())
                out.flush()
                return DONE
            with new_private_file(Path(file)) as target:
                count = await export_usage(control, query, ExportFormat(chosen), target.write)
            complain(f"{plural(count, 'attempt')} in {file}")
            return DONE

        ask(config, state_dir, work)

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


def _filter(of: list[str] | None, model: str | None, user: str | None, session: str | None) -> UsageFilter:
    where = UsageFilter(model=model, user=user, session=session)
    for text in of or ():
        key, equals, name = text.partition("=")
        if key not in BY or not equals or (key == "tag" and "=" not in name):
            raise BadInputError(
                f"--of {text!r} is unknown.", fix=f"Write KEY=NAME with one of {', '.join(BY)}, or tag=NAME=VALUE."
            )
        where = replace(where, **{key: name})
    return where


def moment(option: str, text: str, before: int) -> int:
    """An instant, or a length of time before `before`, as unix ms; what began before 1970 began then."""
    try:
        return max(0, before - parse_duration_ms(text))
    except ValueError as no_length:
        if not text[:4].isdecimal() or "-" not in text:
            raise BadInputError(f"{option}: {no_length}.") from None
    try:
        return parse_instant_ms(text)
    except ValueError as no_instant:
        raise BadInputError(f"{option}: {no_instant}.") from None
