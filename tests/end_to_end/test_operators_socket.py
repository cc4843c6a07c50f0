"""An operator on the socket of a running house: sees who waits, lets through, and reads what it cost."""

import asyncio
import stat

from palyra.control.commands import AddPolicy, CancelRun, DecideApproval
from palyra.control.queries import (
    AuditQuery,
    DecisionQuery,
    LedgerQuery,
    RunQuery,
)
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import Topic
from palyra.control.usage_queries import UsageQuery
from tests.end_to_end.premises import DAY_MS, Premises, chat
from tests.gateway.stand_in import until
from tests.support.upstream import Reply, Upstream

PLAIN = chat(max_tokens=100)


async def test_lets_through_and_reads_what_it_cost(here: Premises) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    waiting = asyncio.create_task(here.ask(PLAIN))
    await here.parked()
    assert here.house.socket is not None
    assert stat.S_IMODE(here.house.socket.path.stat().st_mode) == 0o600
    remote = RemoteControl(here.state_dir, operator="", environ={})
    try:
        shot = await remote.snapshot([Topic.APPROVALS, Topic.RUNS, Topic.BUDGETS])
        (approval,) = shot.approvals
        assert (approval.status, approval.waiting, shot.approvals_pending, shot.runs_live) == ("pending", 1, 1, 1)
        assert [run.state for run in shot.runs] == ["parked"]
        result = await remote.send(DecideApproval(approval.approval_id, "allow", version=approval.version))
        assert result.ok
        answer = await waiting
        assert answer.status == 200
        again = await remote.send(DecideApproval(approval.approval_id, "deny"))
        assert (again.status, "resolved/allow" in again.message) == ("conflict", True)

        await here.rest()
        now = here.clock.now_ms()
        usage = await remote.ask(UsageQuery(now - DAY_MS, now + 1))
        detail = await remote.ask(RunQuery(answer.headers["x-palyra-run"]))
        assert usage.total.cost_nano_usd == detail.run.cost_nano_usd == detail.attempts[0].actual_nano_usd
        decision = await remote.ask(DecisionQuery(detail.run.decision_id))
        assert (decision.outcome, decision.run_id) == ("override_applied", detail.run.run_id)
        assert any("desk" in sentence for sentence in decision.sentences)
        assert (await remote.ask(LedgerQuery())).ok
        assert (await remote.ask(AuditQuery())).ok
    finally:
        await remote.close()


async def test_an_act_is_brought_to_its_end_also_when_its_console_goes_away(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    waiting = asyncio.create_task(here.ask(PLAIN))
    approval = await here.parked()
    writer = here.engine.journal._writer.gate()
    await writer.reached
    sending = asyncio.create_task(here.control.send(DecideApproval(approval.approval_id, "allow")))
    await until(lambda: not here.engine.desk.get(approval.approval_id).pending)
    sending.cancel()
    await asyncio.wait([sending])
    assert sending.cancelled()
    assert not waiting.done()
    writer.passed.set_result(None)
    assert (await waiting).status == 200


async def test_cancels_a_call(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    waiting = asyncio.create_task(here.ask(PLAIN))
    await upstream.wait_for_requests(1)
    remote = RemoteControl(here.state_dir, operator="", environ={})
    try:
        (run,) = [run for run in (await remote.snapshot([Topic.RUNS])).runs if run.live]
        assert run.beat_at is not None
        assert run.accepted_at - 100 <= run.beat_at
        assert (run.state, run.phase) == ("running", "dispatch")
        assert run.held_nano_usd is not None
        assert run.held_nano_usd > 0
        assert (await remote.send(CancelRun(run.run_id))).ok
        assert (await waiting).status == 410
    finally:
        await remote.close()


async def test_what_is_wrong_is_told_to_programs_as_well(here: Premises) -> None:
    remote = RemoteControl(here.state_dir, operator="", environ={})
    try:
        wrong = await remote.send(AddPolicy({"policy_id": "team", "timezone": "Prague"}))
        assert (wrong.status, wrong.code) == ("invalid", "bad_policy")
        assert {fault.field for fault in wrong.faults} == {"timezone", "hard_limit"}
        nobody = await remote.send(CancelRun("01NOBODY"))
        assert (nobody.status, nobody.code, nobody.faults) == ("not_found", "not_found", ())
    finally:
        await remote.close()
