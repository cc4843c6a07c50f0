"""`palyra serve` and the mock upstream as processes of their own, to be killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PALYRA_", "OPENAI_", "ANTHROPIC_")) and name not in ("NO_COLOR", "COLORTERM")
} | {"LC_ALL": "C.UTF-8"}


@dataclass
class Served:
    """A running `palyra serve`."""

    process: subprocess.Popen[str]
    gateway_url: str
    socket: str
    pid: int
    key: str
    state_dir: Path

    def kill(self) -> None:
        """As hard as it gets: no handler runs."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._close_pipes()

    def stop(self) -> int:
        """Asks it to end in order and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self._close_pipes()
        return code

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def serve(state_dir: Path, config: Path | None = None) -> Served:
    """Starts an engine on a free port and returns once its gateway answers."""
    ready = state_dir.parent / f"{state_dir.name}.ready.json"
    ready.unlink(missing_ok=True)
    arguments = ["serve", "--state-dir", str(state_dir), "--bind", "127.0.0.1:0", "--ready-file", str(ready)]
    if config is not None:
        arguments += ["--config", str(config)]
    process = subprocess.Popen(
        [sys.executable, "-m", "palyra.entry", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(f"palyra serve did not start: {process.stderr.read()}")
    facts = json.loads(ready.read_text())
    key = Path(facts["key_file"]).read_text().strip()
    return Served(process, facts["gateway_url"], facts["socket"], facts["pid"], key, state_dir)


def palyra(
    *arguments: str, state_dir: Path, config: Path | None = None, typed: str | None = None
) -> tuple[int, Any, str]:
    """Runs a command with --json; returns its exit code, what it printed as data, and its complaints. `typed` is what
    it reads."""
    places = ["--state-dir", str(state_dir), *(["--config", str(config)] if config is not None else [])]
    done = subprocess.run(
        [sys.executable, "-m", "palyra.entry", *arguments, *places, "--json"],
        capture_output=True,
        text=True,
        input=typed,
        env=ENVIRONMENT,
        timeout=120,
        check=False,
    )
    try:
        data = json.loads(done.stdout)
    except ValueError:
        data = None
    return done.returncode, data, done.stderr


@contextmanager
def upstream_process() -> Iterator[str]:
    """The mock upstream in a process of its own; yields its base address."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.upstream", f"/dev/fd/{write_end}"],
        pass_fds=(write_end,),
        cwd=Path(__file__).resolve().parents[2],
    )
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        address = pipe.readline().strip()
    try:
        yield address
    finally:
        process.kill()
        process.wait()
