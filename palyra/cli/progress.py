"""How long work shows itself on a terminal: a bar with its rate and the time left, and Esc to end it."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from palyra.core.clock import Clock
from palyra.core.durations import format_duration

WIDTH = 30
ESCAPE = b"\x1b"
_CLEAR = "\r\x1b[K"


class ProgressBar:
    """One line of standard error while it is a terminal; nothing else. Without a unit no rate is told."""

    def __init__(self, what: str, unit: str, clock: Clock) -> None:
        self._what = what
        self._unit = unit
        self._clock = clock
        self.shown = sys.stderr.isatty()
        self._began = clock.monotonic()

    def show(self, done: int, total: int) -> None:
        """Draws how much is done, where a terminal shows it."""
        if self.shown:
            sys.stderr.write(_CLEAR + self.line(done, total))
            sys.stderr.flush()

    def line(self, done: int, total: int) -> str:
        """`replaying ███░░░  43 %  210,000 events/s  3s left`"""
        share = min(1.0, done / total) if total else 0.0
        full = int(share * WIDTH)
        text = f"{self._what} {'█' * full}{'░' * (WIDTH - full)} {share:4.0%}"
        passed = self._clock.monotonic() - self._began
        if done and passed > 0:
            rate = done / passed
            if self._unit:
                text += f"  {rate:,.0f} {self._unit}/s"
            text += f"  {format_duration(int((total - done) / rate * 1000))} left"
        return text

    def clear(self) -> None:
        """Takes the bar away."""
        if self.shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()


@contextmanager
def escapable(on_escape: Callable[[], object]) -> Iterator[None]:
    """While inside, Esc on a terminal's keyboard calls back. Keys that begin with Esc do not count."""
    keyboard = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    if keyboard is None or not sys.stderr.isatty():
        yield
        return
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        # What other keys send goes on after its Esc.
        if os.read(keyboard, 64).endswith(ESCAPE):
            on_escape()

    loop = asyncio.get_running_loop()
    try:
        tty.setcbreak(keyboard)
        loop.add_reader(keyboard, pressed)
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
