"""Every benchmark, in the order in which all are run."""

from importlib import import_module
from typing import Any

from benchmarks.command import Benchmark

NAMES = (
    "gateway",
    "streaming",
    "ledger",
    "journal",
    "streams",
    "replay",
    "usage",
    "lateness",
    "healing",
    "tasks",
    "recovery",
    "console",
    "doctor",
    "notes",
)


def benchmark(name: str) -> Benchmark[Any]:
    """That of the module of this name."""
    found = import_module(f"benchmarks.{name}").BENCHMARK
    assert isinstance(found, Benchmark)
    return found
