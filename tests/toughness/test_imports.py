"""The command line and everything below the screen come up without Textual."""

import subprocess
import sys

import pytest

WITHOUT_SCREEN = """
import importlib, pkgutil, sys, palyra
for found in pkgutil.walk_packages(palyra.__path__, "palyra."):
    if not found.name.startswith(("palyra.tui", "palyra.console", "palyra.demo")):
        importlib.import_module(found.name)
assert "palyra.gateway.server" in sys.modules
print(sorted(name for name in sys.modules if name.split(".")[0] == "textual"))
"""

COMMAND = """
import sys
from palyra.main import cli
sys.argv = ["palyra", *sys.argv[1:]]
try:
    cli()
except SystemExit as end:
    assert not end.code, end.code
print(sorted(name for name in sys.modules if name.split(".")[0] == "textual"))
"""


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_everything_below_the_screen_comes_up_without_textual() -> None:
    assert run(WITHOUT_SCREEN) == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"]], ids=" ".join)
def test_commands_come_up_without_textual(arguments: list[str]) -> None:
    assert run(COMMAND, *arguments) == "[]"


def test_the_screen_would_be_noticed() -> None:
    assert run(WITHOUT_SCREEN.replace('("palyra.tui", ', '("palyra.nothing", ')) != "[]"


SCREEN = """
import sys
from palyra.opening import console
import palyra.console
rooms = ("engine", "house", "gateway", "runs", "providers", "pricing", "scheduler", "tasks", "healing")
loaded = [name for name in sys.modules if name.split(".")[0] in ("aiohttp", "httpx", "cryptography", "genai_prices")]
print(sorted([*loaded, *(room for room in rooms if f"palyra.{room}" in sys.modules)]))
"""


def test_the_screen_comes_up_before_the_engine_is_loaded() -> None:
    assert run(SCREEN) == "[]"
