"""Rules of the house that no type checker knows."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "palyra").rglob("*.py"))
LONGEST = 500

BELOW_THE_SCREEN = (
    "palyra.core.safe_text",
    "palyra.journal.journal",
    "palyra.config.load",
    "palyra.vault.access",
    "palyra.pricing.book",
    "palyra.providers.registry",
    "palyra.governance.routing",
    "palyra.runs.runner",
    "palyra.engine",
    "palyra.control.local",
    "palyra.control.remote",
    "palyra.gateway.server",
    "palyra.house",
    "palyra.cli.app",
    "palyra.main",
)


def test_nothing_below_the_screen_loads_textual() -> None:
    program = f"import sys, {', '.join(BELOW_THE_SCREEN)}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


CLOCKS = {("time", name) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")} | {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("asyncio", "timeout"),
    ("asyncio", "wait_for"),
}


def calls(path: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Every `a.b(…)` of a file as (a, b, call)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            yield name, node.func.attr, node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_reads_no_clock_and_is_not_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
    if path.name == "clock.py":
        return
    for owner, name, call in calls(path):
        assert (owner, name) not in CLOCKS, f"{path}:{call.lineno} reads time beside the clock"
        if (owner, name) == ("asyncio", "sleep"):
            turn = call.args[0]
            assert isinstance(turn, ast.Constant), f"{path}:{call.lineno} sleeps beside the clock"
            assert turn.value == 0, f"{path}:{call.lineno} sleeps beside the clock"
