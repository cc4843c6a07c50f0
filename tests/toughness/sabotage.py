"""Faults that a process under test is given before its program begins."""

import os
import signal
from typing import NoReturn

from palyra.console import Console
from palyra.healing import suspension
from palyra.runs.runner import Runner
from palyra.tui.screens.usage import UsageScreen


class SabotageError(Exception):
    """What is raised where nothing should be."""


def _fail(*_: object, **__: object) -> NoReturn:
    raise SabotageError


def one_view() -> None:
    """The Usage screen cannot be drawn."""
    UsageScreen.draw_body = _fail  # type: ignore[method-assign]


def the_console() -> None:
    """The console itself fails once it is on the screen."""
    Console.on_ready = _fail  # type: ignore[method-assign]


def killed_while_it_cancels() -> None:
    """The engine is gone at the very moment in which it would stop a run; how slow the machine is makes no difference
    to when that is."""

    def stop(self: Runner, run_id: str, reason: str, by: str) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    Runner.stop = stop  # type: ignore[method-assign]
    suspension.QUIET_MS = 0
