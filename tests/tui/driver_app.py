"""A small app on the driver, told what to do through a socket of its own, so that tests need not trust the terminal."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from dataclasses import asdict

from textual import events
from textual.app import App, ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from palyra.core.clock import SystemClock
from palyra.core.signals import StopSignals
from palyra.tui.compositor import TightCompositor
from palyra.tui.driver import PalyraDriver


def painted(text: str, width: int, height: int) -> list[str]:
    """What the screen shows after `paint TEXT`: other texts that end differently differ in every line."""
    return [f"{text}-{row}".ljust(width, text[-1]) for row in range(height)]


class TightScreen(Screen[None]):
    def __init__(self) -> None:
        super().__init__()
        self._compositor = TightCompositor()


class DriverApp(App[None]):
    """Commands, one a line: `paint TEXT` fills the screen, `stats` counts, `mouse on` and `mouse off` switch, `deaf`
    does not obey the first signal."""

    CSS = "Static { height: 1fr; }"

    def __init__(self, line: socket.socket) -> None:
        super().__init__(driver_class=PalyraDriver)
        self._line = line
        self._keys: list[str] = []
        self._deaf = False
        self._tasks: list[asyncio.Task[None]] = []

    def get_default_screen(self) -> Screen[None]:
        return TightScreen()

    def compose(self) -> ComposeResult:
        yield Static()

    @property
    def palyra_driver(self) -> PalyraDriver:
        assert isinstance(self._driver, PalyraDriver)
        return self._driver

    async def on_mount(self) -> None:
        StopSignals(
            SystemClock(),
            on_stop=lambda: None if self._deaf else self.exit(),
            on_hangup=self.leave_quietly,
            drain_seconds=lambda: 60.0,
            last_words=self.palyra_driver.restore_now,
        ).install()
        self._tasks.append(asyncio.create_task(self.obey()))

    def leave_quietly(self) -> None:
        self.palyra_driver.mute()
        self.exit()

    def on_palyra_driver_terminal_gone(self) -> None:
        self.leave_quietly()

    def on_key(self, event: events.Key) -> None:
        self._keys.append(event.key)
        if event.key == "q":
            self.exit()

    async def obey(self) -> None:
        reader, writer = await asyncio.open_connection(sock=self._line)

        def answer() -> None:
            told = {**asdict(self.palyra_driver.stats), "keys": self._keys}
            writer.write(json.dumps(told).encode() + b"\n")

        answer()
        while command := (await reader.readline()).decode().split():
            if command[0] == "paint":
                self.query_one(Static).update(Content("\n".join(painted(command[1], *self.size))))
                self.call_after_refresh(answer)
            elif command[0] == "stats":
                answer()
            elif command[0] == "mouse":
                self.palyra_driver.hear_mouse(command[1] == "on")
                answer()
            elif command[0] == "deaf":
                self._deaf = True
                answer()


if __name__ == "__main__":
    if "--ignore-hangup" in sys.argv:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    app = DriverApp(socket.socket(fileno=int(sys.argv[1])))
    app.run()
    with contextlib.suppress(OSError):
        os.write(2, b"left in order\r\n")
    sys.exit(app.return_code)
