"""What a stream costs on its way: how much later each chunk arrives, and the processor time of the engine for it.

`python -m benchmarks.streaming` reads 200 streams of 50 chunks a second at once, each round anew: from the mock
provider alone, through a pass-through of the same libraries that knows nothing of budgets, through one that makes a row
durable for each request first, through `palyra serve` on the same wire, translated (a messages client on a chat model),
and through `palyra-tui` with its Runs screen open.
Each chunk says when the provider sent it, so what is counted is the way of every single chunk once all streams run. The
engine has one core, provider and readers share the other. Rounds take turns in both directions; of all rounds each
number is the median, what is added is a difference within one round. On a machine that does other work too, delays are
those of that work: a core that somebody else has for 10 ms delivers nothing meanwhile. The last line says how much of
the machine others had; `--ahead` puts everything measured before them, where the system allows it. Chunks that are late
arrive together, and cost the less processor time each.

Another gateway is measured side by side, in the same rounds, through what is an adapter for any: an address that takes
chat completions, started by you (`--other-url`, and `--upstream-port` so that its configuration can name the mock as
its provider, `http://127.0.0.1:PORT/v1`) or by the benchmark (`--other-command`, pinned to the engine's core). In both
texts `{port}` is a free port and `{upstream}` the mock's address. For example:

    python -m benchmarks.streaming --upstream-port 4900 \\
      --other-command "litellm --port {port} --config litellm.yaml" \\
      --other-url "http://127.0.0.1:{port}/v1/chat/completions" \\
      --other-model gpt-4o-mini --other-header "authorization: Bearer sk-1234"

Its processor time is counted where it is started here, or with `--other-pid`. One that cannot carry so many streams at
once is measured over the whole time they take; `--streams` asks for fewer.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.gateway import FLOOR, FLOOR_KEPT, directories
from benchmarks.measured import Found, Measured, Numbers, Rounds
from benchmarks.parties import Cores, Target, free_port, headless, passing, pinned, two_cores, upstream, wait_until
from benchmarks.streaming_load import Streamed
from benchmarks.streaming_upstream import PER_SECOND
from benchmarks.terminal import RUNS_SCREEN, console

GOAL_P99_MS = 20.0
TOGETHER = 1.5
"""Chunks read at once, on average; with more of them the processor time of each is no more what it is."""
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(3, "how often")
    streams: int = option(200, "at once")
    seconds: int = option(3, "of each stream")
    upstream_port: int = option(0, "of the mock provider, 0: a free one")
    other_url: str = option("", "of another gateway's chat completions")
    other_model: str = option("gpt-4o-mini", "asked of it")
    other_header: tuple[str, ...] = option((), "sent to it")
    other_command: str = option("", "starts it")
    other_pid: int = option(0, "whose processor time is its own")

    @property
    def chunks(self) -> int:
        """Of each stream."""
        return self.seconds * PER_SECOND

    @property
    def wanted(self) -> int:
        """Chunks a second of all streams."""
        return self.streams * PER_SECOND


QUICK = Size(rounds=1, streams=50, seconds=2)


def read(core: int, url: str, model: str, size: Size, pid: int, headers: Sequence[str] = ()) -> Streamed:
    """Reads streams in a process of its own. Raises RuntimeError when some did not end well."""
    numbers = [str(size.streams), str(size.chunks), str(pid)]
    done = subprocess.run(
        pinned(core, "-m", "benchmarks.streaming_load", url, model, *numbers, *headers),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = Streamed(**json.loads(done.stdout))
    if found.failed or found.missing:
        raise RuntimeError(f"{url}: {found.failed} streams failed, {found.missing} chunks are missing")
    return found


def named(prefix: str, found: Streamed) -> Numbers:
    return {
        f"{prefix}_per_second": found.per_second,
        f"{prefix}_first_ms": found.first_ms,
        f"{prefix}_p50_ms": found.p50_ms,
        f"{prefix}_p99_ms": found.p99_ms,
        f"{prefix}_longest_ms": found.longest_ms,
        f"{prefix}_cpu_us": found.cpu_us,
        f"{prefix}_together": found.together,
        f"{prefix}_at_once": float(found.at_once),
    }


@contextmanager
def running(size: Size, core: int, upstream_url: str) -> Iterator[tuple[str, int]]:
    """The other gateway once it takes connections: its address, and the process that counts."""
    port = free_port()
    url = size.other_url.format(port=port, upstream=upstream_url)
    if not size.other_command:
        yield url, size.other_pid
        return
    words = shlex.split(size.other_command.format(port=port, upstream=upstream_url))
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    try:
        wait_until(lambda: _listens(port))
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Round:
    """Every measurement once, state in a directory of this round's."""

    def __init__(self, size: Size, cores: Cores, directory: Path) -> None:
        self._size = size
        self._cores = cores
        self._directory = directory
        self.numbers: Numbers = {}

    def play(self, *, backwards: bool) -> Numbers:
        parties = [self._mock, self._floor, self._floor_kept, self._serve, self._screen]
        if self._size.other_url:
            parties.append(self._other)
        port = self._size.upstream_port
        with upstream(self._directory, self._cores.others, "benchmarks.streaming_upstream", port) as mock:
            for party in reversed(parties) if backwards else parties:
                party(mock)
        return with_ratios(self.numbers)

    def _mock(self, mock: Target) -> None:
        say("the mock alone")
        self._read(mock, "mock", CHAT)

    def _floor(self, mock: Target) -> None:
        say("through a pass-through")
        with passing(self._directory / "floor", mock.port, self._cores.engine) as target:
            self._read(target, "floor", CHAT)

    def _floor_kept(self, mock: Target) -> None:
        say("through one that makes a row durable first")
        directory = self._directory / "kept"
        with passing(directory, mock.port, self._cores.engine, directory) as target:
            self._read(target, "kept", CHAT)

    def _serve(self, mock: Target) -> None:
        say("through palyra serve, on the same wire and translated")
        with headless(self._directory / "serve", mock.port, self._cores.engine) as target:
            self._read(target, "serve", CHAT)
            self._read(target, "translated", MESSAGES)

    def _screen(self, mock: Target) -> None:
        say("through palyra-tui, Runs screen")
        with console(self._directory / "tui", mock.port, self._cores.engine) as screen:
            screen.press(RUNS_SCREEN)
            self._read(screen.target, "screen", CHAT)

    def _other(self, mock: Target) -> None:
        say("through the other gateway")
        size = self._size
        with running(size, self._cores.engine, f"http://127.0.0.1:{mock.port}/v1") as (url, pid):
            found = read(self._cores.others, url, size.other_model, size, pid, size.other_header)
        self.numbers |= named("other", found)

    def _read(self, target: Target, prefix: str, path: str) -> None:
        url, key = f"http://127.0.0.1:{target.port}{path}", [f"authorization: Bearer {target.key}"]
        self.numbers |= named(prefix, read(self._cores.others, url, target.model, self._size, target.pid, key))


OURS = {"serve": "", "translated": "translated: ", "screen": "Runs screen open: "}
PARTIES = {**OURS, "floor": "a pass-through: ", "kept": "a committing pass-through: ", "other": "the other: "}
"""What rows begin with."""


def with_ratios(numbers: Numbers) -> Numbers:
    added = {
        f"{prefix}_added_{part}_ms": numbers[f"{prefix}_{part}_ms"] - numbers[f"mock_{part}_ms"]
        for prefix in PARTIES
        for part in ("p50", "p99")
        if f"{prefix}_p99_ms" in numbers
    }
    return {**numbers, **added}


def rows(found: Rounds, size: Size) -> Iterator[Measured]:
    """Of every way that is ours, and of the other gateway if there is one."""
    row = found.row
    streams = f"{size.streams} streams of {PER_SECOND} chunks a second: "
    for prefix, name in PARTIES.items():
        if prefix not in (*OURS, "other") or f"{prefix}_p99_ms" not in found.all[0]:
            continue

        def beside(what: str) -> dict[str, str]:
            return {FLOOR: f"floor_{what}", FLOOR_KEPT: f"kept_{what}"}

        goal, one_core = (GOAL_P99_MS, 1e6 / size.wanted) if prefix in OURS else (None, None)
        p99, cpu = "added_p99_ms", "cpu_us"
        said = f"{streams or name}added to each chunk, p99"
        yield row(said, f"{prefix}_{p99}", "ms", most=goal, beside=beside(p99))
        if found.median(f"{prefix}_{cpu}"):
            yield row(
                f"{name}processor time for each chunk", f"{prefix}_{cpu}", "µs", most=one_core, beside=beside(cpu)
            )
        streams = ""


def more(found: Rounds) -> Iterator[Measured]:
    for prefix, name in {"mock": "the mock alone: ", **PARTIES}.items():
        if f"{prefix}_p99_ms" in found.all[0]:
            name = name or "palyra serve: "
            yield found.row(f"{name}a chunk on its way, p50", f"{prefix}_p50_ms", "ms")
            yield found.row(f"{name}a chunk on its way, p99", f"{prefix}_p99_ms", "ms")


def notes(found: Rounds) -> Iterator[str]:
    """What makes numbers worth less than they look."""
    together = max(found.median(f"{prefix}_together") for prefix in OURS)
    if together > TOGETHER:
        yield f"Chunks were late and came {together:.1f} together, so that each cost less than one that comes alone."


def details(found: Rounds) -> Iterator[str]:
    """What else is known of each way."""
    for prefix, name in {"mock": "the mock alone: ", **PARTIES}.items():
        if f"{prefix}_p99_ms" in found.all[0]:
            first, longest, together = (
                found.median(f"{prefix}_{what}") for what in ("first_ms", "longest_ms", "together")
            )
            yield (
                f"{name or 'palyra serve: '}until the first chunk, all streams beginning at once {first:.0f} ms,"
                f" longest on its way {longest:.1f} ms, chunks that arrive together {together:.2f}"
                + ("" if found.median(f"{prefix}_at_once") else ", never all streams at once")
            )


def measure(setting: Setting, size: Size) -> Found:
    cores = two_cores()
    rounds = []
    for place in range(size.rounds):
        with directories(setting) as (memory, _):
            rounds.append(Round(size, cores, memory).play(backwards=place % 2 == 1))
    found = Rounds(rounds)
    return Found(tuple(rows(found, size)), found.all, tuple(notes(found)), tuple(more(found)), tuple(details(found)))


BENCHMARK = Benchmark("streaming", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
