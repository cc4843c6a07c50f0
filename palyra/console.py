"""The console as a program: the screen first, then the doors; and every way of ending restores the terminal."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from palyra.config.model import LoadedConfig
from palyra.control.protocol import Control
from palyra.control.remote import RemoteControl
from palyra.core.clock import Clock, SystemClock
from palyra.core.heap import settle_heap
from palyra.core.signals import StopSignals
from palyra.core.streams import STDERR, say
from palyra.engine import Installation
from palyra.house import House, open_house, open_log
from palyra.tui.app import PalyraApp
from palyra.tui.driver import PalyraDriver
from palyra.tui.frame.herald import ringing
from palyra.tui.who import WhoApp

log = logging.getLogger(__name__)

MEMORY_FILE = "console.json"


class Console(PalyraApp):
    """The app as it runs on a real terminal."""

    def __init__(
        self, control: Control, installation: Installation, clock: Clock, *, read_only: bool, ascii_only: bool
    ) -> None:
        config = installation.config
        super().__init__(
            control,
            clock=clock,
            read_only=read_only,
            ascii_only=ascii_only or config.console.ascii,
            theme=config.console.theme,
            refresh_hz=config.console.refresh_hz,
            drain_seconds=config.gateway.drain_seconds,
            ringing=ringing(config.notifications.bell, config.notifications.osc9, os.environ),
            keys=config.console.keys,
            memory=installation.state_dir / MEMORY_FILE,
            driver_class=PalyraDriver,
        )
        self.painted = asyncio.Event()

    def on_ready(self) -> None:
        self.painted.set()

    def on_palyra_driver_terminal_gone(self) -> None:
        """The terminal was closed without a signal: nobody sees the screen, so it ends in order."""
        self.hang_up()

    async def follow(self, config: LoadedConfig) -> None:
        """The configuration of an engine in this process was read again."""
        self._herald.ring(ringing(config.notifications.bell, config.notifications.osc9, os.environ))

    def stop(self) -> None:
        self.exit()

    def hang_up(self) -> None:
        """Ends without painting: there is nothing to paint on."""
        if isinstance(self._driver, PalyraDriver):
            self._driver.mute()
        self.exit()

    def last_words(self) -> None:
        """Before the process ends hard: gives the terminal back, which also makes room on a stalled one for a word."""
        if isinstance(self._driver, PalyraDriver):
            self._driver.restore_now()
        say(STDERR, "stopped hard; the next start ends what was held")


async def ask_who(account: str, candidates: Sequence[str]) -> str | None:
    """Which of several operators of an account is at the keyboard; None: nobody says."""
    return await WhoApp(account, candidates).run_async()


async def run_console(
    installation: Installation,
    *,
    operator: str,
    read_only: bool,
    ascii_only: bool,
    company: Callable[[House], Coroutine[None, None, None]] | None = None,
) -> int:
    """The console on an engine of its own; `company` goes on beside it once the doors are open, until the screen ends.

    Raises PalyraError for a state directory or address that cannot be had.
    """
    clock = SystemClock()
    with open_log(installation) as kept:
        async with open_house(installation, clock, os.environ, serving=False) as house:
            house.follow(kept)
            control = house.own_control(operator, os.environ, read_only=read_only)
            app = Console(control, installation, clock, read_only=read_only, ascii_only=ascii_only)
            house.engine.reloading.listen(app.follow)
            beside: list[asyncio.Task[None]] = []

            async def open_doors() -> None:
                await house.open_doors()
                if company is not None:
                    beside.append(asyncio.create_task(company(house)))

            try:
                code = await _show(app, clock, installation, open_doors)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
            if house.engine.runner.live:
                seconds = installation.config.gateway.drain_seconds
                say(STDERR, f"waiting up to {seconds} s for runs in flight; Ctrl+C ends it at once")
        return code


async def attach(remote: RemoteControl, installation: Installation, *, read_only: bool, ascii_only: bool) -> int | None:
    """The console on an engine in another process. None when that is gone and the operator takes over."""
    clock = SystemClock()
    try:
        with open_log(installation, attached=True):
            app = Console(remote, installation, clock, read_only=read_only, ascii_only=ascii_only)
            code = await _show(app, clock, installation, None)
            return None if app.taking_over else code
    finally:
        await remote.close()


async def _show(
    app: Console, clock: Clock, installation: Installation, doors: Callable[[], Awaitable[None]] | None
) -> int:
    """Runs the screen to its end; the doors open once it is painted."""
    signals = StopSignals(
        clock,
        on_stop=app.stop,
        on_hangup=app.hang_up,
        drain_seconds=installation.config.gateway.drain_seconds,
        last_words=app.last_words,
    )
    signals.install()
    shown = asyncio.create_task(app.run_async(mouse=installation.config.console.mouse))
    painted = asyncio.create_task(app.painted.wait())
    try:
        await asyncio.wait((shown, painted), return_when=asyncio.FIRST_COMPLETED)
        if doors is not None and not shown.done():
            await doors()
        settle_heap()
        await shown
    except BaseException:
        # Whatever it is, it is told on a terminal that was given back.
        app.exit()
        await asyncio.wait((shown,))
        raise
    finally:
        painted.cancel()
        if app.taking_over:
            signals.remove()
        else:
            signals.stopping()
    return app.return_code or 0
