"""Faults that a process under test is given before its program begins."""

from typing import NoReturn

from palyra.console import Console
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
