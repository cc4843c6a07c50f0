"""`palyra incidents`: what is wrong, and what people were not told of it."""

import typer

from palyra.cli.dead_letters import dead_letters
from palyra.cli.heartbeats import add_heartbeats
from palyra.cli.launch import Launch


def incidents(launch: Launch) -> typer.Typer:
    app = typer.Typer(help="What is wrong, and what is done about it.", no_args_is_help=True)
    app.add_typer(dead_letters(launch), name="dead-letters")
    add_heartbeats(app, launch)
    return app
