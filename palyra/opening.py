"""`palyra-tui`: opens the console on an engine of its own or attaches to a running one.

The screen comes first. Nothing is imported here that it does not need: an engine is loaded while it is shown already.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palyra.at_keyboard import at_keyboard, owner_of
from palyra.cli.conduct import conduct
from palyra.cli.launch import Place
from palyra.cli.options import run_to_end
from palyra.cli.output import complain
from palyra.config.load import Sources
from palyra.config.model import LoadedConfig
from palyra.config.partial import for_a_screen
from palyra.config.paths import state_dir as find_state_dir
from palyra.control.sockets import find_socket
from palyra.core.clock import SystemClock
from palyra.core.errors import EngineGoneError, StateError
from palyra.core.heap import while_loading
from palyra.core.logs import keep_terminal_clean
from palyra.vault.access import AccessRegistry
from palyra.vault.identity import AmbiguousError, IdentityError, account_of

if TYPE_CHECKING:
    from palyra.control.remote import RemoteControl
    from palyra.hosting import HostedControl


def sources_of(place: Place, *, bind: str | None = None) -> Sources:
    """Where the configuration comes from."""
    return Sources(place.config, dict(os.environ), {"gateway.bind": bind})


async def running_engine(place: Place, state_dir: Path) -> "RemoteControl | None":
    """The engine that holds this state directory, if one answers."""
    if not os.path.lexists(find_socket(state_dir)):  # noqa: ASYNC240 no slower than to connect
        return None
    from palyra.control.remote import RemoteControl

    remote = RemoteControl(state_dir, operator=place.operator, environ=os.environ)
    try:
        await remote.snapshot([])
    except EngineGoneError:
        await remote.close()
        return None
    except BaseException:
        await remote.close()
        raise
    return remote


def guarded(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs a program whose files are its owner's alone, to its end."""
    os.umask(0o077)
    return run_to_end(work)


async def at_the_keyboard(place: Place, state_dir: Path) -> Place | None:
    """The place with the name of who is there, asked for where several operators share the account and nothing tells
    them apart; None where nobody says. Whether a name may be used is judged by the engine."""
    access = AccessRegistry.look(state_dir, SystemClock())
    try:
        at_keyboard(access, owner=owner_of(state_dir), claimed=place.operator, environ=os.environ)
    except AmbiguousError as ambiguous:
        from palyra.console import ask_who

        chosen = await ask_who(account_of(os.geteuid()), ambiguous.candidates)
        return None if chosen is None else replace(place, operator=chosen)
    except IdentityError:
        return place
    return place


def at_a_terminal() -> bool:
    """Whether there is a keyboard to hear and a screen to draw on."""
    screens = (sys.stdout, sys.stderr)
    return sys.stdin is not None and sys.stdin.isatty() and any(one is not None and one.isatty() for one in screens)


def check_terminal(environ: Mapping[str, str], *, terminal: bool) -> None:
    """Raises StateError where there is no terminal, or one that says that it cannot show a console."""
    if environ.get("TERM") == "dumb":
        raise StateError(
            "This terminal cannot show a console: TERM is dumb.",
            fix="Set TERM to what it is, like xterm-256color, or use the commands of `palyra`.",
        )
    if not terminal:
        raise StateError(
            "There is no terminal here to show a console on.",
            fix="Start it in one, or run the engine without a console: palyra serve.",
        )


async def open_console(place: Place, *, read_only: bool, ascii_only: bool | None) -> int:
    """The console on an engine of its own, or attached to the one that holds the state directory."""
    from palyra.console import attach, run_console

    sources, state_dir = sources_of(place), find_state_dir(place.state_dir, os.environ)
    known = await at_the_keyboard(place, state_dir)
    if known is None:
        return 1
    for warning in sources.load().warnings:
        complain(str(warning))
    while True:
        remote = await running_engine(known, state_dir)
        if remote is not None:
            code = await attach(remote, sources, state_dir, read_only=read_only, ascii_only=ascii_only)
        else:
            screen = for_a_screen(sources)

            async def load(known: Place = known, screen: LoadedConfig = screen) -> "HostedControl":
                return await asyncio.to_thread(load_hosted, known, sources, state_dir, screen, read_only=read_only)

            code = await run_console(load, screen, state_dir, read_only=read_only, ascii_only=ascii_only)
        if code is not None:
            return code


def load_hosted(
    place: Place, sources: Sources, state_dir: Path, screen: LoadedConfig, *, read_only: bool
) -> "HostedControl":
    """The control with an engine of its own, not yet started. It takes a while: the engine is loaded."""
    with while_loading():
        from palyra.doctor.reading import Where
        from palyra.hosting import HostedControl
        from palyra.installed import installed

    return HostedControl(
        lambda: installed(sources, state_dir),
        Where(place.config, state_dir, sources.environ),
        state_dir,
        screen,
        SystemClock(),
        operator=place.operator,
        read_only=read_only,
    )


def console() -> None:
    """`palyra-tui`."""
    keep_terminal_clean()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.command()
    def palyra_tui(
        config: Annotated[
            Path | None, typer.Option("--config", metavar="F", readable=False, help="Configuration file.")
        ] = None,
        state_dir: Annotated[
            Path | None, typer.Option("--state-dir", metavar="D", readable=False, help="State directory.")
        ] = None,
        read_only: Annotated[bool, typer.Option("--read-only", help="Look, but decide nothing.")] = False,
        operator: Annotated[
            str, typer.Option("--operator", metavar="O", help="Who you are, on a shared account.")
        ] = "",
        ascii_only: Annotated[
            bool | None, typer.Option("--ascii/--unicode", help="Draw with ASCII only, or not; else by the locale.")
        ] = None,
    ) -> None:
        """The console that governs what language models may spend."""
        place = Place(config, state_dir, operator)

        async def opened() -> int:
            check_terminal(os.environ, terminal=at_a_terminal())
            return await open_console(place, read_only=read_only, ascii_only=ascii_only)

        raise typer.Exit(guarded(opened))

    sys.exit(conduct(app))
