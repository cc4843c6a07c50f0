"""What a grant is good for, and what ends it."""

from palyra.control.commands import EditPolicy, RemovePolicy, RevokeGrant
from palyra.control.snapshots import Topic
from palyra.core.money import decimal_usd
from tests.end_to_end.asking import ASKED, ask, asking, closed, granted, state_of
from tests.end_to_end.premises import Premises, chat, usd
from tests.support.upstream import Reply, Upstream


async def test_once_serves_one_run_of_the_requester(here: Premises) -> None:
    await closed(here)
    await granted(here)
    assert (await ask(here, session="elsewhere", park="0")).status == 402
    assert [(await ask(here, park="0")).status for _ in range(2)] == [200, 402]


async def test_once_is_not_used_up_by_a_run_that_was_never_sent(here: Premises, upstream: Upstream) -> None:
    await closed(here)
    await granted(here)
    upstream.replies = [Reply(status=500)]
    assert (await ask(here, park="0")).status == 502
    assert [(await ask(here, park="0")).status for _ in range(2)] == [200, 402]


async def test_once_covers_a_tenth_more_than_was_asked(here: Premises) -> None:
    bound = usd((await ask(here)).headers["x-palyra-bound-usd"])
    await here.add_budget("desk", decimal_usd(bound), action="approval_required")
    spent = (await here.usage()).total.cost_nano_usd
    grant_id = await granted(here)
    shot = await here.control.snapshot([Topic.APPROVALS])
    (grant,) = [one for one in shot.grants if one.grant_id == grant_id]
    assert grant.cap == -(-spent * 11 // 10)
    assert (await ask(here, chat(max_tokens=101), park="0")).status == 402


async def test_session_serves_the_session_for_a_day_up_to_the_limit(here: Premises) -> None:
    await here.add_budget("desk", "2", metric_kind="requests", action="approval_required")
    assert [(await ask(here)).status for _ in range(2)] == [200, 200]
    await granted(here, scope="session")
    assert (await ask(here, session="elsewhere", park="0")).status == 402
    assert [(await ask(here, park="0")).status for _ in range(3)] == [200, 200, 402]


async def test_session_ends_after_a_day(here: Premises) -> None:
    await here.add_budget("desk", "2", metric_kind="requests", action="approval_required", interval_kind="lifetime")
    assert [(await ask(here)).status for _ in range(2)] == [200, 200]
    await granted(here, scope="session")
    start = here.clock.now_ms()
    here.set_wall(start + 86_399_999)
    assert (await ask(here, park="0")).status == 200
    here.set_wall(start + 86_400_000)
    assert (await ask(here, park="0")).status == 402


async def test_timeboxed_serves_until_its_instant(here: Premises) -> None:
    await here.add_budget("desk", "5", metric_kind="requests", action="approval_required")
    for _ in range(5):
        assert (await ask(here)).status == 200
    grant_id = await granted(here, scope="timeboxed", duration_seconds=60)
    start = here.clock.now_ms()
    assert (await ask(here, park="0")).status == 200
    here.set_wall(start + 59_999)
    assert (await state_of(here, grant_id)) == "active"
    assert (await ask(here, park="0")).status == 200
    here.set_wall(start + 60_000)
    assert (await state_of(here, grant_id)) == "expired"
    assert (await ask(here, park="0")).status == 402


async def test_amount_serves_the_whole_counter_until_the_window_ends(here: Premises) -> None:
    await here.add_budget(
        "desk", "1", metric_kind="requests", action="approval_required", interval_kind="hourly", scope_kind="global"
    )
    assert (await ask(here)).status == 200
    await granted(here, scope="amount", amount=2)
    other = here.new_key("other", "bea")
    assert (await here.ask(ASKED, {"X-Palyra-Park": "0"}, key=other)).status == 200
    assert [(await ask(here, park="0", session=name)).status for name in ("x", "y")] == [200, 402]
    here.set_wall(here.clock.now_ms() + 3_600_000)
    assert [(await ask(here, park="0")).status for _ in range(2)] == [200, 402]


async def test_a_grant_of_one_does_not_serve_another(here: Premises) -> None:
    await closed(here)
    bea = here.new_key("bea", "bea")
    await ask(here, park="0", session="shared")
    grant_ids = (await here.allow((await here.pending()).approval_id, scope="session")).data["grant_ids"]
    theirs = await here.ask(ASKED, {"X-Palyra-Session": "shared", "X-Palyra-Park": "0"}, key=bea)
    assert theirs.status == 402
    own = await here.pending()
    assert (own.principal, own.approval_id) == ("bea", theirs.error["palyra"]["approval_id"])
    assert await state_of(here, grant_ids) == "active"


async def test_a_revoked_grant_serves_nobody(here: Premises) -> None:
    await closed(here)
    grant_id = await granted(here, scope="session")
    await here.send(RevokeGrant(grant_id))
    assert (await ask(here, park="0")).status == 402
    again = await here.control.send(RevokeGrant(grant_id))
    assert (again.status, again.message) == ("conflict", f"Grant {grant_id} is already revoked.")
    assert (await here.control.send(RevokeGrant("01NOTHING"))).status == "not_found"


async def test_an_edit_voids_grants_and_sends_those_who_wait_to_plan_again(here: Premises) -> None:
    await here.add_budget("desk", "1", metric_kind="requests", action="approval_required")
    assert (await ask(here)).status == 200
    grant_id = await granted(here, scope="session")
    waiting = asking(here, session="other")
    approval = await here.parked()
    await here.send(EditPolicy("desk", {"hard_limit": "2"}))
    assert (await waiting).status == 200
    views = {view.approval_id: view for view in await here.approvals()}
    ended = views[approval.approval_id]
    assert (ended.status, ended.decision, ended.reason) == ("resolved", "error", "policy_edited")
    assert await state_of(here, grant_id) == "void"
    assert (await ask(here, park="0")).status == 402


async def test_a_removed_budget_lets_those_who_wait_go(here: Premises) -> None:
    await closed(here)
    waiting = asking(here)
    await here.parked()
    await here.send(RemovePolicy("desk"))
    assert (await waiting).status == 200
