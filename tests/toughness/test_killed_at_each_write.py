"""An engine that is killed before or after any write of one fire, or of one task: the next brings it to one end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.process import ENVIRONMENT


def lives(kind: str, root: Path) -> list[dict[str, Any]]:
    """What each came to: one that nothing happened to, those that were killed before and after each write, and the one
    that had ended before there was a write of that number."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.toughness.writes", kind, str(root)],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [life["killed"] for life in found] == [False, *[True] * (len(found) - 2), False]
    return found


def settled(life: dict[str, Any]) -> None:
    """One end, one effect, nothing held, and the books fit."""
    assert (life["ledger"], life["held"]) == (0, 0), life
    assert life["charged"] == life["usage"], life
    ended = [state for state, _ in life["runs"]]
    assert set(ended) <= {"completed", "failed"}, life
    assert all(reason == "interrupted" for state, reason in life["runs"] if state == "failed"), life


def fired_once(life: dict[str, Any]) -> None:
    settled(life)
    ((state, attempts),) = life["fires"]
    assert (state, attempts) == ("completed", len(life["runs"]) or 1), life
    assert [state for state, _ in life["runs"]].count("completed") == 1, life


def done_once(life: dict[str, Any]) -> None:
    settled(life)
    if not life["tasks"]:
        assert not life["told"], life
        assert not life["runs"], life
        return
    ((state, _),) = life["tasks"]
    assert state == "completed", life
    assert [state for state, _ in life["runs"]].count("completed") == 1, life
    assert life["answers"] == 1, life


def test_a_fire_ends_once(tmp_path: Path) -> None:
    found = lives("fire", tmp_path)
    assert len(found) >= 2 + 6, "each of: planned, begun, ended"
    for life in found:
        fired_once(life)
    assert any(len(life["runs"]) == 2 for life in found)


def test_a_task_ends_once(tmp_path: Path) -> None:
    found = lives("task", tmp_path)
    assert len(found) >= 2 + 8, "each of: added, claimed, begun, ended"
    for life in found:
        done_once(life)
    assert any(len(life["runs"]) == 2 for life in found)
    assert not found[1]["tasks"]
