"""`palyra`, the command line: what its commands launch is put together here; nothing below knows what is above it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from palyra.cli.app import build_app
from palyra.cli.conduct import conduct
from palyra.cli.launch import GatewayDoor, Place
from palyra.cli.output import complain
from palyra.config.paths import state_dir as find_state_dir
from palyra.config.rewrite import set_defaults
from palyra.control.engine_commands import RUNS_ELSEWHERE
from palyra.control.offline import offline_control
from palyra.control.protocol import Control
from palyra.core.clock import Clock, SystemClock
from palyra.core.errors import StateError
from palyra.core.heap import settle
from palyra.core.logs import keep_terminal_clean
from palyra.core.private_files import write_private
from palyra.core.signals import StopSignals
from palyra.core.streams import STDERR, STDOUT, say
from palyra.core.systemd import ServiceNotices
from palyra.engine import Installation
from palyra.house import House, open_house
from palyra.installed import REPAIR, installed
from palyra.log_files import open_log
from palyra.opening import guarded, running_engine, sources_of

TRIES = 60
PAUSE_S = 0.25


def installation(place: Place, *, bind: str | None = None) -> Installation:
    """What an engine started here would run on. Raises ConfigError with all problems at once."""
    found = installed(sources_of(place, bind=bind), find_state_dir(place.state_dir, os.environ))
    for warning in found.warnings:
        complain(str(warning))
    return found


async def engines_control(place: Place, stack: AsyncExitStack) -> Control:
    """Of the engine that runs, else of one started for this command alone, which `stack` ends.

    Who holds the state directory without answering is most often another command's engine, which is gone in a moment,
    or one that is about to answer, so it is waited for. Raises StateError, code `locked`, where it stays so.
    """
    found, clock = installation(place), SystemClock()
    for left in reversed(range(TRIES)):
        remote = await running_engine(place, found.state_dir)
        if remote is not None:
            stack.push_async_callback(remote.close)
            return remote
        try:
            house = await stack.enter_async_context(open_house(found, clock, os.environ, serving=False))
        except StateError as error:
            if error.code != "locked" or not left:
                raise
            await clock.sleep(PAUSE_S)
        else:
            return house.own_control(place.operator, os.environ)
    raise AssertionError


class Launcher:
    """What the commands launch."""

    @asynccontextmanager
    async def reading(self, place: Place) -> AsyncIterator[Control]:
        """A control to look with: the running engine's, else the journal's."""
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
        """A control to act with: the running engine's, else one of an engine that is started for it."""
        async with AsyncExitStack() as stack:
            yield await engines_control(place, stack)

    @asynccontextmanager
    async def gateway(self, place: Place) -> AsyncIterator[GatewayDoor]:
        """Where the gateway of the running engine listens."""
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
        """The control of the running engine. Raises EngineGoneError."""
        remote = await running_engine(place, find_state_dir(place.state_dir, os.environ))
        try:
            yield remote
        finally:
            if remote is not None:
                await remote.close()

    def set_defaults(self, path: Path, models: Mapping[str, str]) -> tuple[str, ...]:
        """Writes default models into the configuration."""
        return set_defaults(path, models, os.environ)

    def serve(self, place: Place, *, bind: str | None, ready_file: Path | None) -> int:
        """Runs an engine without a screen until it is told to end; its exit code."""
        return guarded(lambda: sent_to_the_doctor(serve(place, bind, ready_file)))

    def demo(self, state_dir: Path | None, *, ascii_only: bool | None) -> int:
        """Shows the console on a made-up company; its exit code."""
        from palyra.demo.run import run_demo

        return guarded(lambda: run_demo(state_dir, ascii_only=ascii_only))


async def sent_to_the_doctor(work: Coroutine[Any, Any, int]) -> int:
    """Names what helps with a state directory that cannot be used, beside what is told of it."""
    try:
        return await work
    except StateError as error:
        if error.code != RUNS_ELSEWHERE:
            error.fix = f"{error.fix} {REPAIR}".strip()
        raise


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
    with open_log(found.config, found.state_dir) as kept:
        signals.install()
        try:
            async with serving_notices(clock) as notices, open_house(found, clock, os.environ) as house:
                house.follow(kept)
                tell_ready(house, ready_file)
                notices.ready(f"serving {house.doors().gateway_url}")
                await settle()
                await stop.wait()
                notices.stopping()
                say(STDOUT, "palyra is stopping")
        finally:
            signals.remove()
    return 0


@asynccontextmanager
async def serving_notices(clock: Clock) -> AsyncIterator[ServiceNotices]:
    """What systemd is told of this process, where it wants to know; signs of life come until the end of the end."""
    notices = ServiceNotices(os.environ)
    alive = asyncio.create_task(notices.keep_alive(clock))
    try:
        yield notices
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)


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


def cli() -> None:
    """`palyra`."""
    keep_terminal_clean()
    sys.exit(conduct(build_app(Launcher())))


if __name__ == "__main__":
    cli()
