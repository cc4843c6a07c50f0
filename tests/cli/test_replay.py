"""`palyra replay`, without an engine; the bar it draws; Esc."""

import asyncio
import os
import pty
from pathlib import Path

import pytest

from palyra.cli.progress import ProgressBar, escapable
from palyra.control.replay_worker import EMPTY
from palyra.core.clock import ManualClock
from tests.cli.test_commands import Shell, shell

__all__ = ["shell"]


def written(directory: Path, text: str) -> str:
    path = directory / "tried.toml"
    path.write_text(text)
    return str(path)


CLOSED = '[[budgets]]\npolicy_id = "closed"\nmetric_kind = "requests"\nhard_limit = 1\ninterval_kind = "lifetime"\n'


def test_policies_are_tried_on_what_was_recorded(shell: Shell, tmp_path: Path) -> None:
    for words in ("one", "two", "three"):
        shell("run", words)
    as_it_was = shell.json("replay")
    assert (as_it_was["requests"], as_it_was["differences"], as_it_was["denied_after"]) == (3, 0, 0)
    assert (as_it_was["saved_nano_usd"], as_it_was["saved_usd"]) == (0, "0.00")
    path = written(tmp_path, CLOSED)
    tried = shell.json("replay", "--policies", path)
    assert (tried["requests"], tried["differences"], tried["denied_before"], tried["denied_after"]) == (3, 2, 0, 2)
    first = tried["policies"][0]
    assert (first["policy_id"], first["refused"], first["added"]) == ("closed", 2, True)
    assert len(first["first_day"]) == len("2026-11-22")
    assert [item["after"] for item in tried["examples"]] == ["blocked", "blocked"]
    said = shell("replay", "--policies", path)
    assert "3 requests from" in said
    assert "2 would have gone another way" in said
    assert "Budget closed would reach 2 requests of 1 request." in said
    alone = shell.json("replay", "--policies", path, "--only", "--since", "2026-01-01", "--until", "2999-01-01")
    assert [one["policy_id"] for one in alone["policies"]] == ["closed"]
    nothing = shell.json("replay", "--policies", path, "--since", "2999-01-01")
    assert (nothing["requests"], nothing["policies"], nothing["notes"][0]) == (0, [], EMPTY)
    assert shell.json("replay", "--since", "1h", "--until", "1h")["requests"] == 0
    assert shell.json("replay", "--since", "9999999d")["requests"] == 3


def test_leaving_out_a_budget_that_never_was_is_no_answer(shell: Shell) -> None:
    shell("run", "one")
    said = shell("replay", "--without", "hose", code=2)
    assert "No budget 'hose' was in force until then. Name one of 'house'." in said


def test_what_cannot_be_tried_is_told_whole(shell: Shell, tmp_path: Path) -> None:
    shell("run", "one")
    bad = written(tmp_path, '[[budgets]]\npolicy_id = "x"\nhard_limit = -1\ntimezone = "Prague"\n')
    said = shell("replay", "--policies", bad, code=2)
    assert "has 2 problems" in said
    assert "budgets[0].hard_limit" in said
    assert "Europe/Prague" in said
    absent = str(tmp_path / "absent.toml")
    both = shell("replay", "--policies", bad, "--prices", absent, code=2)
    assert ("has 2 problems" in both, f"{absent} cannot be read" in both) == (True, True)
    assert "no [[pricing]]" in shell("replay", "--prices", written(tmp_path, "version = 1\n"), code=2)
    assert "cannot be read" in shell("replay", "--policies", absent, code=2)
    assert "--since" in shell("replay", "--since", "soon", code=2)


def test_the_bar_tells_rate_and_time_left() -> None:
    clock = ManualClock()
    bar = ProgressBar("replaying", "events", clock)
    clock.tick(2)
    assert bar.line(0, 0) == f"replaying {'░' * 30}   0%"
    assert bar.line(300, 1200) == f"replaying {'█' * 7}{'░' * 23}  25%  150 events/s  6s left"
    assert bar.line(1200, 1200).startswith(f"replaying {'█' * 30} 100%")


async def test_escape_is_heard_and_arrow_keys_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    read = asyncio.Event()
    times = 0
    really_read = os.read

    def reading(file: int, octets: int) -> bytes:
        read.set()
        return really_read(file, octets)

    def escaped() -> None:
        nonlocal times
        times += 1

    with os.fdopen(theirs, "r+b", buffering=0) as terminal, os.fdopen(ours, "r+b", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setattr("palyra.cli.progress.os.read", reading)
        with escapable(escaped):
            for keys in (b"\x1b[A", b"x", b"\x1b"):
                assert times == 0
                keyboard.write(keys)
                await read.wait()
                read.clear()
        assert times == 1
