"""What is told without an engine: grants as they were drawn, approvals as the time says."""

import asyncio
from pathlib import Path

import pytest

from palyra.control.offline import NEVER_RAN, offline_control
from palyra.control.queries import (
    ApprovalQuery,
    ApprovalsQuery,
    AuditQuery,
    BudgetQuery,
    LedgerQuery,
    RunQuery,
    RunsQuery,
)
from palyra.control.snapshots import Topic
from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError, NotFoundError, StateError
from tests.end_to_end.premises import chat, configuration, premises
from tests.support.upstream import Upstream

ASKED = chat(max_tokens=100)
DESK = {"action": "approval_required"}


async def test_grants_are_told_as_they_were_drawn_and_end_in_time(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Upstream().serving() as upstream:
        async with premises(upstream, tmp_path, clock=clock) as here:
            await here.add_budget("desk", "0", **DESK)
            waiting = asyncio.create_task(here.ask(ASKED))
            approval_id = (await here.parked()).approval_id
            await here.allow(approval_id, scope="session")
            await waiting
            await here.rest()
            online = await here.control.ask(ApprovalQuery(approval_id))
        async with offline_control(configuration(upstream), tmp_path, None, clock) as control:
            offline = await control.ask(ApprovalQuery(approval_id))
            page = await control.ask(ApprovalsQuery())
            shot = await control.snapshot([])
            await clock.advance(25 * 3600)
            later = await control.ask(ApprovalQuery(approval_id))
    assert online.grants[0].drawn > 0
    assert offline.grants == online.grants == page.grants
    assert (later.grants[0].drawn, later.grants[0].state) == (online.grants[0].drawn, "expired")
    assert shot.requests_total == 0


async def test_an_approval_whose_time_is_over_is_pending_no_more(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Upstream().serving() as upstream:
        async with premises(upstream, tmp_path, clock=clock) as here:
            await here.add_budget("desk", "0", **DESK)
            assert (await here.ask(ASKED, {"X-Palyra-Park": "0"})).status == 402
            pending = await here.pending()
        async with offline_control(configuration(upstream), tmp_path, None, clock) as control:
            assert (await control.snapshot([])).approvals_pending == 1
            (waiting,) = (await control.ask(ApprovalsQuery("pending"))).approvals
            assert (waiting.approval_id, waiting.status) == (pending.approval_id, "pending")
            clock.set_wall(pending.expires_at)
            assert (await control.snapshot([])).approvals_pending == 0
            assert (await control.ask(ApprovalsQuery("pending"))).approvals == ()
            (over,) = (await control.ask(ApprovalsQuery("resolved"))).approvals
            (listed,) = (await control.ask(ApprovalsQuery())).approvals
            assert (await control.ask(ApprovalsQuery("resolved", upward=True))).approvals == (over,)
            with pytest.raises(BadInputError, match="decided approvals alone"):
                await control.ask(ApprovalsQuery(upward=True))
            shown = (await control.ask(ApprovalQuery(pending.approval_id))).approval
    assert over == listed == shown
    assert (over.status, over.decision, over.resolved_at) == ("resolved", "timeout", pending.expires_at)


async def test_before_a_first_start_everything_is_empty_and_nothing_is_proved_or_made(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream:
        config = configuration(upstream, '[[budgets]]\npolicy_id = "day"\ninterval_kind = "daily"\nhard_limit = 5\n')
    state_dir = tmp_path / "none"
    async with offline_control(config, state_dir, None, ManualClock()) as control:
        shot = await control.snapshot(list(Topic))
        assert [(view.policy_id, view.settled, view.hard_limit) for view in shot.budgets] == [("day", 0, 5 * 10**9)]
        assert shot.engine.problems == (NEVER_RAN,)
        assert (await control.ask(RunsQuery())).runs == ()
        assert (await control.ask(BudgetQuery("day"))).fields["interval_kind"] == "daily"
        with pytest.raises(NotFoundError):
            await control.ask(RunQuery("01X"))
        for proof in (LedgerQuery(), AuditQuery()):
            with pytest.raises(StateError, match="no journal"):
                await control.ask(proof)
    assert not state_dir.exists()
