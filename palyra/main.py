"""Entry points: `palyra-tui` opens the console on an engine of its own or attaches to a running one; `palyra` is the
command line. Everything is put together here; nothing below knows what is above it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from palyra.at_keyboard import at_keyboard, owner_of
from palyra.cli.app import build_app
from palyra.cli.launch import GatewayDoor, Place
from palyra.cli.options import run_to_end
from palyra.cli.output import complain
from palyra.config.load import Sources
from palyra.config.paths import state_dir as find_state_dir
from palyra.config.rewrite import set_defaults
from palyra.control.offline import offline_control
from palyra.control.protocol import Control
from palyra.control.remote import RemoteControl
from palyra.core.clock import SystemClock
from palyra.core.errors import EngineGoneError, StateError
from palyra.core.heap import settle_heap
from palyra.core.logs import keep_terminal_clean
from palyra.core.private_files import write_private
from palyra.core.signals import StopSignals
from palyra.core.streams import STDERR, STDOUT, say
from palyra.doctor.reading import Where
from palyra.engine import Installation
from palyra.house import House, open_house, open_log
from palyra.installed import for_a_screen, installed
from palyra.vault.access import AccessRegistry
from palyra.vault.identity import AmbiguousError, IdentityError, account_of


def sources_of(place: Place, *, bind: str | None = None) -> Sources:
    return Sources(place.config, dict(os.environ), {"gateway.bind": bind})


def installation(place: Place, *, bind: str | None = None) -> Installation:
    """What an engine started here would run on. Raises ConfigError with all problems at once."""
    found = installed(sources_of(place, bind=bind), find_state_dir(place.state_dir, os.environ))
    for warning in found.warnings:
        complain(str(warning))
    return found


async def running_engine(place: Place, state_dir: Path) -> RemoteControl | None:
    """The engine that holds this state directory, if one answers."""
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


class Launcher:
    """What the commands launch."""

    @asynccontextmanager
    async def reading(self, place: Place) -> AsyncIterator[Control]:
        found = installation(place)
        remote = await running_engine(place, found.state_dir)
        if remote is not None:
            try:
                yield remote
            finally:
                await remote.close()
            return
        async with offline_control(
            found.config, found.state_dir, found.config_path, SystemClock(), os.environ
        ) as control:
            yield control

    @asynccontextmanager
    async def acting(self, place: Place) -> AsyncIterator[Control]:
        found = installation(place)
        remote = await running_engine(place, found.state_dir)
        if remote is not None:
            try:
                yield remote
            finally:
                await remote.close()
            return
        async with open_house(found, SystemClock(), os.environ, serving=False) as house:
            yield house.own_control(place.operator, os.environ)

    @asynccontextmanager
    async def gateway(self, place: Place) -> AsyncIterator[GatewayDoor]:
        found = installation(place)
        remote = await running_engine(place, found.state_dir)
        if remote is not None:
            try:
                engine = (await remote.snapshot([])).engine
            finally:
                await remote.close()
            if not engine.gateway_url:
                raise StateError("The running engine has no gateway.", fix="Try again once it has started.")
            yield GatewayDoor(engine.gateway_url, Path(engine.key_file))
            return
        found = installation(place, bind="127.0.0.1:0")
        async with open_house(found, SystemClock(), os.environ) as house:
            yield GatewayDoor(house.doors().gateway_url, house.engine.access.key_file)

    @asynccontextmanager
    async def running(self, place: Place) -> AsyncIterator[Control | None]:
        remote = await running_engine(place, find_state_dir(place.state_dir, os.environ))
        try:
            yield remote
        finally:
            if remote is not None:
                await remote.close()

    def set_defaults(self, path: Path, models: Mapping[str, str]) -> tuple[str, ...]:
        return set_defaults(path, models, os.environ)

    def serve(self, place: Place, *, bind: str | None, ready_file: Path | None) -> int:
        return guarded(lambda: serve(place, bind, ready_file))

    def demo(self, state_dir: Path | None, *, ascii_only: bool) -> int:
        from palyra.demo.run import run_demo

        return guarded(lambda: run_demo(state_dir, ascii_only=ascii_only))


def guarded(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs a program whose files are its owner's alone, to its end."""
    os.umask(0o077)
    return run_to_end(work)


async def serve(place: Place, bind: str | None, ready_file: Path | None) -> int:
    """The engine without a screen, until SIGTERM or SIGINT. Raises PalyraError for what keeps it from starting."""
    found = installation(place, bind=bind)
    clock = SystemClock()
    stop = asyncio.Event()
    signals = StopSignals(
        clock,
        on_stop=stop.set,
        on_hangup=None,
        drain_seconds=lambda: found.config.gateway.drain_seconds,
        last_words=lambda: say(STDERR, "Stopped hard; the next start ends what was held."),
    )
    with open_log(found) as kept:
        signals.install()
        try:
            async with open_house(found, clock, os.environ) as house:
                house.follow(kept)
                settle_heap()
                tell_ready(house, ready_file)
                await stop.wait()
                say(STDOUT, "palyra is stopping")
        finally:
            signals.remove()
    return 0


def tell_ready(house: House, ready_file: Path | None) -> None:
    """Says where clients connect; the ready file says it to programs."""
    doors, engine = house.doors(), house.engine
    facts = {
        "gateway_url": doors.gateway_url,
        "socket": doors.socket,
        "pid": engine.pid,
        "key_file": str(engine.access.key_file),
    }
    if ready_file is not None:
        write_private(ready_file.absolute(), json.dumps(facts).encode() + b"\n")
    say(STDOUT, f"palyra serves {doors.gateway_url}; the key is in {engine.access.key_file}")


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


async def open_console(place: Place, *, read_only: bool, ascii_only: bool) -> int:
    """The console on an engine of its own, or attached to the one that holds the state directory."""
    from palyra.console import attach, run_console
    from palyra.hosting import HostedControl

    sources, state_dir = sources_of(place), find_state_dir(place.state_dir, os.environ)
    known = await at_the_keyboard(place, state_dir)
    if known is None:
        return 1
    for warning in sources.load().warnings:
        complain(str(warning))
    while True:
        screen = for_a_screen(sources)
        remote = await running_engine(known, state_dir)
        if remote is not None:
            code = await attach(remote, screen, state_dir, read_only=read_only, ascii_only=ascii_only)
        else:
            hosted = HostedControl(
                lambda: installed(sources, state_dir),
                Where(place.config, state_dir, sources.environ),
                state_dir,
                screen,
                SystemClock(),
                operator=known.operator,
                read_only=read_only,
            )
            code = await run_console(hosted, screen, read_only=read_only, ascii_only=ascii_only)
        if code is not None:
            return code


def cli() -> None:
    """`palyra`."""
    keep_terminal_clean()
    build_app(Launcher())()


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
        ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw with ASCII only.")] = False,
    ) -> None:
        """The console that governs what language models may spend."""
        place = Place(config, state_dir, operator)
        raise typer.Exit(guarded(lambda: open_console(place, read_only=read_only, ascii_only=ascii_only)))

    app()


if __name__ == "__main__":
    cli()
