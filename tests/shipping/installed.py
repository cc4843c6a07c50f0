"""Palyra installed from its wheel, and its programs run where nothing knows of the checkout."""

import json
import os
import pty
import socket
import subprocess
import sys
import sysconfig
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

WIDTH, HEIGHT = 120, 40
AT_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Installed:
    """The wheel in a virtual environment that borrows its dependencies, and a home of its own."""

    def __init__(self, root: Path, wheel: Path) -> None:
        self.venv, self.home, self.elsewhere = root / "venv", root / "home", root / "elsewhere"
        self.home.mkdir()
        self.elsewhere.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.venv)], check=True)
        (packages,) = self.venv.glob("lib/python*/site-packages")
        (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        install = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.venv),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
        ]
        subprocess.run([*install, "--disable-pip-version-check", str(wheel)], check=True)
        self.environ = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color"}

    def program(self, name: str) -> str:
        return str(self.venv / "bin" / name)

    def palyra(self, *words: str) -> str:
        """What a command prints; it has to end well."""
        done = subprocess.run(
            [self.program("palyra"), *words],
            cwd=self.elsewhere,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[dict[str, str]]:
        """The facts of a ready `palyra serve`, which has to end well too, and to tell a service manager of both."""
        ready = self.home / "ready.json"
        command = [self.program("palyra"), "serve", "--bind", "127.0.0.1:0", "--ready-file", str(ready)]
        told = self.home / "notices"
        environ = {**self.environ, "NOTIFY_SOCKET": str(told)}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(told))
            with subprocess.Popen(
                command, cwd=self.elsewhere, env=environ, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                assert "palyra serves" in process.stdout.readline()
                facts = json.loads(ready.read_text())
                assert manager.recv(4096) == f"READY=1\nSTATUS=serving {facts['gateway_url']}".encode()
                yield facts
                process.terminate()
                process.stdout.read()
            assert process.returncode == 0
            assert manager.recv(4096).startswith(b"STOPPING=1")

    def at_a_terminal(self, *command: str, until: str, keys: str) -> None:
        """Runs a program on a terminal until it shows something, then presses keys, after which it ends well."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (HEIGHT, WIDTH))
        screen = pyte.Screen(WIDTH, HEIGHT)
        stream = pyte.ByteStream(screen)
        process = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL, self.program(command[0]), *command[1:]],
            cwd=self.elsewhere,
            env=self.environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = False
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            stream.feed(data)
            if not shown and any(until in line for line in screen.display):
                shown = True
                os.write(ours, keys.encode())
        os.close(ours)
        assert process.wait() == 0, "\n".join(screen.display)
        assert shown, "\n".join(screen.display)
