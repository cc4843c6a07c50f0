"""An engine that is killed before or after any write of one fire, or of one task: the next brings it to one end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.process import ENVIRONMENT


def deaths(kind: str, root: Path) -> list[dict[str, Any]]:
    """What each came to; the first is a life that nothing happened to."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.toughness.writes", kind, str(root)],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def settled(death: dict[str, Any]) -> None:
    """One end, one effect, nothing held, and the books fit."""
    assert death["killed"] is (death["place"] > 0), death
    assert (death["ledger"], death["held"]) == (0, 0), death
    assert death["charged"] == death["usage"], death
    ended = [state for state, _ in death["runs"]]
    assert set(ended) <= {"completed", "failed"}, death
    assert all(reason == "interrupted" for state, reason in death["runs"] if state == "failed"), death


def fired_once(death: dict[str, Any]) -> None:
    settled(death)
    ((state, attempts),) = death["fires"]
    assert (state, attempts) == ("completed", len(death["runs"]) or 1), death
    assert [state for state, _ in death["runs"]].count("completed") == 1, death


def done_once(death: dict[str, Any]) -> None:
    settled(death)
    if not death["tasks"]:
        assert not death["told"], death
        assert not death["runs"], death
        return
    ((state, _),) = death["tasks"]
    assert state == "completed", death
    assert [state for state, _ in death["runs"]].count("completed") == 1, death
    assert death["answers"] == 1, death


def test_a_fire_ends_once(tmp_path: Path) -> None:
    whole, *found = deaths("fire", tmp_path)
    fired_once(whole)
    assert len(found) == 2 * whole["commits"] >= 6
    for death in found:
        fired_once(death)
    assert any(len(death["runs"]) == 2 for death in found)


def test_a_task_ends_once(tmp_path: Path) -> None:
    whole, *found = deaths("task", tmp_path)
    done_once(whole)
    assert len(found) == 2 * whole["commits"] >= 8
    for death in found:
        done_once(death)
    assert any(len(death["runs"]) == 2 for death in found)
    assert not found[0]["tasks"]
