"""What stays known of approvals and grants: ended while nobody ran, decided long ago, drawn and revoked."""

import asyncio

from palyra.control.commands import DecideApproval, RevokeGrant
from palyra.control.queries import ApprovalQuery
from tests.end_to_end.asking import ask, closed, granted
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises, chat, usd
from tests.support.upstream import Reply, Upstream


async def test_what_ran_out_while_no_engine_ran_is_ended_by_the_first_sweep(opened: Opener) -> None:
    here = await opened()
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    grant_id = await _granted_elsewhere(here)
    clock = here.clock
    await here.close()
    clock.set_wall(clock.now_ms() + 2 * 3_600_000)  # type: ignore[attr-defined]
    here = await opened(clock=clock)
    await here.until(lambda: not here.engine.desk.pending())
    await here.written()
    row = await here.engine.journal.readers.approval(approval.approval_id)
    grant = await here.engine.journal.readers.grant(grant_id)
    assert row is not None
    assert grant is not None
    assert (row.status, row.decision) == ("resolved", "timeout")
    assert grant.state == "expired"
    assert (await ask(here, park="0")).status == 402


async def _granted_elsewhere(here: Premises) -> str:
    """A grant for one run of another session."""
    await ask(here, session="other", park="0")
    (asked,) = [view for view in await here.approvals() if view.session == "other"]
    return (await here.allow(asked.approval_id)).data["grant_ids"]


async def test_a_decision_of_long_ago_is_still_a_conflict(opened: Opener) -> None:
    here = await opened()
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    await here.deny(approval.approval_id, "too dear")
    here.engine.desk._decided.clear()
    late = await here.control.send(DecideApproval(approval.approval_id, "allow"))
    assert (late.status, late.data["decision"], late.data["decided_by"]) == ("conflict", "deny", "ada")
    assert late.data["reason"] == "too dear"


async def test_where_its_budgets_stand_by_now_is_told_of_a_pending_one(opened: Opener) -> None:
    here = await opened()
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    (item,) = approval.evaluations
    (before,) = (await here.control.ask(ApprovalQuery(approval.approval_id))).present
    assert (before.policy_id, before.scope_value, before.settled) == (item.policy_id, item.scope_value, 0)
    await _granted_elsewhere(here)
    assert (await ask(here, session="other", park="0")).status == 200
    (after,) = (await here.control.ask(ApprovalQuery(approval.approval_id))).present
    assert after.settled > 0
    await here.deny(approval.approval_id, "too dear")
    assert (await here.control.ask(ApprovalQuery(approval.approval_id))).present == ()


async def test_what_was_drawn_of_a_grant_that_ended_is_told_after_a_restart(opened: Opener) -> None:
    here = await opened()
    await closed(here)
    grant_id = await granted(here, scope="session")
    spent = usd((await ask(here, park="0")).headers["x-palyra-cost-usd"])
    assert spent > 0
    await here.send(RevokeGrant(grant_id))
    (view,) = [one for one in await here.approvals() if one.grant_ids]
    clock = here.clock
    await here.close()
    here = await opened(clock=clock)
    detail = await here.control.ask(ApprovalQuery(view.approval_id))
    assert [(grant.state, grant.drawn) for grant in detail.grants] == [("revoked", spent)]


async def test_the_requesters_last_override_is_told_with_what_was_drawn(here: Premises) -> None:
    await closed(here)
    await granted(here)
    first = (await here.approvals())[0]
    spent = usd((await ask(here, park="0")).headers["x-palyra-cost-usd"])
    await here.advance(3600)
    await ask(here, park="0")
    detail = await here.control.ask(ApprovalQuery((await here.pending()).approval_id))
    last = detail.last_override
    assert last is not None
    assert (last.approval_id, last.by, last.kind, last.drawn) == (first.approval_id, "ada", "once", spent)
    assert last.cap == first.once_cap
    assert (detail.requester_overrides, detail.requester_runs) == (1, 3)
    assert (await here.control.ask(ApprovalQuery(first.approval_id))).last_override is None


async def test_a_grant_revoked_under_a_stream_gives_it_nothing_more(here: Premises, upstream: Upstream) -> None:
    """What was drawn stays; the next slice is refused and the stream ends cleanly."""
    await here.add_budget("desk", "0", action="approval_required")
    body = chat(stream=True, max_tokens=4000)
    grant_id = await granted_for_streams(here)
    gate = asyncio.Event()
    upstream.replies = [Reply(pieces=("x" * 50,) * 200, output_tokens=2_500, gate=gate, gate_at=5)]
    caller = await here.call(body, {"X-Palyra-Park": "0"})
    head = await caller.head()
    assert head.status == 200
    await here.send(RevokeGrant(grant_id))
    gate.set()
    pieces = []
    while piece := await caller.chunk():
        pieces.append(piece)
    assert b'"finish_reason":"length"' in b"".join(pieces).replace(b": ", b":")
    run = (await here.runs())[0]
    assert run.reason == "stream_cut_budget"
    grant = here.engine.ledger.grants.get(grant_id)
    assert grant is not None
    assert grant.drawn == run.cost_nano_usd
    assert (await ask(here, park="0")).status == 402


async def granted_for_streams(here: Premises) -> str:
    """A grant of a dollar for whoever asks."""
    await ask(here, park="0")
    approval = await here.pending()
    result = await here.allow(approval.approval_id, scope="amount", amount=10**9)
    return result.data["grant_ids"]


async def test_many_sessions_of_one_principal_are_decided_each_for_itself(here: Premises) -> None:
    await closed(here)
    await asyncio.gather(*(ask(here, session=f"s{number}", park="0") for number in range(8)))
    views = await here.approvals()
    assert len({view.approval_id for view in views}) == 8
    await here.allow(views[0].approval_id)
    assert [view.status for view in await here.approvals()].count("pending") == 7
    assert (await ask(here, session=views[0].session, park="0")).status == 200
    assert (await ask(here, session=views[1].session, park="0")).status == 402
