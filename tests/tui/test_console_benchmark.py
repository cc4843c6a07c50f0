"""The parts of the console's benchmark that can be wrong without a console."""

import asyncio

import pytest

from benchmarks import loop_turns
from benchmarks.console_keys import at_once
from benchmarks.console_start import live, painted, ready
from benchmarks.loop_turns import Turn, Watched, longest
from benchmarks.parties import Target
from benchmarks.terminal import Screen, shown


def test_what_a_screen_showed_is_told_piece_by_piece() -> None:
    pieces = [(3.0, b"\x1b[1;1Hstarting"), (3.5, b"\x1b[2;1H Triage"), (4.0, b"\x1b[24;1H? keys\x1b[1;1Hready today")]
    assert [lines[0].rstrip() for _, lines in shown(pieces, (80, 24))] == ["starting", "starting", "ready today"]
    screen = Screen(Target(0, "", "", 0), -1, (80, 24), begun=1.0, pieces=pieces)
    assert [screen.first(condition) for condition in (painted, live, ready)] == [3.0, 3.0, 3.0]
    with pytest.raises(RuntimeError):
        screen.first(lambda lines: "gone" in lines[0])


def test_bytes_of_a_key_end_with_the_first_pause() -> None:
    assert at_once([]) == 0
    assert at_once([(1.0, b"abc"), (1.01, b"de"), (1.2, b"later")]) == 5


def test_turns_of_a_loop_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_turns, "LEAST_S", 0.0)
    monkeypatch.setattr(Watched, "turns", [], raising=False)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Watched())) as runner:
        runner.run(asyncio.sleep(0))
    assert Watched.turns
    assert all(turn.took >= 0 <= turn.worked for turn in Watched.turns)


def test_the_longest_turn_is_one_that_touched_the_time_asked_for() -> None:
    turns = [Turn(0.0, 5.0, 5.0), Turn(6.0, 1.0, 0.5), Turn(9.0, 2.0, 2.0)]
    assert longest(turns, 6.5, 8.0) == turns[1]
    assert longest(turns, 4.0, 8.0) == turns[0]
    assert longest(turns, 20.0, 21.0).took == 0.0
