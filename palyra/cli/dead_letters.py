"""`palyra incidents dead-letters`: notifications that a webhook did not take; `palyra notifications`: the webhooks."""

from collections.abc import Sequence
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, run
from palyra.cli.output import instant, print_json, say, table
from palyra.control.commands import DiscardDeadLetters, RetryDeadLetters, TryWebhook
from palyra.control.notice_queries import DeadLettersQuery, DeliveryView, WebhookView
from palyra.core.errors import BadInputError

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Their ids.")]
OfWebhook = Annotated[str, typer.Option("--webhook", metavar="NAME", help="All of this webhook.")]


def dead_letters(launch: Launch) -> typer.Typer:
    """`palyra incidents dead-letters …`."""
    app = typer.Typer(help="Notifications that were given up.", no_args_is_help=True)

    @app.command("list")
    def list_(
        webhook: Annotated[str, typer.Option(metavar="NAME", help="Of this webhook only.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=1000)] = 200,
        cursor: Annotated[str, typer.Option(metavar="C", help="Where the page before ended.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Newest first."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(DeadLettersQuery(webhook, limit, cursor))
            if as_json:
                print_json({"dead_letters": page.letters, "total": page.total, "next_cursor": page.next_cursor or None})
            elif not page.letters:
                say("No dead letters.")
            else:
                table(
                    ("id", "webhook", "event", "severity", "about", "tries", "since", "why"),
                    [_line(letter) for letter in page.letters],
                    right=(5,),
                )
                if page.next_cursor:
                    say(f"{page.total:,} in all; go on with --cursor {page.next_cursor}")
            return DONE

        run(work)

    @app.command("retry")
    def retry(
        ids: Ids = None,
        webhook: OfWebhook = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Sends them again, each under its id."""

        async def work() -> int:
            command = RetryDeadLetters(_chosen(ids, webhook), webhook)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("discard")
    def discard(
        ids: Ids = None,
        webhook: OfWebhook = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Drops them for good."""

        async def work() -> int:
            command = DiscardDeadLetters(_chosen(ids, webhook), webhook)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    return app


def notifications(launch: Launch) -> typer.Typer:
    """`palyra notifications …`."""
    app = typer.Typer(help="Who is told when something needs a person.", no_args_is_help=True)

    @app.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """The webhooks, and how they do."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(DeadLettersQuery(limit=1))
            if as_json:
                print_json({"webhooks": page.webhooks})
            elif not page.webhooks:
                say("No webhooks. They are configured under [[notifications.webhook]].")
            else:
                table(
                    ("webhook", "state", "delivered", "waiting", "dead", "last", "address", "last fault"),
                    [_webhook(view) for view in page.webhooks],
                    right=(2, 3, 4),
                )
            return DONE

        run(work)

    @app.command("test")
    def test(
        name: Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Sends a test, once, and tells what was answered."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), TryWebhook(name), as_json=as_json)

        run(work)

    return app


def _chosen(ids: Sequence[str] | None, webhook: str) -> tuple[str, ...]:
    if bool(ids) == bool(webhook):
        raise BadInputError("Either ids or --webhook must be given.", fix="List them with `dead-letters list`.")
    return tuple(ids or ())


def _line(letter: DeliveryView) -> tuple[str, ...]:
    return (
        letter.delivery_id,
        letter.webhook,
        letter.event,
        letter.severity,
        letter.subject,
        str(letter.tries),
        instant(letter.ended_at),
        letter.error,
    )


def _webhook(view: WebhookView) -> tuple[str, ...]:
    return (
        view.name,
        "failing" if view.failing else "ok",
        f"{view.delivered:,}",
        f"{view.pending:,}",
        f"{view.dead:,}",
        instant(view.delivered_at),
        view.place,
        view.error,
    )
