"""The journal cannot be written: nothing is spent, nothing is forgotten, and nothing that was shown is untrue."""

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from palyra.control.commands import AddPolicy, DecideApproval, EditPolicy, RemovePolicy, RevokeGrant
from palyra.control.queries import ApprovalQuery
from palyra.control.snapshots import Topic
from palyra.journal import writer
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, chat, message
from tests.end_to_end.test_streams import SMALL_SLICES, TEN, charged, delivered, long, read_text, streamed
from tests.gateway.stand_in import RawAnswer
from tests.support.upstream import Reply, Upstream

PLAIN = chat(max_tokens=100)


class Disk:
    """Fails every commit while `down`; with `lying`, only after it was done."""

    def __init__(self) -> None:
        self.down = False
        self.lying = False
        self.tried = 0
        self._commit = writer._commit

    def commit(self, database: sqlite3.Connection, *rest: Any) -> Any:
        self.tried += 1
        if self.down and not self.lying:
            raise sqlite3.OperationalError("disk I/O error")
        done = self._commit(database, *rest)
        if self.down:
            raise sqlite3.OperationalError("disk I/O error")
        return done


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(writer, "_commit", disk.commit)
    yield disk
    disk.down = False


def asking(here: Premises, body: dict[str, Any] = PLAIN) -> asyncio.Task[RawAnswer]:
    return asyncio.create_task(here.ask(body))


async def back(here: Premises, disk: Disk) -> None:
    """The disk works again, and the house has noticed."""
    disk.down = False
    await here.advance(1)
    await here.engine.catch_up()
    assert here.engine.journal.healthy
    assert here.engine.ready_problems() == []


async def test_nothing_is_sent_and_the_house_recovers_by_itself(here: Premises, upstream: Upstream, disk: Disk) -> None:
    await here.add_budget("day", "1", interval_kind="daily")
    disk.down = True
    refused = await here.ask(PLAIN)
    assert (refused.status, refused.error["type"], refused.error["code"]) == (
        503,
        "overloaded_error",
        "journal_unavailable",
    )
    assert refused.headers["retry-after"] == "5"
    assert here.counted("day", "*") == (0, 0)
    assert here.engine.ready_problems() == ["journal_unavailable"]
    assert "cannot be written" in here.engine.problems()[0]

    tried = disk.tried
    with pytest.raises(openai.InternalServerError, match="journal cannot be written"):
        await here.openai(max_retries=0).chat.completions.create(model=MINI, messages=HELLO)
    with pytest.raises(anthropic.InternalServerError) as caught:
        await here.anthropic(max_retries=0).messages.create(model=HAIKU, messages=HELLO, max_tokens=64)
    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")
    assert disk.tried == tried
    await here.advance(3)
    await here.engine.journal._connection.run(lambda _: None)
    assert disk.tried > tried
    assert upstream.seen == []

    await back(here, disk)
    assert (await here.ask(PLAIN)).status == 200
    states = {run.run_id: (run.state, run.reason) for run in await here.runs()}
    assert states[refused.headers["x-palyra-run"]] == ("failed", "journal_unavailable")
    assert len(states) == 2


async def test_an_answer_that_comes_while_it_is_away_is_given_and_written_later(
    here: Premises, upstream: Upstream, disk: Disk
) -> None:
    await here.add_budget("day", "1", interval_kind="daily")
    upstream.default = Reply(gate=(gate := asyncio.Event()))
    waiting = asking(here)
    await upstream.wait_for_requests(1)
    disk.down = True
    gate.set()
    answer = await waiting
    assert answer.status == 200
    cost = charged(MINI, 4, 12)
    assert here.counted("day", "*") == (cost, 0)
    await here.advance(2)
    run_id = answer.headers["x-palyra-run"]
    (held,) = await here.engine.journal.readers.holds_of_run(run_id)
    assert held.state == "held"
    await back(here, disk)
    detail = await here.run(run_id)
    assert [attempt.state for attempt in detail.attempts] == ["settled"]
    assert (detail.run.state, (await here.usage()).total.cost_nano_usd) == ("completed", cost)


async def test_a_stream_ends_where_its_written_budget_ends(opened: Opener, upstream: Upstream, disk: Disk) -> None:
    here = await opened(SMALL_SLICES)
    upstream.default = long(gate=(gate := asyncio.Event()))
    caller = await here.call(streamed(MINI))
    await caller.head()
    await caller.chunk()
    disk.down = True
    gate.set()
    data = await read_text(caller, 40)
    while piece := await caller.chunk():
        data += piece
    assert delivered(data) == TEN * 4
    assert b'"finish_reason":"length"' in data
    await back(here, disk)
    run = (await here.run()).run
    assert (run.reason, run.cost_nano_usd) == ("stream_cut_budget", charged(MINI, 10))


async def test_a_decision_that_cannot_be_written_is_not_taken(here: Premises, upstream: Upstream, disk: Disk) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    waiting = asking(here)
    approval = await here.parked()
    disk.down = True
    for decision in ("allow", "deny"):
        result = await here.control.send(DecideApproval(approval.approval_id, decision))
        assert (result.status, result.message.startswith("Nothing was done")) == ("denied", True)
    assert not waiting.done()
    still = await here.pending()
    assert (still.approval_id, still.waiting) == (approval.approval_id, 1)
    assert (await here.control.snapshot([Topic.APPROVALS])).grants == () or all(
        grant.state == "void" for grant in (await here.control.snapshot([Topic.APPROVALS])).grants
    )
    assert here.engine.desk.denied("local", "default:default", here.clock.now_ms()) == frozenset()
    await back(here, disk)
    await here.allow(approval.approval_id)
    assert (await waiting).status == 200
    page = await here.control.ask(ApprovalQuery(approval.approval_id))
    assert page.approval.decision == "allow"
    assert sorted(grant.state for grant in page.grants) in (["used"], ["used", "void"])


async def test_a_decision_that_was_written_after_all_is_taken_back(here: Premises, disk: Disk) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    refused = await here.ask(PLAIN, {"X-Palyra-Park": "0"})
    approval_id = refused.error["palyra"]["approval_id"]
    disk.down = disk.lying = True
    assert (await here.control.send(DecideApproval(approval_id, "allow", scope="session"))).status == "denied"
    disk.down = False
    await back(here, disk)
    page = await here.control.ask(ApprovalQuery(approval_id))
    assert page.approval.status == "pending"
    assert [grant.state for grant in page.grants] == ["void"]
    assert (await here.ask(PLAIN, {"X-Palyra-Park": "0"})).status == 402


async def test_a_hold_that_was_written_after_all_is_given_back(here: Premises, upstream: Upstream, disk: Disk) -> None:
    await here.add_budget("day", "1", interval_kind="daily")
    disk.down = disk.lying = True
    refused = await here.ask(PLAIN)
    assert (refused.status, upstream.seen) == (503, [])
    await back(here, disk)
    detail = await here.run(refused.headers["x-palyra-run"])
    assert (detail.run.state, [attempt.state for attempt in detail.attempts]) == ("failed", ["released"])
    assert here.counted("day", "*") == (0, 0)


async def test_a_policy_that_cannot_be_written_is_not_in_force(here: Premises, disk: Disk) -> None:
    await here.add_budget("n", "1", metric_kind="requests")
    disk.down = True
    for command in (EditPolicy("n", {"hard_limit": "5"}), AddPolicy({"policy_id": "m", "hard_limit": "0"})):
        result = await here.control.send(command)
        assert (result.status, result.message.startswith("Nothing was done")) == ("denied", True)
    assert [(policy.policy_id, policy.hard_limit) for policy in here.engine.ledger.policies] == [("n", 1)]
    await back(here, disk)
    assert [(await here.ask(PLAIN)).status for _ in range(2)] == [200, 402]
    await here.send(EditPolicy("n", {"hard_limit": "2"}, revision=1))
    assert (await here.ask(PLAIN)).status == 200


async def test_a_grant_is_revoked_at_once_and_that_is_written_later(here: Premises, disk: Disk) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    refused = await here.ask(PLAIN, {"X-Palyra-Park": "0"})
    approval_id = refused.error["palyra"]["approval_id"]
    grant_id = (await here.allow(approval_id, scope="session")).data["grant_ids"]
    disk.down = True
    result = await here.control.send(RevokeGrant(grant_id))
    assert (result.status, "keeps trying" in result.fix) == ("accepted", True)
    await back(here, disk)
    (grant,) = (await here.control.ask(ApprovalQuery(approval_id))).grants
    assert grant.state == "revoked"
    assert (await here.ask(PLAIN, {"X-Palyra-Park": "0"})).status == 402


@pytest.mark.parametrize("park", ["0", "60"])
async def test_an_approval_asked_for_while_it_is_away_is_open_afterwards(opened: Opener, disk: Disk, park: str) -> None:
    here = await opened()
    await here.add_budget("desk", "0", action="approval_required")
    disk.down = True
    assert (await here.ask(PLAIN, {"X-Palyra-Park": park})).status == 503
    await back(here, disk)
    approval = await here.pending()
    stored = await here.control.ask(ApprovalQuery(approval.approval_id))
    assert (stored.approval.status, approval.waiting) == ("pending", 0)
    await here.allow(approval.approval_id)
    assert (await here.ask(PLAIN)).status == 200


async def test_those_who_wait_go_on_waiting(here: Premises, disk: Disk) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    waiting = asking(here, message())
    approval = await here.parked()
    disk.down = True
    await here.advance(5)
    assert not waiting.done()
    await back(here, disk)
    await here.allow(approval.approval_id)
    assert (await waiting).status == 200


async def test_an_edit_that_was_told_as_failed_and_was_not_is_no_end_of_editing(here: Premises, disk: Disk) -> None:
    await here.add_budget("day", "1", interval_kind="daily")
    disk.down = disk.lying = True
    for command in (EditPolicy("day", {"hard_limit": "0"}), AddPolicy({"policy_id": "new", "hard_limit": "0"})):
        assert (await here.control.send(command)).status == "denied"
    await back(here, disk)
    assert (await here.ask(PLAIN)).status == 200
    for command in (EditPolicy("day", {"hard_limit": "2"}), AddPolicy({"policy_id": "new", "hard_limit": "3"})):
        result = await here.control.send(command)
        assert result.status == "accepted", result.message
    limits = {one.policy_id: one.hard_limit for one in here.engine.policies.current}
    assert limits == {"day": 2_000_000_000, "new": 3_000_000_000}
    for name in ("day", "new"):
        assert (await here.control.send(RemovePolicy(name))).status == "accepted"
