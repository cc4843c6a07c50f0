"""The console as a program: the screen first, then the doors; and every way of ending restores the terminal."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from palyra.config.load import LoadResult, Sources
from palyra.config.model import LoadedConfig
from palyra.config.operations import ConsoleConfig
from palyra.config.partial import for_a_screen
from palyra.control.coming import ComingControl
from palyra.control.protocol import Control
from palyra.control.snapshots import OperatorView, Snapshot
from palyra.control.standstill import Premises, Standstill, standing
from palyra.core.clock import Clock, SystemClock
from palyra.core.errors import StateError
from palyra.core.heap import settle
from palyra.core.local_zone import local_zone
from palyra.core.plural import plural
from palyra.core.private_files import why_unusable
from palyra.core.reasons import reason_of
from palyra.core.signals import StopSignals
from palyra.core.streams import STDERR, say
from palyra.core.text_locale import ascii_locale
from palyra.log_files import open_log
from palyra.tui.app import SCREENS, PalyraApp
from palyra.tui.driver import PalyraDriver
from palyra.tui.frame.herald import ringing
from palyra.tui.glyphs import AsciiFilter, repaint
from palyra.tui.habits import Habits
from palyra.tui.themes import Tone, color_system, fitting
from palyra.tui.who import WhoApp

if TYPE_CHECKING:
    # They are loaded while the screen is shown.
    from palyra.control.remote import RemoteControl
    from palyra.hosting import HostedControl

log = logging.getLogger(__name__)

SOON_SECONDS = 1.0
"""An engine that takes longer to start than this is shown as it starts, and waits no longer until it is shown."""
MEMORY_FILE = "console.json"
LOCAL = "local"
"""The zone of the machine that the console runs on."""


class Console(PalyraApp):
    """The app as it runs on a real terminal. It goes by `screen`, and keeps its memory in the state directory."""

    def __init__(
        self,
        control: Control,
        screen: LoadedConfig,
        state_dir: Path,
        clock: Clock,
        *,
        read_only: bool,
        ascii_only: bool | None,
        read_own: Callable[[], LoadResult] | None = None,
    ) -> None:
        """`read_own` reads the configuration of a console whose engine, in another process, cannot tell it."""
        super().__init__(
            control,
            clock=clock,
            read_only=read_only,
            ascii_only=draws_ascii(ascii_only, screen.console, os.environ),
            theme=screen.console.theme,
            color_system=color_system(),
            refresh_hz=screen.console.refresh_hz,
            drain_seconds=screen.gateway.drain_seconds,
            ringing=ringing(screen.notifications.bell, screen.notifications.osc9, os.environ),
            habits=habits(screen.console, os.environ),
            keys=screen.console.keys,
            memory=state_dir / MEMORY_FILE,
            driver_class=PalyraDriver,
        )
        self._configured = screen.console
        self._ascii_told = ascii_only
        self._read_own = read_own
        self._followed: tuple[str, int | None] | None = None
        """Of which boot of the engine, and of which of its readings, the own file was read."""
        self.painted = asyncio.Event()
        self.live = asyncio.Event()
        """What the engine says is painted."""
        self.at_work = asyncio.Event()
        """What comes with the first picture is done, the engine's start above all."""

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        """The engine says how its consoles call, also those of another process whose own file says otherwise."""
        engine = snapshot.engine
        if engine.bell is not None and engine.osc9 is not None:
            self._herald.ring(ringing(engine.bell, engine.osc9, os.environ))
            self._follow_own((engine.boot_id, engine.configured_at))
        super()._on_snapshot(snapshot)

    def _follow_own(self, read: tuple[str, int | None]) -> None:
        """Reads its own file again whenever the engine of another process has read its own."""
        if self._read_own is not None and self._followed not in (None, read):
            self.spawn(self._read_again(self._read_own))
        self._followed = read

    async def _read_again(self, read: Callable[[], LoadResult]) -> None:
        found = await asyncio.to_thread(read)
        if found.config is None:
            count = plural(len(found.problems), "problem")
            self.flash(f"This console stays as it is: its configuration has {count}.", Tone.WARN)
        else:
            await self.follow(found.config)

    def on_ready(self) -> None:
        self.painted.set()

    async def _mount_screens(self) -> None:
        await self.bridge.answered.wait()
        self.call_after_refresh(self.live.set)
        await self.live.wait()
        await super()._mount_screens()
        await self.at_work.wait()
        await settle()

    def on_palyra_driver_terminal_gone(self) -> None:
        """The terminal was closed without a signal: nobody sees the screen, so it ends in order."""
        self.hang_up()

    async def follow(self, config: LoadedConfig) -> None:
        """The configuration to go by from now on. A theme that was picked with a key stays until the configured one is
        another."""
        looks = config.console
        self.drain_seconds = config.gateway.drain_seconds
        self.habits = habits(looks, os.environ)
        self.bridge.refresh_hz = looks.refresh_hz
        if dict(looks.keys) != self._configured.keys:
            self.take_keys(looks.keys)
        if looks.theme != self._configured.theme:
            self.memory.theme = ""
            self.theme = fitting("", looks.theme, color_system())
        if isinstance(self._driver, PalyraDriver):
            self._driver.hear_mouse(looks.mouse)
        self._draw_ascii(draws_ascii(self._ascii_told, looks, os.environ))
        self._configured = looks
        if self.front is not None:
            self.front.redraw()

    def _draw_ascii(self, wanted: bool) -> None:
        if wanted == bool(self._ascii):
            return
        self._ascii = [AsciiFilter()] if wanted else []
        repaint([*(self._own(one.NAME) for one in SCREENS), self.screen])

    def stop(self) -> None:
        """Asks the console to end."""
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


def habits(console: ConsoleConfig, environ: Mapping[str, str]) -> Habits:
    """What the console remembers of this operator."""
    zone = local_zone(environ) if console.timezone == LOCAL else console.timezone
    return Habits(zone, console.show_prompts)


def draws_ascii(told: bool | None, console: ConsoleConfig, environ: Mapping[str, str]) -> bool:
    """Whether it draws with ASCII only: as it was `told` when it was started, else as it is configured, else by the
    locale."""
    wanted = console.ascii if told is None else told
    return ascii_locale(environ) if wanted is None else wanted


async def ask_who(account: str, candidates: Sequence[str]) -> str | None:
    """Which of several operators of an account is at the keyboard; None: nobody says."""
    return await WhoApp(account, candidates).run_async()


async def run_console(
    load: Callable[[], Awaitable["HostedControl"]],
    screen: LoadedConfig,
    state_dir: Path,
    *,
    read_only: bool,
    ascii_only: bool | None,
) -> int | None:
    """The console on an engine of its own, which is loaded once the screen is painted, or in recovery mode where none
    can be started. None when an engine is to be looked for again. Raises IdentityError.
    """
    clock = SystemClock()
    hopeless = _hopeless(screen, state_dir, clock.now_ms())
    coming = ComingControl(hopeless)
    app = Console(coming, screen, state_dir, clock, read_only=read_only, ascii_only=ascii_only)
    hosted: HostedControl | None = None

    async def open_up() -> None:
        nonlocal hosted
        hosted = await load()
        soon = None if hopeless else clock.call_later(SOON_SECONDS, partial(coming.come, hosted))
        await hosted.start()
        if soon is not None:
            soon.cancel()
        coming.come(hosted)
        hosted.listen(app.follow)
        with suppress(TimeoutError):
            async with clock.timeout(SOON_SECONDS):
                await app.live.wait()
        await hosted.open_doors()
        app.bridge.hurry()

    try:
        code = await _show(app, clock, screen, open_up)
        if hosted is not None and hosted.house is not None and hosted.house.engine.runner.live:
            seconds = app.drain_seconds
            say(STDERR, f"waiting up to {seconds:.0f} s for runs in flight; Ctrl+C ends it at once")
    finally:
        if hosted is not None:
            await hosted.close()
    return None if app.taking_over else code


def _hopeless(screen: LoadedConfig, state_dir: Path, now: int) -> Snapshot | None:
    """What is shown at once of a state directory on which no engine can start: who is there and what can be done about
    it come with the doctor. None where nothing is seen that is wrong with it."""
    why = why_unusable(state_dir)
    if not why:
        return None
    premises = Premises(str(state_dir), "", "", "", screen.governance.timezone, now)
    nobody = OperatorView("", "viewer", "")
    return standing(Standstill(why, (f"{why}. Name another place with --state-dir.",)), premises, nobody, now)


async def attach(
    remote: "RemoteControl", sources: Sources, state_dir: Path, *, read_only: bool, ascii_only: bool | None
) -> int | None:
    """The console on an engine in another process. None when that is gone and the operator takes over."""
    clock, screen = SystemClock(), for_a_screen(sources)
    try:
        app = Console(
            remote, screen, state_dir, clock, read_only=read_only, ascii_only=ascii_only, read_own=sources.load
        )
        with _log_of(app, screen, state_dir):
            code = await _show(app, clock, screen, None)
            return None if app.taking_over else code
    finally:
        await remote.close()


def _log_of(app: Console, screen: LoadedConfig, state_dir: Path) -> AbstractContextManager[object]:
    """A log of its own; an engine elsewhere can be looked at and acted on without one."""
    try:
        return open_log(screen, state_dir, attached=True)
    except (StateError, OSError) as error:
        why = error.message if isinstance(error, StateError) else reason_of(error)
        app.troubles = (f"This console keeps no log. {why}",)
        return nullcontext()


async def _show(app: Console, clock: Clock, screen: LoadedConfig, then: Callable[[], Awaitable[None]] | None) -> int:
    """Runs the screen to its end; `then` comes once it is painted."""
    signals = StopSignals(
        clock,
        on_stop=app.stop,
        on_hangup=app.hang_up,
        drain_seconds=lambda: app.drain_seconds,
        last_words=app.last_words,
    )
    signals.install()
    shown = asyncio.create_task(app.run_async(mouse=screen.console.mouse))
    painted = asyncio.create_task(app.painted.wait())
    try:
        await asyncio.wait((shown, painted), return_when=asyncio.FIRST_COMPLETED)
        if then is not None and not shown.done():
            await then()
        app.at_work.set()
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
