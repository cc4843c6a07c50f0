"""`palyra usage`: what was used and what it cost."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import BAD_INPUT, DONE, Config, Json, StateDir, place, run
from palyra.cli.output import complain, print_json, say, table
from palyra.control.queries import UsageAnswer, UsageQuery
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError
from palyra.core.money import format_usd, format_usd_short

BY = ("model", "provider", "user", "session", "channel", "agent", "job", "key", "tag")


def usage(launch: Launch) -> typer.Typer:
    app = typer.Typer(help="What was used and what it cost.", invoke_without_command=True)

    @app.callback()
    def summary(
        since: Annotated[str, typer.Option(metavar="DUR", help="How far back, like 24h or 30d.")] = "24h",
        by: Annotated[str, typer.Option(help=", ".join(BY))] = "model",
        limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Totals of a period and a breakdown, to the nano-dollar."""

        async def work() -> int:
            if by not in BY:
                complain(f"--by {by!r} is unknown: use one of {', '.join(BY)}")
                return BAD_INPUT
            try:
                span = parse_duration_ms(since)
            except ValueError as error:
                raise BadInputError(f"--since: {error}.") from None
            async with launch.reading(place(config, state_dir)) as control:
                now = (await control.snapshot([])).at
                answer = await control.ask(UsageQuery(now - span, now + 1, by=by, bucket="none", limit=limit))
            if as_json:
                print_json(answer)
            else:
                _print(answer, since)
            return DONE

        run(work)

    return app


def _print(answer: UsageAnswer, since: str) -> None:
    total = answer.total
    say(
        f"last {since}: {format_usd(total.cost_nano_usd)} · {total.requests:,} requests ·"
        f" {total.input_tokens:,} tokens in, {total.output_tokens:,} out · {total.refused:,} refused"
        + (f" · {total.unpriced:,} unpriced" if total.unpriced else "")
    )
    if answer.breakdown:
        table(
            (answer.by, "requests", "in", "out", "cost", "share"),
            [
                (
                    entry.key,
                    f"{entry.numbers.requests:,}",
                    f"{entry.numbers.input_tokens:,}",
                    f"{entry.numbers.output_tokens:,}",
                    format_usd_short(entry.numbers.cost_nano_usd),
                    f"{entry.share:.0%}",
                )
                for entry in answer.breakdown
            ],
            right=(1, 2, 3, 4, 5),
        )
