"""An engine that is killed at any statement of letting old runs go: each run is whole or gone, and no budget without an
end has forgotten anything."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.process import ENVIRONMENT


def test_what_old_runs_used_is_told_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.toughness.folds", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    before, *killed, whole = [json.loads(line) for line in done.stdout.splitlines()]
    runs = before["left"]["runs"]
    assert (whole["killed"], whole["left"]["runs"], whole["folded"]) == (False, 1, [[runs - 1]])
    assert len(killed) >= 20
    assert all(death["killed"] for death in killed)
    for death in (*killed, whole):
        assert death["ledger"] == 0, death
        assert death["counted"] == before["counted"], death
        (left,) = set(death["left"].values())
        gone = runs - left
        assert death["holds"] == gone, death
        assert death["folded"] == ([[gone]] if gone else []), death
    assert len({death["left"]["runs"] for death in killed}) > 1
