"""Journals of before plans were kept: what was spent until then fills the windows the first recorded request met."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from palyra.governance.policy_input import parse_policy
from palyra.governance.replay_trial import Trial
from palyra.journal.replay_log import ReplayLog
from tests.replaying.busy import Busy
from tests.replaying.test_replay import replayed


def forget_plans(state_dir: Path) -> None:
    """Leaves of what is replayed only what a journal has that was brought up to date a moment ago."""
    with closing(sqlite3.connect(state_dir / "journal.db", isolation_level=None)) as database:
        database.executescript(
            "DELETE FROM replay_bodies; DELETE FROM replay_log; DELETE FROM replay_names;"
            "INSERT INTO replay_log (at, kind, ref)"
            " SELECT created_at, 3, seq FROM grants WHERE state = 'active' ORDER BY seq;"
            "INSERT INTO replay_bodies (seq, body) SELECT seq, 'active' FROM replay_log;"
        )


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_spent_before_plans_were_kept_still_counts(tmp_path: Path, seed: int) -> None:
    busy = Busy(tmp_path, 500 + seed)
    await busy.open()
    await busy.live(30)
    await busy.close()
    forget_plans(tmp_path)
    await busy.open()
    await busy.live(20)
    await busy.close()
    with ReplayLog.of(tmp_path) as log:
        earlier = list(log.holds_before(0))
    assert earlier
    tally = replayed(tmp_path)
    assert tally.requests
    assert (tally.differences, tally.strengths) == (0, 0), tally.examples
    used = sum(hold.requests for hold in earlier)
    lifetime = {"policy_id": "ever", "metric_kind": "requests", "interval_kind": "lifetime", "hard_limit": str(used)}
    assert replayed(tmp_path, Trial((parse_policy(lifetime),))).denied_after == tally.requests


async def test_a_journal_that_kept_every_plan_has_nothing_earlier(tmp_path: Path) -> None:
    busy = Busy(tmp_path, 7)
    await busy.open()
    await busy.live(5)
    await busy.close()
    with ReplayLog.of(tmp_path) as log:
        assert log.first_plan_at() is not None
        assert list(log.holds_before(0)) == []
