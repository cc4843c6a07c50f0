"""What every benchmark is to its command: a name, its sizes as options, and one function that measures.

`python -m benchmarks.NAME` measures one and prints its table; `python -m benchmarks` runs these commands one by one.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmarks.measured import Beside, Found, Measured
from benchmarks.parties import Shared, put_ahead
from benchmarks.table import lines

Size = TypeVar("Size")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where state lies: `directory` on a disk, `memory` where nothing is written to one. `cache` is where journals that
    take long to make are kept for the next time."""

    directory: Path
    memory: Path
    cache: Path


@dataclass(frozen=True, slots=True)
class Benchmark(Generic[Size]):
    """`size` and `quick` are frozen dataclasses of `option` fields: a whole measurement, and a look. `prepare` makes
    what is kept in the cache."""

    name: str
    about: str
    size: Size
    quick: Size
    measure: Callable[[Setting, Size], Found]
    prepare: Callable[[Setting, Size], object] | None = None

    @property
    def command(self) -> str:
        return f"python -m benchmarks.{self.name}"


def option(default: Any, what: str) -> Any:
    """A field of a size that its command has an option for."""
    return field(default=default, metadata={"what": what})


def shared_options(options: argparse.ArgumentParser) -> None:
    """Those of every command, the one for all included."""
    memory = Path("/dev/shm")
    temporary = Path(tempfile.gettempdir())
    options.add_argument("--quick", action="store_true", help="smaller sizes, for a look")
    options.add_argument("--ahead", action="store_true", help="before other work of this machine (a right of root's)")
    options.add_argument("--prepare", action="store_true", help="make the journals that are kept, measure nothing")
    options.add_argument(
        "--directory", type=Path, default=temporary, metavar="D", help="where state lies on a disk (%(default)s)"
    )
    options.add_argument(
        "--memory",
        type=Path,
        default=memory if memory.is_dir() else temporary,
        metavar="D",
        help="where state lies in memory (%(default)s)",
    )
    options.add_argument(
        "--cache",
        type=Path,
        default=temporary / "palyra-benchmarks",
        metavar="D",
        help="where journals that take long to make are kept (%(default)s)",
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="where every number goes")


def parser(benchmark: Benchmark[Any]) -> argparse.ArgumentParser:
    """The options of one benchmark's command."""
    options = argparse.ArgumentParser(
        prog=benchmark.command, description=benchmark.about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared_options(options)
    for one in fields(benchmark.size):
        usual = getattr(benchmark.size, one.name)
        name, what = f"--{one.name.replace('_', '-')}", str(one.metadata["what"]).replace("%", "%%")
        if isinstance(usual, tuple):
            options.add_argument(name, action="append", metavar="TEXT", help=f"{what}; repeatable")
        elif isinstance(usual, bool):
            options.add_argument(name, action="store_const", const=True, help=what)
        else:
            kind = type(usual)
            told = f" ({usual:,})" if kind in (int, float) else f" ({usual})" if usual else ""
            options.add_argument(name, type=kind, metavar="TEXT" if kind is str else "N", help=what + told)
    return options


def size_of(benchmark: Benchmark[Size], chosen: argparse.Namespace) -> Size:
    """What was asked for: the sizes of a look or a whole measurement, but for those given."""
    usual = benchmark.quick if chosen.quick else benchmark.size
    given = {one.name: getattr(chosen, one.name) for one in fields(benchmark.size)}  # type: ignore[arg-type]
    asked = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return replace(usual, **{name: value for name, value in asked.items() if value is not None})  # type: ignore[type-var]


def run(benchmark: Benchmark[Any], arguments: Sequence[str] | None = None) -> None:
    """The command of one benchmark."""
    chosen = parser(benchmark).parse_args(arguments)
    size = size_of(benchmark, chosen)
    setting = Setting(chosen.directory, chosen.memory, chosen.cache)
    if chosen.ahead:
        put_ahead()
    if chosen.prepare:
        prepare(benchmark, setting, size)
        return
    others, begun = Shared(), time.monotonic()
    found = benchmark.measure(setting, size)
    took, by_others = time.monotonic() - begun, others.by_others()
    for line in (*found.details, *lines((*found.rows, *found.more)), *found.notes):
        print(line)
    print(f"Took {took:.0f} s; other work had {by_others:.0%} of this machine meanwhile.")
    if chosen.json is not None:
        told = {"command": benchmark.command, "size": asdict(size), "took_s": took, "others_share": by_others}
        chosen.json.write_text(json.dumps({**told, **asdict(found)}, indent=1) + "\n")


def prepare(benchmark: Benchmark[Size], setting: Setting, size: Size) -> None:
    if benchmark.prepare is None:
        return
    begun = time.monotonic()
    setting.cache.mkdir(parents=True, exist_ok=True)
    benchmark.prepare(setting, size)
    free = shutil.disk_usage(setting.cache).free / 1e9
    print(f"{benchmark.name}: made or found in {time.monotonic() - begun:.0f} s; {free:.0f} GB of that disk are free.")


def rows_in(told: dict[str, Any]) -> tuple[Measured, ...]:
    """The rows of a command's JSON."""
    return tuple(Measured(**{**row, "beside": tuple(Beside(**one) for one in row["beside"])}) for row in told["rows"])


def say(text: str) -> None:
    """What goes on, beside the table."""
    sys.stderr.write(f"{text} …\n")
