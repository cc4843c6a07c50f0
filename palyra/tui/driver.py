"""The terminal driver: Textual's own for Linux, but a terminal that is slow, stalled or gone never holds up the loop.

Textual queues thirty writes and then blocks its event loop, which is also the engine's. Here frames are dropped while
the terminal is behind and everything is painted once when it has caught up; leaving takes a bounded time; a terminal
that has gone is reported as a message instead of being read for ever.
"""

import contextlib
import os
import re
import select
import sys
import termios
from codecs import getincrementaldecoder
from collections.abc import Callable
from types import FrameType
from typing import IO, Any

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from palyra.core.half_characters import LONE_SURROGATE
from palyra.tui.picture import Picture
from palyra.tui.terminal_answers import TerminalAnswers
from palyra.tui.terminal_writer import TerminalWriter, WriterStats, open_terminal

READ_BYTES = 4 * 1024
READ_WAIT_MS = 100
"""How often the reader looks whether it should end, and whether an escape key stands alone."""

MOST_CELLS = 4096
"""A terminal that says it is wider or higher is not believed: the picture of it would take all memory."""

_MODES = re.compile(r"(?:\x1b\[[?<>=][\d;]*\$?[a-zA-Z])+")
"""Switches the terminal has to get in any case: alternate screen, mouse, cursor, keyboard protocol, queries."""

_RESTORATION = (
    b"\x18\x1b\\\x1b[?2026l\x1b[0m"
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?2004l\x1b[?2048l\x1b[?7h"
    b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
"""Ends what may have been cut in the middle (a sequence, a string, an update, colours), then undoes every mode."""


class PalyraDriver(LinuxDriver):
    """Pass it as `driver_class` to the app."""

    class TerminalGone(events.Event):
        """The terminal was closed: nobody sees the screen any more and no key will come."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.picture = Picture()
        self._output = _terminal_file()
        self._writer: TerminalWriter | None = None
        self._stats = WriterStats()
        self._raw_attributes: list[Any] | None = None
        self._in_update = False
        self._muted = False
        self._told_gone = False

    @property
    def stats(self) -> WriterStats:
        """Frames painted and dropped, full repaints after a stall, bytes written."""
        return self._stats if self._writer is None else self._writer.stats

    def mute(self) -> None:
        """Paints nothing any more; the terminal is still restored at the end."""
        self._muted = True

    def hear_mouse(self, wanted: bool) -> None:
        """Has the terminal tell of the mouse, or not."""
        if wanted == self._mouse:
            return
        if not wanted:
            self._disable_mouse_support()
        self._mouse = wanted
        self._enable_mouse_support()
        if self._mouse_pixels:
            self._enable_mouse_pixels()

    def repaint(self) -> None:
        """Paints everything anew, whatever the terminal is thought to show."""
        self.picture.forget()
        self._app.refresh()

    def process_message(self, message: Message) -> None:
        if isinstance(message, events.Resize):
            if not (0 < message.size.width <= MOST_CELLS and 0 < message.size.height <= MOST_CELLS):
                return
            self.picture.forget()
        if isinstance(message, events.Key) and LONE_SURROGATE.match(message.character or ""):
            return
        super().process_message(message)

    def write(self, data: str) -> None:
        """Takes what is to be written and returns at once."""
        if self._writer is None:
            return
        if data == SYNC_START:
            self._in_update = True
        elif data == SYNC_END:
            self._in_update = False
        elif _MODES.fullmatch(data):
            self._writer.put_modes(data.encode())
        elif not self._muted:
            # One piece, so that an update is never begun without being ended.
            whole = f"{SYNC_START}{data}{SYNC_END}" if self._in_update else data
            self._writer.put_frame(whole.encode("utf-8", "replace"))

    def start_application_mode(self) -> None:
        if self._writer is None:
            self._writer = TerminalWriter(
                open_terminal(self._output.fileno()),
                restoration=_RESTORATION,
                on_drained=self._on_drained,
                on_gone=self._on_gone,
                stats=self._stats,
            )
            self._writer.start()
        self.picture.forget()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        with contextlib.suppress(termios.error):
            self._raw_attributes = termios.tcgetattr(self.fileno)

    def close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            self._stats = writer.stats
        super().close()

    def restore_now(self) -> None:
        """Gives the terminal back without waiting for anything, before a process ends hard."""
        if self._writer is not None:
            self._writer.halt()
        if self.attrs_before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        with contextlib.suppress(OSError):
            descriptor = open_terminal(self._output.fileno())
            with contextlib.suppress(termios.error):
                termios.tcflush(descriptor, termios.TCOFLUSH)
            if not os.get_blocking(descriptor):
                os.write(descriptor, _RESTORATION)

    def run_input_thread(self) -> None:
        """Reads keys and mouse until told to end, or until the terminal has gone."""
        parser = XTermParser(self._debug)
        answers = TerminalAnswers()
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        poller = select.poll()
        poller.register(self.fileno, select.POLLIN)
        while not self.exit_event.is_set():
            if poller.poll(READ_WAIT_MS):
                data = self._read()
                if not data:
                    self._on_gone()
                    break
                text = answers.without(decode(data))
            else:
                text = answers.idle()
            try:
                heard = [*(parser.feed(text) if text else ()), *parser.tick()]
            except Exception:  # a sequence that Textual fails to read must not be the last thing anybody can type
                parser = XTermParser(self._debug)
                continue
            for message in heard:
                self.process_message(message)
        with contextlib.suppress(EOFError, ParseError):
            list(parser.feed(""))

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, READ_BYTES)
        except OSError:
            return b""

    def _get_terminal_size(self) -> tuple[int, int]:
        # Asked for whenever the terminal changes its size, and then it may have moved what it shows.
        self.picture.forget()
        return super()._get_terminal_size()

    def _on_drained(self) -> None:
        self._tell(self._catch_up)

    def _on_gone(self) -> None:
        if self.input_tty and not self._told_gone:
            self._told_gone = True
            self._tell(self._app.post_message, self.TerminalGone())

    def _tell(self, callback: Callable[..., object], *arguments: object) -> None:
        """Calls the app in its own turn, from any thread; does nothing when its loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._app.call_later, callback, *arguments)

    def _catch_up(self) -> None:
        if self._writer is not None:
            self._writer.take_frames_again()
            self.repaint()

    def _sigcont_application(self, *arguments: int | FrameType | None) -> None:
        if self._writer is None:
            super()._sigcont_application(*arguments)
            return
        # Stopped by SIGSTOP, which cannot be caught: whoever had the terminal meanwhile changed its modes and its text.
        if self._raw_attributes is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self._raw_attributes)
        self._tell(self.repaint)


def _terminal_file() -> IO[str]:
    """Where the screen goes: standard error as Textual has it, standard output where the former was redirected."""
    error, output = sys.__stderr__, sys.__stdout__
    assert error is not None
    return output if output is not None and output.isatty() and not error.isatty() else error
