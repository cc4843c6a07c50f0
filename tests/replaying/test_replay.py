"""Requests decided again: as they were, and under policies nobody had."""

import random
from pathlib import Path

import pytest

from palyra.governance.plan_record import LATER
from palyra.governance.policy_input import parse_policy
from palyra.governance.replay import Replay
from palyra.governance.replay_tally import Tally
from palyra.governance.replay_trial import Trial, schedule
from palyra.journal.replay_log import PLAN, ReplayLog
from tests.replaying.busy import Busy
from tests.replaying.naive import Naive


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


@pytest.mark.parametrize("seed", range(2))
async def test_attempts_after_the_first_belong_to_their_request(tmp_path: Path, seed: int) -> None:
    busy = Busy(tmp_path, 2000 + seed, tries="")
    await busy.open()
    await busy.live(30)
    await busy.close()
    with ReplayLog.of(tmp_path) as log:
        plans = [event for rows in log.chunks(1) for event in rows if event[2] == PLAN]
    assert any(event[8] & LATER for event in plans)
    as_it_was = replayed(tmp_path)
    assert as_it_was.requests == len({event[3] for event in plans})
    assert (as_it_was.differences, as_it_was.strengths) == (0, 0), as_it_was.examples
    assert as_it_was.cost_before == as_it_was.cost_after
    dice = random.Random(seed)
    for _ in range(6):
        trial = a_trial(dice)
        tally = replayed(tmp_path, trial)
        with ReplayLog.of(tmp_path) as log:
            sums = Naive(log, trial).run().sums()
        assert {name: getattr(tally, name) for name in sums} == sums, trial


TIGHT = ("0.02", "0.05", "0.3", "2")


def a_trial(dice: random.Random) -> Trial:
    """Some policies nobody had, some of theirs changed, and one taken out."""
    policies = []
    for number in range(dice.randint(1, 3)):
        metric = dice.choice(("estimated_cost_usd", "total_tokens", "requests"))
        most = {"estimated_cost_usd": dice.choice(TIGHT), "total_tokens": "60000", "requests": "12"}[metric]
        fields = {
            "policy_id": dice.choice((f"new-{number}", "person-hour", "team", "house-day")),
            "hard_limit": most,
            "metric_kind": metric,
            "interval_kind": dice.choice(("hourly", "daily", "monthly", "rolling_24h", "rolling_30d", "lifetime")),
            "scope_kind": dice.choice(("global", "user", "session", "model", "key", "agent")),
            "action": dice.choice(("block", "block", "approval_required", "advise")),
            "routing_override": dice.choice(("none", "none", "degrade", "model:one/small", "mode:suggest")),
        }
        policies.append(parse_policy(fields))
    unique = {policy.policy_id: policy for policy in policies}
    removed = frozenset(dice.sample(("person-hour", "house-day", "agent-trial", "two-month"), dice.randint(0, 2)))
    return Trial(tuple(unique.values()), removed, only=dice.random() < 0.2)


@pytest.mark.parametrize("seed", range(3))
async def test_other_policies_change_what_an_obvious_replay_says(tmp_path: Path, seed: int) -> None:
    busy = Busy(tmp_path, 1000 + seed)
    await busy.open()
    await busy.live(30)
    await busy.restart()
    await busy.live(15)
    await busy.close()
    dice = random.Random(seed)
    changed = 0
    for _ in range(8):
        trial = a_trial(dice)
        tally = replayed(tmp_path, trial)
        with ReplayLog.of(tmp_path) as log:
            sums = Naive(log, trial).run().sums()
        assert {name: getattr(tally, name) for name in sums} == sums, trial
        changed += tally.differences > 0
    assert changed
