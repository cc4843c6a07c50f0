"""The real programs, driven from outside: engines that serve, and one-shot commands."""

import asyncio
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
from tests.toughness.nursery import FAILED_AFTER_SECONDS, Child, Nursery


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

    def stop(self) -> int:
        """Asks it to end in order. Returns its exit code."""
        self.child.send(signal.SIGTERM)
        return self.child.wait()

    def complaints(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def close_output(self) -> None:
        """Nobody reads any more; a terminal hangs up."""
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def close(self) -> None:
        """Lets go of its streams."""
        self.close_output()
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
    engines: list[Engine] = field(default_factory=list)

    @property
    def places(self) -> list[str]:
        return ["--state-dir", str(self.state_dir), *(["--config", str(self.config)] if self.config else [])]

    def serve(self, *arguments: str, terminal: bool = False, before: str = "") -> Engine:
        """Starts an engine and does not wait for it; with `terminal`, as the foreground program of one. `before` as for
        a nursery."""
        ready_file = self.state_dir.with_suffix(".ready.json")
        ready_file.unlink(missing_ok=True)
        if "--bind" not in arguments:
            arguments = (*arguments, "--bind", "127.0.0.1:0")
        argv = ["serve", *self.places, "--ready-file", str(ready_file), *arguments]
        output, theirs = os.openpty() if terminal else os.pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 the engine keeps it
        streams = (theirs, theirs, theirs) if terminal else (theirs, theirs, errors.fileno())
        child = self.nursery.start("palyra", argv, streams, environ=self.environ, terminal=terminal, before=before)
        os.close(theirs)
        self.engines.append(Engine(child, output, errors, ready_file))
        return self.engines[-1]

    def close(self) -> None:
        """Ends what is left running."""
        for engine in self.engines:
            engine.child.end()
            engine.close()

    def run(self, *arguments: str, before: str = "") -> Done:
        """Runs a command to its end. `before` as for a nursery."""
        with open(os.devnull) as nothing, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            streams = (nothing.fileno(), output.fileno(), errors.fileno())
            argv = [*arguments, *self.places]
            child = self.nursery.start("palyra", argv, streams, environ=self.environ, before=before)
            code = child.wait()
            output.seek(0)
            errors.seek(0)
            done = Done(code, output.read().decode(), errors.read().decode())
        assert "Traceback" not in done.errors, done.errors
        return done

    async def command(self, *arguments: str, before: str = "") -> Done:
        """Runs a command to its end while the loop goes on."""
        return await asyncio.to_thread(self.run, *arguments, before=before)


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
