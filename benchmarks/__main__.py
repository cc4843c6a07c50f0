"""Everything that is measured, in one go and one table.

`python -m benchmarks` runs the command of each benchmark in a process of its own, one after another, and prints what
was measured, how much it is now (the median of some rounds, with the least and the most of them), the goal, whether it
is met, and the ratio to what was measured beside it or else to the goal. It is met or missed "not always" where rounds
do not agree. On a machine that does nothing else it takes eleven minutes once the journals that are kept are there;
`--prepare` makes these.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine, table
from benchmarks.command import rows_in, shared_options
from benchmarks.parties import Shared
from benchmarks.registry import NAMES
from palyra.core.clock import SystemClock

COMMAND = "python -m benchmarks"
BUSY = 0.05
"""With more other work than that, times are also those of that work."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the command of one benchmark wrote; `failed` is why it wrote nothing."""

    name: str
    found: dict[str, Any]
    failed: str = ""

    @property
    def command(self) -> str:
        return f"{COMMAND}.{self.name}"


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared_options(options)
    options.add_argument("--only", type=names, default=NAMES, metavar="A,B", help=f"some of {', '.join(NAMES)}")
    options.add_argument("--markdown", action="store_true", help="a table for a page")
    return options


def names(text: str) -> tuple[str, ...]:
    """In the order in which all are run. Raises ArgumentTypeError."""
    asked = {name.strip() for name in text.split(",")}
    if unknown := sorted(asked - set(NAMES)):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in asked)


def passed_on(chosen: argparse.Namespace) -> list[str]:
    """What each command is given of the options."""
    flags = [f"--{name}" for name in ("quick", "ahead", "prepare") if getattr(chosen, name)]
    places = [f"--{name}={getattr(chosen, name)}" for name in ("directory", "memory", "cache")]
    return [*flags, *places]


def run_one(name: str, given: Sequence[str]) -> Told:
    """Its progress goes to standard error as it comes; what it prints is not shown."""
    sys.stderr.write(f"{COMMAND}.{name}\n")
    with tempfile.TemporaryDirectory(prefix="palyra-bench-") as directory:
        file = Path(directory) / "found.json"
        words = [sys.executable, "-m", f"benchmarks.{name}", *given, f"--json={file}"]
        done = subprocess.run(words, stdout=subprocess.DEVNULL, check=False)
        if done.returncode or not file.exists():
            return Told(name, {}, f"ended with {done.returncode}")
        return Told(name, json.loads(file.read_text()))


def head(command: str, quick: bool, took: float, by_others: float) -> Iterator[tuple[str, str]]:
    yield from machine.lines(SystemClock(), command)
    busy = f", more than {BUSY:.0%}: not a quiet machine" if by_others > BUSY else ""
    yield "Took", f"{took / 60:.1f} minutes, while other work had {by_others:.0%} of the machine{busy}"
    if quick:
        yield "Sizes", "smaller ones, for a look: none of these numbers is to be kept"


def as_text(about: Sequence[tuple[str, str]], all_told: Sequence[Told]) -> Iterator[str]:
    for name, text in about:
        yield f"{name + ':':<10}{text}"
    for told in all_told:
        yield ""
        if told.failed:
            yield f"{told.command}: not measured, it {told.failed}"
            continue
        yield f"{told.command} ({told.found['took_s']:.0f} s)"
        yield from table.lines(rows_in(told.found))
        yield from (f"  {note}" for note in told.found["notes"])


def as_markdown(about: Sequence[tuple[str, str]], all_told: Sequence[Told]) -> Iterator[str]:
    for name, text in about:
        yield f"- {name}: {f'`{text}`' if name == 'Command' else text}"
    yield ""
    yield from table.markdown_head()
    for told in all_told:
        if told.failed:
            yield f"| `{told.command}` | not measured | it {told.failed} | | | |"
        else:
            yield from table.markdown(told.command, rows_in(told.found))
    said = [note for told in all_told if not told.failed for note in told.found["notes"]]
    if said:
        yield ""
        yield " ".join(said)


def main(arguments: Sequence[str]) -> int:
    """0, or 1 where something was not measured."""
    chosen = parser().parse_args(arguments)
    given = passed_on(chosen)
    if chosen.prepare:
        done = [
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *given], check=False) for name in chosen.only
        ]
        return int(any(one.returncode for one in done))
    others, begun = Shared(), time.monotonic()
    all_told = [run_one(name, given) for name in chosen.only]
    command = shlex.join([*COMMAND.split(), *arguments])
    about = list(head(command, chosen.quick, time.monotonic() - begun, others.by_others()))
    for line in (as_markdown if chosen.markdown else as_text)(about, all_told):
        print(line)
    if chosen.json is not None:
        everything = {"about": dict(about), "benchmarks": {told.name: told.found for told in all_told}}
        chosen.json.write_text(json.dumps(everything, indent=1) + "\n")
    return int(any(told.failed for told in all_told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
