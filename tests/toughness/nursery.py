"""Starts the real programs in processes of their own, without paying for their imports each time.

As a program (`python -m tests.toughness.nursery FD`) it imports everything once and forks a child for each request
that comes through the socket FD; the child is the program from then on: its own arguments, environment, streams,
session and terminal. When the socket closes, children that are left are killed.
"""

import atexit
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
MESSAGE_BYTES = 256 * 1024
UNFLUSHED = 120
"""The exit code of an interpreter that could not write what was left in a standard stream's buffer."""

FAILED_AFTER_SECONDS = 60
"""Only for failing instead of hanging: everything waited for is an event of another process."""


class Child:
    """A program started by a nursery."""

    def __init__(self, pid: int, nursery: "Nursery") -> None:
        self.pid = pid
        self._nursery = nursery
        self._handle = os.pidfd_open(pid)
        self.code: int | None = None
        """Its exit code once it is known to have ended; minus the signal's number if one killed it."""

    def send(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self._handle, number)

    def wait(self) -> int:
        """Returns its exit code once it has ended."""
        if self.code is None:
            ended, _, _ = select.select([self._handle], [], [], FAILED_AFTER_SECONDS)
            assert ended, f"process {self.pid} does not end"
            os.close(self._handle)
            self.code = self._nursery.code_of(self.pid)
        return self.code

    def end(self) -> None:
        """Ends it, if it has not ended by itself."""
        if self.code is None:
            self.send(signal.SIGKILL)
            self.wait()


class Nursery:
    """The test's end of the line."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.toughness.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
        theirs.close()
        self._line = threading.Lock()

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        streams: tuple[int, int, int],
        *,
        environ: Mapping[str, str],
        terminal: bool = False,
        before: str = "",
    ) -> Child:
        """Starts `palyra` or `palyra-tui` with these descriptors as its standard streams.

        `terminal`: in a session of its own, with standard input as its controlling terminal. `before` names what the
        process does first, as `module:function`.
        """
        request = {
            "program": program,
            "arguments": list(arguments),
            "environ": dict(environ),
            "terminal": terminal,
            "before": before,
        }
        with self._line:
            socket.send_fds(self._ours, [json.dumps(request).encode()], list(streams))
            return Child(int(self._ours.recv(MESSAGE_BYTES)), self)

    def code_of(self, pid: int) -> int:
        """The exit code of a child that has ended."""
        with self._line:
            self._ours.send(json.dumps({"ended": pid}).encode())
            return int(self._ours.recv(MESSAGE_BYTES))

    def close(self) -> None:
        self._ours.close()
        self._process.wait()


def serve(line: socket.socket) -> None:
    """Returns when the socket closes; in a child never."""
    children: set[int] = set()
    while True:
        data, descriptors, _, _ = socket.recv_fds(line, MESSAGE_BYTES, 3)
        if not data:
            break
        request = json.loads(data)
        if ended := request.get("ended"):
            _, status = os.waitpid(ended, 0)
            children.discard(ended)
            line.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if not pid:
            line.close()
            become(request, descriptors)
        children.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        line.send(str(pid).encode())
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def become(request: dict[str, object], descriptors: Sequence[int]) -> NoReturn:
    """Makes this process look as if a shell had started the program, and runs it to its end. Exits."""
    if request["terminal"]:
        os.setsid()
        fcntl.ioctl(descriptors[0], termios.TIOCSCTTY, 0)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    environ, arguments = request["environ"], request["arguments"]
    assert isinstance(environ, dict)
    assert isinstance(arguments, list)
    os.environ.update(environ)
    program, before = str(request["program"]), str(request["before"])
    sys.argv = [program, *arguments]
    if before:
        module, _, function = before.partition(":")
        getattr(importlib.import_module(module), function)()
    from palyra.entry import cli, console

    code = 0
    try:
        (console if program == "palyra-tui" else cli)()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    # As the interpreter ends a process, but for taking its heap apart, which takes longer than most commands.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = UNFLUSHED
    os._exit(code)


# What the programs would import only when they come to need it.
LATER = (
    "palyra.console",
    "palyra.hosting",
    "palyra.main",
    "httpcore",
    "anyio._backends._asyncio",
    "email.utils",
    "textual.css.parse",
)

if __name__ == "__main__":
    for name in LATER:
        importlib.import_module(name)
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
