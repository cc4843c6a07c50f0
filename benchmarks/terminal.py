"""`palyra-tui` on a pseudo terminal: what it wrote when, and what that looked like."""

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyte

from benchmarks.parties import MODEL, Target, installation, ready

SIZE = (120, 40)
LEAST = (80, 24)
"""The smallest terminal that the console works on."""
PROGRAM = "from palyra.entry import console; console()"
RUNS_SCREEN = "5"
ACT_SECONDS = 2.0
"""A key this often keeps the console at its faster rate of 4 snapshots a second."""

Piece = tuple[float, bytes]
"""What was read at once, and when (monotonic seconds)."""


@dataclass(slots=True)
class Screen:
    """A console on a pseudo terminal that a thread reads. Bytes the console has written so far, and each piece of them.

    `begun`: when its process was started, monotonic seconds.
    """

    target: Target
    master: int
    size: tuple[int, int]
    begun: float
    octets: int = 0
    pieces: list[Piece] = field(default_factory=list)

    def press(self, keys: str) -> float:
        """Returns when (monotonic seconds)."""
        now = time.monotonic()
        os.write(self.master, keys.encode())
        return now

    def drain(self) -> None:
        with suppress(OSError):
            while data := os.read(self.master, 1 << 16):
                self.pieces.append((time.monotonic(), data))
                self.octets += len(data)

    def quiet(self, seconds: float, most: float = 10.0) -> None:
        """Waits until nothing was written for so long, or for the most."""
        give_up = time.monotonic() + most
        while time.monotonic() < give_up:
            last = self.pieces[-1][0] if self.pieces else self.begun
            left = last + seconds - time.monotonic()
            if left <= 0:
                return
            time.sleep(left)

    def first(self, condition: Callable[[Sequence[str]], bool]) -> float:
        """Seconds from the start of the process until the lines of the screen first met that. Raises RuntimeError."""
        for at, lines in shown(self.pieces, self.size):
            if condition(lines):
                return at - self.begun
        raise RuntimeError("the screen never showed it")


def shown(pieces: Sequence[Piece], size: tuple[int, int]) -> Iterator[tuple[float, Sequence[str]]]:
    """The lines of a terminal after each piece."""
    screen = pyte.Screen(*size)
    stream = pyte.ByteStream(screen)
    for at, data in list(pieces):
        stream.feed(data)
        yield at, screen.display


@contextmanager
def console(
    directory: Path,
    upstream_port: int,
    core: int,
    more: str = "",
    *,
    size: tuple[int, int] = SIZE,
    program: str = PROGRAM,
    journal: Path | None = None,
) -> Iterator[Screen]:
    """`palyra-tui` with its engine in the same process, once its gateway answers; `journal` is what it finds there."""
    port, places = installation(directory, upstream_port, more)
    if journal is not None:
        (directory / "state").mkdir(mode=0o700)
        shutil.copy(journal, directory / "state")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *places],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=environment(),
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    os.close(slave)
    screen = Screen(Target(port, "", MODEL, process.pid), master, size, begun)
    reader = threading.Thread(target=screen.drain, daemon=True)
    reader.start()
    try:
        screen.target = ready(port, directory, process.pid)
        yield screen
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        os.close(master)
        reader.join()


@contextmanager
def acting(screen: Screen) -> Iterator[None]:
    """An operator who moves the cursor all the time."""
    over = threading.Event()

    def press() -> None:
        while not over.wait(ACT_SECONDS):
            screen.press("j")

    thread = threading.Thread(target=press, daemon=True)
    screen.press("j")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def environment() -> dict[str, str]:
    """As an operator's: on a terminal with colours, and with the modules compiled, as an installation has them."""
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiled = Path(tempfile.gettempdir()) / "palyra-benchmarks" / "compiled"
    terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    return {**environ, "PYTHONPYCACHEPREFIX": str(compiled), **terminal}
