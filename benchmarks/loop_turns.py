"""How long each turn of a process's loop takes: from when it has something to do until it can look for more.

A console is run with it inside (`PROGRAM`), and writes at its end what took longer than a moment.
"""

import json
import os
import selectors
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palyra.entry import console

VARIABLE = "BENCHMARK_TURNS"
PROGRAM = "from benchmarks.loop_turns import watched_console; watched_console()"
LEAST_S = 0.002
"""Shorter turns are not kept."""


@dataclass(frozen=True, slots=True)
class Turn:
    """When it began (monotonic seconds), how long it took and how much of that its thread was working, in seconds."""

    begun: float
    took: float
    worked: float


class Watched(selectors.EpollSelector):
    """What a loop waits with: it is asked at the end of each turn."""

    turns: list[Turn]
    _turn: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self._turn is not None:
            begun, worked = self._turn
            took = time.monotonic() - begun
            if took >= LEAST_S:
                self.turns.append(Turn(begun, took, time.thread_time() - worked))
        found = super().select(timeout)
        self._turn = (time.monotonic(), time.thread_time())
        return found


def watched_console() -> None:
    """`palyra-tui`; the turns go to the file that the environment names."""
    turns: list[Turn] = []
    Watched.turns = turns
    selectors.DefaultSelector = Watched  # type: ignore[misc,assignment]
    try:
        console()
    finally:
        rows = [(turn.begun, turn.took, turn.worked) for turn in turns]
        Path(os.environ[VARIABLE]).write_text(json.dumps(rows))


def turns_in(file: Path) -> list[Turn]:
    return [Turn(*row) for row in json.loads(file.read_text())]


def longest(turns: list[Turn], since: float, until: float) -> Turn:
    """The longest that ended in that time; one of no length where none was kept."""
    within = [turn for turn in turns if since <= turn.begun + turn.took and turn.begun < until]
    return max(within, key=lambda turn: turn.took, default=Turn(since, 0.0, 0.0))
