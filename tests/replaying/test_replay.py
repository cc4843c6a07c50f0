"""Requests decided again: as they were, and under policies nobody had."""

from pathlib import Path

import pytest

from palyra.governance.replay import Replay
from palyra.governance.replay_tally import Tally
from palyra.governance.replay_trial import Trial, schedule
from palyra.journal.replay_log import ReplayLog
from tests.replaying.busy import Busy


def replayed(state_dir: Path, trial: Trial | None = None) -> Tally:
    with ReplayLog.of(state_dir) as log:
        plan = schedule(log.terms(), trial or Trial(), since=1, until=log.last + 1, since_at=0, first_of=log.seq_at)
        return Replay(log, plan).run()


@pytest.mark.parametrize("seed", range(4))
async def test_the_same_policies_decide_as_they_did(tmp_path: Path, seed: int) -> None:
    busy = Busy(tmp_path, seed)
    await busy.open()
    await busy.live(40)
    await busy.restart()
    await busy.live(20)
    await busy.close()
    tally = replayed(tmp_path)
    assert (tally.differences, tally.strengths) == (0, 0), tally.examples
    assert tally.cost_before == tally.cost_after
