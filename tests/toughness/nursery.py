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
import signal
import socket
import subprocess
import sys
import termios
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
MESSAGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Child:
    """A program started by a nursery."""

    pid: int
    nursery: "Nursery"

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code once it has ended; minus the signal's number if one killed it."""
        return self.nursery.wait(self.pid)


class Nursery:
    """The test's end. One request at a time."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.toughness.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
        theirs.close()
        self.ended: dict[int, int] = {}

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        streams: tuple[int, int, int],
        *,
        environ: Mapping[str, str],
        terminal: bool = False,
    ) -> Child:
        """Starts `palyra` or `palyra-tui` with these descriptors as its standard streams.

        `terminal`: in a session of its own, with standard input as its controlling terminal.
        """
        request = {"do": program, "arguments": list(arguments), "environ": dict(environ), "terminal": terminal}
        socket.send_fds(self._ours, [json.dumps(request).encode()], list(streams))
        return Child(int(self._ours.recv(MESSAGE_BYTES)), self)

    def wait(self, pid: int) -> int:
        if pid not in self.ended:
            self._ours.send(json.dumps({"do": "wait", "pid": pid}).encode())
            self.ended[pid] = int(self._ours.recv(MESSAGE_BYTES))
        return self.ended[pid]

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
        if request["do"] == "wait":
            _, status = os.waitpid(request["pid"], 0)
            children.discard(request["pid"])
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
    program = str(request["do"])
    sys.argv = [program, *arguments]
    from palyra.main import cli, console

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
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# What the programs would import only when they come to need it.
LATER = ("palyra.console", "palyra.main", "httpcore", "anyio._backends._asyncio", "email.utils", "textual.css.parse")

if __name__ == "__main__":
    for name in LATER:
        importlib.import_module(name)
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
