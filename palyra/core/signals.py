"""SIGTERM, SIGINT and SIGHUP all end in the same orderly way; who insists is obeyed at once."""

import asyncio
import os
import signal
from collections.abc import Callable

from palyra.core.clock import Clock, Timer

PATIENCE_SECONDS = 3.0
"""How long past the engine's own draining time an orderly end may take."""

HARD_EXIT_CODE = 130


def die_of_interrupts() -> None:
    """Until `hear_interrupts` Ctrl+C ends the process at once, as it ends programs that know nothing of it. One that
    was told to ignore it goes on ignoring it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def hear_interrupts() -> None:
    """From here on Ctrl+C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class StopSignals:
    """Turns the first signal into an orderly end, and a second one, or one that takes too long, into a hard one.

    `on_stop` is called for SIGTERM and SIGINT, `on_hangup` for SIGHUP, when painting makes no sense any more; neither
    may block. Without `on_hangup` the process outlives its terminal. SIGHUP again is no insistence: shells and the
    kernel both send it when a terminal closes. `drain_seconds` is asked once the end begins. A hard end first calls
    `last_words`, which must not wait for anything, and then ends the process with exit code 130.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_stop: Callable[[], None],
        on_hangup: Callable[[], None] | None,
        drain_seconds: Callable[[], float],
        last_words: Callable[[], None] = lambda: None,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self._clock = clock
        self._on_stop = on_stop
        self._on_hangup = on_hangup
        self._drain_seconds = drain_seconds
        self._last_words = last_words
        self._end = end
        self._deadline: Timer | None = None
        self._stopping = False

    def install(self) -> None:
        """Listens on the running loop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_demand)
        loop.add_signal_handler(signal.SIGINT, self._on_demand)
        loop.add_signal_handler(signal.SIGHUP, self._on_lost_terminal)

    def remove(self) -> None:
        """Gives the signals back and forgets the deadline: the orderly end has come."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        if self._deadline is not None:
            self._deadline.cancel()

    def stopping(self) -> None:
        """The end has begun by itself: the first signal from now on insists, and so does time."""
        if not self._stopping:
            self._begin()

    def _on_demand(self) -> None:
        if self._stopping:
            self._end_hard()
        else:
            self._begin()
            self._on_stop()

    def _on_lost_terminal(self) -> None:
        if self._on_hangup is not None and not self._stopping:
            self._begin()
            self._on_hangup()

    def _begin(self) -> None:
        self._stopping = True
        self._deadline = self._clock.call_later(self._drain_seconds() + PATIENCE_SECONDS, self._end_hard)

    def _end_hard(self) -> None:
        try:
            self._last_words()
        finally:
            self._end(HARD_EXIT_CODE)
