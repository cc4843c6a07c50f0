"""What a stream costs on its way: how much later each chunk arrives, and the processor time of the engine for it.

`python -m benchmarks.streaming` reads 200 streams of 50 chunks a second at once, each round anew: from the mock
provider alone, through `palyra serve` on the same wire, and through it translated (a messages client on a chat model).
Each chunk says when the provider sent it, so what is counted is the way of every single chunk once all streams run. The
engine has one core, provider and readers share the other. Of all rounds each number is the median; what is added is a
difference within one round. On a machine that does other work too, delays are those of that work: a core that somebody
else has for 10 ms delivers nothing meanwhile. The table says how much of both cores others had; `--ahead` puts
everything measured before them, where the system allows it. Chunks that are late arrive together, and cost the less
processor time each.

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

import argparse
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parties import Cores, Shared, free_port, headless, pinned, put_ahead, two_cores, upstream, wait_until
from benchmarks.streaming_load import Streamed
from benchmarks.streaming_upstream import PER_SECOND

Numbers = dict[str, float]

STREAMS = 200
SECONDS = 6
GOAL_P99_MS = 20.0
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@dataclass(frozen=True, slots=True)
class Size:
    """How many streams at once, of how many chunks."""

    streams: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Other:
    """Another gateway. `command` starts it, empty where it runs already."""

    url: str
    model: str
    headers: tuple[str, ...]
    command: str
    pid: int


def load(core: int, url: str, model: str, size: Size, pid: int, headers: Sequence[str] = ()) -> Streamed:
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
def running(other: Other, core: int, upstream_url: str) -> Iterator[Other]:
    """The other gateway, once it takes connections."""
    port = free_port()
    url = other.url.format(port=port, upstream=upstream_url)
    if not other.command:
        yield Other(url, other.model, other.headers, "", other.pid)
        return
    words = shlex.split(other.command.format(port=port, upstream=upstream_url))
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    try:
        wait_until(lambda: _listens(port))
        yield Other(url, other.model, other.headers, "", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def one_round(directory: Path, cores: Cores, size: Size, other: Other | None, upstream_port: int) -> Numbers:
    """Every measurement once, with differences and ratios within it."""
    numbers: Numbers = {}
    shared = Shared(cores)
    with upstream(directory, cores.others, "benchmarks.streaming_upstream", upstream_port) as mock:
        base = f"http://127.0.0.1:{mock.port}"
        numbers |= named("mock", load(cores.others, base + CHAT, "gpt-4o-mini", size, mock.pid))
        with headless(directory / "serve", mock.port, cores.engine) as served:
            for prefix, path in (("serve", CHAT), ("translated", MESSAGES)):
                url = f"http://127.0.0.1:{served.port}{path}"
                key = [f"authorization: Bearer {served.key}"]
                numbers |= named(prefix, load(cores.others, url, served.model, size, served.pid, key))
        if other is not None:
            with running(other, cores.engine, f"{base}/v1") as there:
                found = load(cores.others, there.url, there.model, size, there.pid, there.headers)
                numbers |= named("other", found)
    for prefix in ("serve", "translated", "other"):
        if f"{prefix}_p99_ms" in numbers:
            for share in ("p50", "p99"):
                numbers[f"{prefix}_added_{share}_ms"] = numbers[f"{prefix}_{share}_ms"] - numbers[f"mock_{share}_ms"]
            numbers[f"{prefix}_cpu_ratio"] = numbers[f"{prefix}_cpu_us"] / numbers["mock_cpu_us"]
    numbers["others_share"] = shared.by_others()
    return numbers


def told(numbers: Numbers, size: Size) -> list[tuple[str, str, str]]:
    """Rows of the table: what, the number, the goal."""
    wanted = size.streams * PER_SECOND
    share = f"<= {1e6 / wanted:,.0f} µs (one core)"
    rows = [
        (f"streams at once, {PER_SECOND} chunks/s each", f"{size.streams}", ">= 200"),
        ("mock alone, chunks", f"{numbers['mock_per_second']:,.0f} /s", f"{wanted:,} /s"),
        ("  on their way, p50", f"{numbers['mock_p50_ms']:.2f} ms", ""),
        ("  on their way, p99", f"{numbers['mock_p99_ms']:.2f} ms", ""),
        ("  processor time of the mock for each", f"{numbers['mock_cpu_us']:.1f} µs", ""),
    ]
    for prefix, name in (("serve", "palyra serve"), ("translated", "palyra serve, translated"), ("other", "the other")):
        if f"{prefix}_p99_ms" not in numbers:
            continue
        goal = f"<= {GOAL_P99_MS:g} ms"
        rows += [
            (f"{name}, chunks", f"{numbers[f'{prefix}_per_second']:,.0f} /s", f"{wanted:,} /s"),
            *([] if numbers[f"{prefix}_at_once"] else [("  all streams at once", "never", "")]),
            ("  until the first one, all streams beginning at once", f"{numbers[f'{prefix}_first_ms']:.0f} ms", ""),
            ("  added to each, p50", f"{numbers[f'{prefix}_added_p50_ms']:.2f} ms", ""),
            ("  added to each, p99", f"{numbers[f'{prefix}_added_p99_ms']:.2f} ms", goal),
            ("  longest on its way", f"{numbers[f'{prefix}_longest_ms']:.2f} ms", ""),
            ("  chunks that arrive together", f"{numbers[f'{prefix}_together']:.2f}", ""),
        ]
        if numbers[f"{prefix}_cpu_us"]:
            rows += [
                ("  its processor time for each", f"{numbers[f'{prefix}_cpu_us']:.1f} µs", share),
                ("  the same as a ratio to the mock's", f"{numbers[f'{prefix}_cpu_ratio']:.1f}", ""),
            ]
    return rows


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3, metavar="N", help="how often (3)")
    options.add_argument("--streams", type=int, default=STREAMS, metavar="N", help=f"at once ({STREAMS})")
    options.add_argument("--seconds", type=int, default=SECONDS, metavar="N", help=f"of each stream ({SECONDS})")
    options.add_argument("--directory", type=Path, metavar="D", help="where state lies (the temporary directory)")
    options.add_argument("--json", type=Path, metavar="FILE", help="where every number goes")
    options.add_argument("--ahead", action="store_true", help="before other work of this machine (a right of root's)")
    options.add_argument("--upstream-port", type=int, default=0, metavar="N", help="of the mock provider (a free one)")
    options.add_argument("--other-url", default="", metavar="URL", help="of another gateway's chat completions")
    options.add_argument("--other-model", default="gpt-4o-mini", metavar="NAME", help="asked of it (gpt-4o-mini)")
    options.add_argument("--other-header", action="append", default=[], metavar="LINE", help="sent to it; repeatable")
    options.add_argument("--other-command", default="", metavar="TEXT", help="starts it")
    options.add_argument("--other-pid", type=int, default=0, metavar="PID", help="whose processor time is its own")
    chosen = options.parse_args()
    other = None
    if chosen.other_url:
        headers = tuple(chosen.other_header)
        other = Other(chosen.other_url, chosen.other_model, headers, chosen.other_command, chosen.other_pid)
    cores = two_cores()
    if chosen.ahead:
        put_ahead()
    size = Size(chosen.streams, chosen.seconds * PER_SECOND)
    rounds: list[Numbers] = []
    for number in range(chosen.rounds):
        sys.stderr.write(f"round {number + 1} of {chosen.rounds} …\n")
        with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=chosen.directory) as directory:
            rounds.append(one_round(Path(directory), cores, size, other, chosen.upstream_port))
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    for what, number_told, goal in told(medians, size):
        print(f"{what:<56}{number_told:>14}   {goal}".rstrip())
    whose = "what was measured went before it" if chosen.ahead else "delays are partly its own"
    print(f"Of both cores, other work had {medians['others_share']:.0%}; {whose}.")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"median": medians, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
