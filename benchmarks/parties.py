"""The processes a benchmark is made of, each pinned to its core: the mock provider, the engine without a screen, the
floor that it is measured beside, and the load."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Answered

MODEL = "mock/gpt-4o-mini"
START_SECONDS = 60.0

CONFIG = """\
version = 1

[gateway]
bind = "127.0.0.1:{gateway}"

[providers.mock]
kind = "openai_compatible"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "sk-benchmark"
pricing_provider = "openai"
discover = false
probe = false

[leases]
provider_start = 1000
provider_max = 1000
credential_start = 1000
credential_max = 1000

[[models]]
provider = "mock"
upstream = "gpt-4o-mini"

[[budgets]]
policy_id = "all-month"
hard_limit = 1_000_000

[[budgets]]
policy_id = "user-day"
scope_kind = "user"
scope_id = "*"
interval_kind = "daily"
hard_limit = 500_000
action = "approval_required"

[[budgets]]
policy_id = "key-hour"
scope_kind = "key"
scope_id = "*"
interval_kind = "rolling_24h"
metric_kind = "requests"
hard_limit = 1_000_000_000
"""
"""Three budgets that count every request and stop none."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the engine runs, and where everything else does."""

    engine: int
    others: int


def two_cores() -> Cores:
    """Raises SystemExit on a machine with one core, where nothing of this can be measured."""
    free = sorted(os.sched_getaffinity(0))
    if len(free) < 2:
        raise SystemExit("This benchmark needs two cores: one for the engine, one for the load.")
    return Cores(free[0], free[1])


def pinned(core: int, *arguments: str) -> list[str]:
    code = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.executable, sys.argv[2:])"
    return [sys.executable, "-c", code, str(core), sys.executable, *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, its threads included. Source: clock_getcpuclockid(3), as Linux makes it."""
    return time.clock_gettime(~pid << 3 | 2)


def put_ahead() -> None:
    """From now on this process and those it starts run before the machine's other work. Raises SystemExit."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except PermissionError:
        raise SystemExit("The system does not let this account run before others; leave --ahead out.") from None


class Shared:
    """How much of this machine others have, from when it is made. Processes started meanwhile count as own once they
    were waited for."""

    def __init__(self) -> None:
        self._begun = self._read()

    def _read(self) -> tuple[float, float, float]:
        own = os.times()
        return time.monotonic(), busy_seconds(), sum(own[:4])

    def by_others(self) -> float:
        """0 to 1, of all cores."""
        seconds, busy, own = (after - before for before, after in zip(self._begun, self._read(), strict=True))
        return max(0.0, busy - own) / ((os.cpu_count() or 1) * max(seconds, 1e-9))


def busy_seconds() -> float:
    """How long cores were not idle, all together. Source: proc(5), /proc/stat; user time includes that of guests."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _idle, _iowait, *others = (int(field) for field in line.split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Target:
    """Something to load: an address with its key, and the process whose work is counted."""

    port: int
    key: str
    model: str
    pid: int

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load met, and the processor time each request cost the target, in milliseconds."""

    answered: Answered
    cpu_ms: float


def load(target: Target, core: int, connections: int, requests: int, rate: float | None = None) -> Loaded:
    """Runs the load in a process of its own. Raises RuntimeError when an answer was not 200."""
    before = target.cpu_seconds()
    numbers = [str(connections), str(requests), *([] if rate is None else [str(rate)])]
    done = subprocess.run(
        pinned(core, "-m", "benchmarks.load", str(target.port), target.key, target.model, *numbers),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    answered = Answered(**json.loads(done.stdout))
    if answered.errors:
        raise RuntimeError(f"{answered.errors} of {answered.requests} requests failed")
    return Loaded(answered, (target.cpu_seconds() - before) * 1000 / requests)


@contextmanager
def upstream(directory: Path, core: int, module: str = "benchmarks.upstream", port: int = 0) -> Iterator[Target]:
    """The mock provider; one that streams may be told its port."""
    with _listening(core, module, directory / "upstream.port", *([str(port)] if port else [])) as target:
        yield target


@contextmanager
def passing(directory: Path, upstream_port: int, core: int, kept: Path | None = None) -> Iterator[Target]:
    """The floor: a pass-through; with `kept` one that keeps each request there before it passes it on."""
    directory.mkdir()
    words = [str(upstream_port), *([] if kept is None else [str(kept)])]
    with _listening(core, "benchmarks.passthrough", directory / "passthrough.port", *words) as target:
        yield target


@contextmanager
def _listening(core: int, module: str, file: Path, *words: str) -> Iterator[Target]:
    """A module in a process of its own, once it has written its port to the file; it ends with the context."""
    process = subprocess.Popen(pinned(core, "-m", module, str(file), *words))
    try:
        wait_until(lambda: file.is_file() and file.read_text() != "")
        yield Target(int(file.read_text()), "none", "gpt-4o-mini", process.pid)
    finally:
        process.kill()
        process.wait()


@contextmanager
def headless(directory: Path, upstream_port: int, core: int, more: str = "") -> Iterator[Target]:
    """`palyra serve`, with `more` in its configuration."""
    port, places = installation(directory, upstream_port, more)
    process = subprocess.Popen(pinned(core, "-m", "palyra.entry", "serve", *places), stdout=subprocess.DEVNULL)
    try:
        yield ready(port, directory, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def installation(directory: Path, upstream_port: int, more: str) -> tuple[int, list[str]]:
    """A fresh state directory with its configuration: the gateway's port and the options that name both."""
    directory.mkdir()
    port = free_port()
    config = directory / "benchmark.toml"
    config.write_text(CONFIG.format(gateway=port, upstream=upstream_port) + more)
    return port, ["--config", str(config), "--state-dir", str(directory / "state")]


def ready(port: int, directory: Path, pid: int) -> Target:
    """Waits until the gateway on that port answers. Raises RuntimeError."""
    wait_until(lambda: _answers(port))
    key = (directory / "state" / "gateway-key.txt").read_text().strip()
    return Target(port, key, MODEL, pid)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Raises RuntimeError when it has not come true by then."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise RuntimeError("a process did not start")
        time.sleep(0.05)
