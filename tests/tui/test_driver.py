"""A terminal that is slow, stalled or gone does not hold up the loop, and is given back as it was found."""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyte
import pytest

from tests.tui.driver_app import painted

WIDTH, HEIGHT = 120, 40
FAILED_AFTER_SECONDS = 60
"""Only for failing instead of hanging: every wait below is for an event."""


class Terminal:
    """A pseudo terminal with the app on its far side. Nothing reads it until told to."""

    def __init__(self, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self.found = termios.tcgetattr(self.slave)
        ours, theirs = socket.socketpair()
        ours.settimeout(FAILED_AFTER_SECONDS)
        self._socket = ours
        self._line = ours.makefile("rw")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.driver_app", str(theirs.fileno()), *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "", "LINES": ""},
        )
        theirs.close()
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self.screen)
        self.seen = b""
        self.hear()

    def hear(self) -> dict[str, Any]:
        told = json.loads(self._line.readline())
        assert isinstance(told, dict)
        return told

    def ask(self, command: str) -> dict[str, Any]:
        self._line.write(command + "\n")
        self._line.flush()
        return self.hear()

    def read(self) -> bool:
        """Reads once what there is; False when the terminal has nothing more and nobody on its far side."""
        ready, _, _ = select.select([self.master], [], [], FAILED_AFTER_SECONDS)
        assert ready, "the terminal stays silent"
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += data
        self._stream.feed(data)
        return bool(data)

    def read_until_shown(self, text: str) -> None:
        expected = painted(text, WIDTH, HEIGHT)
        while self.screen.display != expected:
            assert self.read()

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def wait(self) -> int:
        return self.process.wait(timeout=FAILED_AFTER_SECONDS)

    def left_over(self) -> bytes:
        """Everything not yet read, after the app has ended."""
        os.close(self.slave)
        self.slave = -1
        self.seen = b""
        while self.read():
            pass
        return self.seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._line.close()
        self._socket.close()
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    opened = Terminal(*arguments)
    try:
        yield opened
    finally:
        opened.close()


def stall(term: Terminal, paints: int = 120) -> dict[str, Any]:
    """Paints much more than the terminal and the driver's queue hold, reading nothing."""
    told: dict[str, Any] = {}
    for number in range(paints):
        told = term.ask(f"paint p{number}")
    return told


def test_a_terminal_that_reads_gets_every_frame() -> None:
    with terminal() as term:
        for number in range(5):
            told = term.ask(f"paint p{number}")
            term.read_until_shown(f"p{number}")
        assert (told["dropped"], told["repaints"], told["stalled"]) == (0, 0, False)
        assert told["frames"] >= 5


def test_the_mouse_is_heard_or_not_as_told_while_it_runs() -> None:
    with terminal() as term:
        for told, modes in (("off", (b"1000l", b"1003l")), ("on", (b"1000h", b"1003h", b"1006h"))):
            term.ask("paint before")
            term.read_until_shown("before")
            term.seen = b""
            for _ in range(2):
                term.ask(f"mouse {told}")
            term.ask("paint after")
            term.read_until_shown("after")
            assert [term.seen.count(b"\x1b[?" + mode) for mode in modes] == [1] * len(modes)


def test_a_terminal_nobody_reads_does_not_stop_the_loop_and_is_painted_whole_when_read_again() -> None:
    with terminal() as term:
        told = stall(term)
        assert told["stalled"]
        assert told["dropped"] > 60
        assert told["frames"] + told["dropped"] >= 120
        term.read_until_shown("p119")
        told = term.ask("stats")
        assert (told["stalled"], told["repaints"]) == (False, 1)
        term.ask("paint again")
        term.read_until_shown("again")


def test_sigterm_ends_it_though_nobody_reads_and_the_terminal_is_given_back() -> None:
    with terminal() as term:
        stall(term)
        term.process.send_signal(signal.SIGTERM)
        assert term.wait() == 0
        assert termios.tcgetattr(term.slave) == term.found
        left = term.left_over()
        assert b"\x18\x1b\\" in left
        assert left.index(b"\x1b[?1049l") < left.index(b"left in order")
        assert b"\x1b[?25h" in left


@pytest.mark.parametrize("end", ["key", "SIGTERM", "SIGINT", "SIGHUP"])
def test_the_terminal_is_given_back_as_it_was_found(end: str) -> None:
    with terminal() as term:
        term.ask("paint p")
        term.read_until_shown("p")
        if end == "key":
            term.type(b"q")
        else:
            term.process.send_signal(getattr(signal, end))
        while b"left in order" not in term.seen:
            assert term.read()
        assert term.wait() == 0
        assert termios.tcgetattr(term.slave) == term.found
        for mode in ("1049", "25", "1000", "1003", "1006", "2004", "1004"):
            on, off = f"\x1b[?{mode}h".encode(), f"\x1b[?{mode}l".encode()
            restored, used = (on, off) if mode == "25" else (off, on)
            assert term.seen.rindex(restored) > term.seen.rindex(used)


def test_a_closed_terminal_ends_the_app() -> None:
    with terminal() as term:
        term.ask("paint p")
        os.close(term.master)
        term.master = -1
        assert term.wait() == 0


def test_a_closed_terminal_is_noticed_even_without_a_signal() -> None:
    with terminal("--ignore-hangup") as term:
        term.ask("paint p")
        os.close(term.master)
        term.master = -1
        assert term.wait() == 0


def test_a_second_signal_ends_hard_and_still_gives_the_terminal_back() -> None:
    with terminal() as term:
        term.ask("deaf")
        stall(term)
        term.process.send_signal(signal.SIGTERM)
        term.ask("stats")
        term.process.send_signal(signal.SIGTERM)
        assert term.wait() == 130
        assert termios.tcgetattr(term.slave) == term.found
        assert term.left_over().endswith(b"\x1b[?1049l\x1b[?25h\x1b[?1004l")


def test_stopped_and_continued_it_paints_anew_and_reads_each_key_once() -> None:
    with terminal() as term:
        term.ask("paint p")
        term.read_until_shown("p")
        term.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, term.process.pid, os.WSTOPPED | os.WNOWAIT)
        term.screen.reset()
        termios.tcsetattr(term.slave, termios.TCSANOW, term.found)
        term.process.send_signal(signal.SIGCONT)
        term.read_until_shown("p")
        term.type(b"xq")
        while b"left in order" not in term.seen:
            assert term.read()
        assert term.wait() == 0
        assert termios.tcgetattr(term.slave) == term.found


def test_keys_arrive_whatever_else_is_typed() -> None:
    with terminal() as term:
        term.type(b"\xff\xfeab")
        told = term.ask("stats")
        while "b" not in told["keys"]:
            told = term.ask("stats")
        assert [key for key in told["keys"] if len(key) == 1 and key.isascii()] == ["a", "b"]
