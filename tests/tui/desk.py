"""A console over a fake engine, driven by hand: keys in, lines of the screen out, time only when told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.keys import key_to_character
from textual.pilot import Pilot

from palyra.control.snapshots import Snapshot
from palyra.core.clock import ManualClock
from palyra.tui.app import PalyraApp
from palyra.tui.commands.held import RELEASE_SECONDS
from palyra.tui.screens.base import PalyraScreen
from palyra.tui.screens.listing import ListScreen
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import World

SMALL = (80, 24)
LARGE = (120, 40)
QUIET_TURNS = 15
"""Turns of the loop without a message after which nothing is under way: answers of the fake engine take fewer."""
PATIENCE = 20_000


class Desk:
    """One running console."""

    def __init__(self, app: PalyraApp, pilot: Pilot[None], control: FakeControl, clock: ManualClock) -> None:
        self.app = app
        self.pilot = pilot
        self.control = control
        self.clock = clock

    async def settle(self) -> None:
        """Lets everything that is under way come to rest: messages, tasks, layout and painting."""
        quiet = 0
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
            quiet = 0 if self._busy else quiet + 1
            if quiet == QUIET_TURNS:
                self.app.screen._on_timer_update()
                if not self._busy:
                    return
                quiet = 0
        raise AssertionError("the console does not come to rest")

    @property
    def _busy(self) -> bool:
        """Whether a part of the console has messages to handle."""
        if not self.app._message_queue.empty():
            return True
        return any(not part._message_queue.empty() for part in self.app.screen.walk_children(with_self=True))

    async def press(self, *keys: str) -> None:
        """Presses keys one after another, each once the one before has had its effect."""
        for key in keys:
            self._send(key)
            await self.settle()

    async def press_anew(self, *keys: str) -> None:
        """Presses keys one after another, each let go for so long that it cannot be held down."""
        for key in keys:
            await self.press(key)
            await self.jump(RELEASE_SECONDS)

    async def type(self, text: str) -> None:
        """Types into what has the focus."""
        for char in text:
            self._send(NAMES.get(char, char), char)
        await self.settle()

    def _send(self, key: str, char: str | None = None) -> None:
        character = char or key_to_character(key)
        event = events.Key(key, character)
        event.set_sender(self.app)
        assert self.app._driver is not None
        self.app._driver.send_message(event)

    async def wait(self, seconds: float = 1.0) -> None:
        """Moves the clock; snapshots are pulled as they fall due."""
        await self.clock.advance(seconds)
        await self.settle()

    async def jump(self, seconds: float) -> None:
        """Moves the clock in one step, as when the machine was asleep."""
        self.clock.tick(seconds)
        await self.settle()

    async def ready(self) -> None:
        """Past the guard time, so that acting keys are taken."""
        await self.wait(1.0)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, line by line."""
        width = self.app.size.width
        return [strip.text.ljust(width)[:width] for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)

    @property
    def box(self) -> str:
        """What the open dialog says, its lines joined by single spaces."""
        region = self.app.screen.query_one("#box").region
        rows = self.lines[region.y : region.bottom]
        return " ".join(" ".join(row[region.x + 1 : region.right] for row in rows).split())

    @property
    def status(self) -> str:
        return self.lines[0]

    @property
    def title(self) -> str:
        return self.lines[1]

    @property
    def notice(self) -> str:
        return self.lines[-2].strip()

    @property
    def footer(self) -> str:
        return self.lines[-1]

    @property
    def front(self) -> PalyraScreen:
        assert self.app.front is not None
        return self.app.front

    @property
    def list(self) -> ListScreen:
        assert isinstance(self.front, ListScreen)
        return self.front

    @property
    def snapshot(self) -> Snapshot:
        assert self.app.latest is not None
        return self.app.latest

    def focus(self, identifier: str) -> None:
        """Puts the focus on a part of the open dialog."""
        self.app.screen.query_one(f"#{identifier}").focus()

    @property
    def dialog(self) -> str:
        """The class name of the open dialog, or nothing."""
        return "" if isinstance(self.app.screen, PalyraScreen) else type(self.app.screen).__name__


NAMES = {
    " ": "space",
    "/": "slash",
    ":": "colon",
    ".": "full_stop",
    "!": "exclamation_mark",
    "-": "minus",
    "_": "underscore",
    "%": "percent_sign",
    "*": "asterisk",
    "=": "equals_sign",
    "$": "dollar_sign",
    ",": "comma",
}


class QuickApp(PalyraApp):
    """Makes only the screens that a test looks at."""

    async def _mount_screens(self) -> None:
        pass


@asynccontextmanager
async def console(
    world: World,
    *,
    size: tuple[int, int] = SMALL,
    attached: bool = False,
    app_class: type[PalyraApp] = QuickApp,
    **options: Any,
) -> AsyncIterator[Desk]:
    """A console whose first snapshot is shown. Failures of its own fail the test unless it takes them away."""
    clock = ManualClock(NOW)
    control = FakeControl(world, clock, attached=attached)
    app = app_class(control, clock=clock, **options)
    async with app.run_test(size=size) as pilot:
        desk = Desk(app, pilot, control, clock)
        await desk.settle()
        yield desk
    assert not app.failures, app.failures
