"""Ctrl+C before a program is there to hear of it."""

import signal
import subprocess
import sys

import pytest

STARTS = """
import importlib.abc, os, signal, sys

class Interrupts(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["palyra", "--help"]
from palyra.entry import {program}
{program}()
"""


def interrupted(module: str, program: str, *, ignoring: bool = False) -> subprocess.CompletedProcess[bytes]:
    """A program that gets SIGINT the moment it begins to load a module."""
    prepare = (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignoring else None
    code = STARTS.format(module=module, program=program)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, preexec_fn=prepare)


@pytest.mark.parametrize(
    ("program", "module"),
    [
        *(("cli", module) for module in ("palyra.main", "palyra.engine", "palyra.cli.usage")),
        *(("console", module) for module in ("palyra.opening", "palyra.console", "palyra.control.usage_queries")),
    ],
)
def test_ctrl_c_while_a_program_loads_ends_it_without_a_word(program: str, module: str) -> None:
    ended = interrupted(module, program)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


def test_a_program_told_to_ignore_ctrl_c_goes_on() -> None:
    ended = interrupted("palyra.main", "cli", ignoring=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"Usage" in ended.stdout
