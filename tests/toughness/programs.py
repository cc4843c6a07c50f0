"""The real programs, driven from outside: engines that serve, and one-shot commands."""

import json
import os
import select
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.support.process import ENVIRONMENT
from tests.toughness.nursery import Child, Nursery

FAILED_AFTER_SECONDS = 60
"""Only for failing instead of hanging: everything waited for is an event of another process."""


class Engine:
    """`palyra serve`, from its start to its end."""

    def __init__(self, child: Child, output: int, errors: IO[bytes], ready_file: Path) -> None:
        self.child = child
        self._output = output
        self._errors = errors
        self._ready_file = ready_file
        self.gateway_url = ""
        self.key = ""

    @property
    def pid(self) -> int:
        return self.child.pid

    def ready(self) -> "Engine":
        """Waits until its gateway answers. Raises AssertionError with its complaints if it never will."""
        line = read_line(self._output)
        if not line:
            raise AssertionError(f"palyra serve ended with {self.child.wait()}: {self.complaints()}")
        facts = json.loads(self._ready_file.read_text())
        assert facts["pid"] == self.pid
        self.gateway_url = facts["gateway_url"]
        self.key = Path(facts["key_file"]).read_text().strip()
        return self

    def kill(self) -> None:
        """As hard as it gets: no handler runs."""
        self.child.send(signal.SIGKILL)
        assert self.child.wait() == -signal.SIGKILL
        self.close()

    def stop(self) -> int:
        """Asks it to end in order. Returns its exit code."""
        self.child.send(signal.SIGTERM)
        code = self.child.wait()
        self.close()
        return code

    def complaints(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def close(self) -> None:
        os.close(self._output)
        self._errors.close()


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    errors: str

    @property
    def data(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.output)


@dataclass
class Installation:
    """A state directory with a configuration, and the programs run on them."""

    nursery: Nursery
    state_dir: Path
    config: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)

    @property
    def places(self) -> list[str]:
        return ["--state-dir", str(self.state_dir), *(["--config", str(self.config)] if self.config else [])]

    def serve(self, *arguments: str) -> Engine:
        """Starts an engine and does not wait for it."""
        ready_file = self.state_dir.with_suffix(".ready.json")
        ready_file.unlink(missing_ok=True)
        output, theirs = os.pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 the engine keeps it
        if "--bind" not in arguments:
            arguments = (*arguments, "--bind", "127.0.0.1:0")
        argv = ["serve", *self.places, "--ready-file", str(ready_file), *arguments]
        with open(os.devnull) as nothing:
            child = self.nursery.start(
                "palyra", argv, (nothing.fileno(), theirs, errors.fileno()), environ=self.environ
            )
        os.close(theirs)
        return Engine(child, output, errors, ready_file)

    def run(self, *arguments: str) -> Done:
        """Runs a command to its end."""
        with open(os.devnull) as nothing, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            streams = (nothing.fileno(), output.fileno(), errors.fileno())
            child = self.nursery.start("palyra", [*arguments, *self.places], streams, environ=self.environ)
            code = child.wait()
            output.seek(0)
            errors.seek(0)
            return Done(code, output.read().decode(), errors.read().decode())


def read_line(descriptor: int) -> bytes:
    """One line; empty when nobody is left to write one."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], FAILED_AFTER_SECONDS)
        assert ready, "a program stays silent"
        character = os.read(descriptor, 1)
        if not character:
            break
        line += character
    return line
