"""Who may decide, on what, and that the first word counts."""

import asyncio
from typing import Any

import pytest

from palyra.control.commands import CancelRun, DecideApproval, RemovePolicy
from palyra.control.queries import ApprovalQuery, ApprovalsQuery
from palyra.vault.records import Role
from tests.end_to_end.asking import ask, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises


async def test_only_the_first_decision_counts(here: Premises) -> None:
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    bob = here.operator("bob", Role.APPROVER)
    stale = await bob.send(DecideApproval(approval.approval_id, "allow", version=approval.version + 1))
    assert stale.status == "stale"
    await here.allow(approval.approval_id)
    late = await bob.send(DecideApproval(approval.approval_id, "deny"))
    assert (late.status, late.message) == (
        "conflict",
        f"Approval {approval.approval_id} is already resolved/allow by ada.",
    )
    await ask(here, session="s2", park="0")
    other = DecideApproval((await here.pending()).approval_id, "allow")
    both = await asyncio.gather(here.control.send(other), bob.send(other))
    assert sorted(result.status for result in both) == ["accepted", "conflict"]


async def test_viewers_only_look_and_approvers_do_not_administer(here: Premises) -> None:
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    viewer, approver = here.operator("vic", Role.VIEWER), here.operator("bob", Role.APPROVER)
    denied = await viewer.send(DecideApproval(approval.approval_id, "allow"))
    assert (denied.status, denied.message) == ("denied", "vic is viewer; this needs the role approver.")
    assert (await viewer.send(CancelRun(approval.run_ids[0]))).status == "denied"
    assert (await approver.send(RemovePolicy("desk"))).status == "denied"
    assert (await here.pending()).version == approval.version
    assert (await approver.send(DecideApproval(approval.approval_id, "allow"))).ok


async def test_four_eyes_refuse_the_requester(opened: Opener) -> None:
    here = await opened("[approvals]\nfour_eyes = true\n")
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    own = await here.operator("local", Role.ADMIN).send(DecideApproval(approval.approval_id, "allow"))
    assert (own.status, "request of their own" in own.message) == ("denied", True)
    await here.allow(approval.approval_id)


@pytest.mark.parametrize(
    ("ruling", "field"),
    [
        ({"scope": "timeboxed"}, "duration_seconds"),
        ({"scope": "once", "duration_seconds": 5}, "duration_seconds"),
        ({"scope": "timeboxed", "duration_seconds": 0}, "duration_seconds"),
        ({"scope": "amount"}, "amount"),
        ({"scope": "session", "amount": 5}, "amount"),
        ({"scope": "amount", "amount": 6_000_000_000}, "amount"),
        ({"scope": "once", "reason": "x" * 501}, "reason"),
    ],
)
async def test_a_decision_that_makes_no_sense_decides_nothing(
    opened: Opener, ruling: dict[str, Any], field: str
) -> None:
    here = await opened('[approvals]\nmax_grant_usd = "5"\n')
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    result = await here.control.send(DecideApproval(approval.approval_id, "allow", **ruling))
    assert (result.status, result.message.startswith(field)) == ("invalid", True)
    assert (await here.pending()).version == approval.version


async def test_what_was_decided_stays_listed_after_what_waits(here: Premises) -> None:
    await closed(here)
    for session in ("a", "b", "c"):
        await ask(here, session=session, park="0")
    first, second, third = sorted(await here.approvals(), key=lambda view: view.approval_id)
    await here.deny(first.approval_id, "no")
    page = await here.control.ask(ApprovalsQuery())
    assert [view.approval_id for view in page.approvals] == [
        third.approval_id,
        second.approval_id,
        first.approval_id,
    ]
    detail = await here.control.ask(ApprovalQuery(first.approval_id))
    assert (detail.approval.decision, detail.requester_overrides) == ("deny", 0)
