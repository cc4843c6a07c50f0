"""`palyra-tui` on a pseudo terminal: what a person sees on it, and every byte that was sent to it."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pyte

from tests.toughness.nursery import FAILED_AFTER_SECONDS, Child
from tests.toughness.programs import Installation

WIDTH, HEIGHT = 80, 24
URL = re.compile(r"http://127\.0\.0\.1:\d+")


class Terminal:
    """The far side of it is `palyra-tui`. Nothing is read until `look` is called, and nothing after `look_away`."""

    def __init__(self, installation: Installation, *arguments: str, before: str = "") -> None:
        self.installation = installation
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        os.set_blocking(self.master, False)
        self.found = termios.tcgetattr(self.slave)
        self.left: list[Any] = []
        environ = {**installation.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environ = {name: value for name, value in environ.items() if name not in ("LINES", "COLUMNS")}
        streams = (self.slave, self.slave, self.slave)
        argv = [*installation.places, *arguments]
        start = installation.nursery.start
        self.child: Child = start("palyra-tui", argv, streams, environ=environ, terminal=True, before=before)
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self.screen)
        self.seen = bytearray()
        self._changed = asyncio.Condition()
        self._looking = False
        self._tasks: set[asyncio.Task[None]] = set()

    # Seeing.

    def look(self) -> None:
        """Reads what comes from now on."""
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().add_reader(self.master, self._read)

    def look_away(self) -> None:
        if self._looking:
            self._looking = False
            asyncio.get_running_loop().remove_reader(self.master)

    def _read(self) -> None:
        try:
            data = os.read(self.master, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.look_away()
        self.seen += data
        self._stream.feed(data)
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """What is on the screen now."""
        return "\n".join(self.screen.display)

    async def until(self, what: Callable[[], bool]) -> None:
        """Waits until that is so, looked at whenever something was painted."""
        self.look()
        try:
            async with asyncio.timeout(FAILED_AFTER_SECONDS), self._changed:
                await self._changed.wait_for(what)
        except TimeoutError:
            raise AssertionError(f"not shown:\n{self.text}") from None

    async def shows(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.text for text in texts))

    async def shows_no(self, text: str) -> None:
        await self.until(lambda: text not in self.text)

    async def ready(self) -> str:
        """Waits until the first screen tells where clients connect; returns that address."""
        await self.until(lambda: URL.search(self.text) is not None)
        found = URL.search(self.text)
        assert found is not None
        return found.group()

    def highlights(self, text: str) -> bool:
        """Whether that text is on the screen, in reverse video."""
        for number, line in enumerate(self.screen.display):
            column = line.find(text)
            if column >= 0:
                return bool(self.screen.buffer[number][column].reverse)
        return False

    def types_at(self, text: str) -> bool:
        """Whether the terminal's cursor is in the row that holds that text."""
        return text in self.screen.display[self.screen.cursor.y]

    def _close_slave(self) -> None:
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    # Doing.

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def send(self, number: signal.Signals) -> None:
        self.child.send(number)

    async def ended(self) -> int:
        """Waits for the program's end and reads what it still had to say. Returns its exit code."""
        code = await asyncio.to_thread(self.child.wait)
        self.look_away()
        if self.master >= 0:
            self.left = termios.tcgetattr(self.slave)
            self._close_slave()
            with suppress(OSError):
                while data := os.read(self.master, 65536):
                    self.seen += data
        return code

    def hang_up(self) -> None:
        """The terminal goes away, as when a connection drops."""
        self.look_away()
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        self.look_away()
        self.child.end()
        self._close_slave()
        if self.master >= 0:
            os.close(self.master)


@asynccontextmanager
async def terminal(installation: Installation, *arguments: str, before: str = "") -> AsyncIterator[Terminal]:
    opened = Terminal(installation, *arguments, before=before)
    try:
        yield opened
    finally:
        opened.close()


def modes(sent: bytes) -> dict[str, bool]:
    """How the terminal's private modes were left by what was sent: number → on."""
    left: dict[str, bool] = {}
    for numbers, verb in re.findall(rb"\x1b\[\?([\d;]+)([hl])", sent):
        left |= dict.fromkeys(numbers.decode().split(";"), verb == b"h")
    return left


ALTERNATE_SCREEN, CURSOR = "1049", "25"
TAKEN = {ALTERNATE_SCREEN, "1000", "1003", "1006", "1004", "2004"}
"""Modes that a screen takes: its own page, mouse, focus, bracketed paste."""


def assert_given_back(term: Terminal) -> None:
    """As it was found, and nothing of the screen left in the way of a shell."""
    assert term.left == term.found
    left = modes(bytes(term.seen))
    assert left[CURSOR]
    assert left.keys() >= TAKEN
    assert not [mode for mode in TAKEN if left[mode]]
