"""A request that waits for a person: allowed, denied, forgotten, left, and told so while it waits."""

import asyncio
from typing import Any

import anthropic
import openai
import pytest

from palyra.control.commands import CancelRun, DecideApproval
from palyra.control.queries import ApprovalQuery, ApprovalsQuery
from tests.end_to_end.asking import ASKED, ask, asking, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, chat, message
from tests.support.upstream import Upstream


async def test_allowed_while_it_waits(here: Premises, upstream: Upstream) -> None:
    await closed(here)
    waiting = asking(here)
    approval = await here.parked()
    assert (approval.principal, approval.session, approval.model) == ("local", "default:default", MINI)
    assert (approval.waiting, approval.risk, approval.policy_ids) == (1, "critical", ("desk",))
    assert approval.evaluations[0].bound == approval.excess == approval.bound_nano_usd
    run = here.house.engine.runner.live.get(approval.run_ids[0])
    assert run is not None
    assert (run.row.state, run.held_usd, here.counted("desk", "*")) == ("parked", 0, (0, 0))
    assert upstream.seen == []

    await here.advance(20)
    result = await here.allow(approval.approval_id, version=approval.version)
    assert "Allowed local (once): desk up to $" in result.message
    answer = await waiting
    assert answer.status == 200
    assert answer.headers["x-palyra-approval"] == approval.approval_id
    assert answer.headers["x-palyra-outcome"] == "override_applied"
    assert "budget_override_applied" in answer.headers["x-palyra-reason"]

    detail = await here.run()
    assert detail.run.run_id == answer.headers["x-palyra-run"] == run.run_id
    assert (detail.run.state, detail.run.approval_id) == ("completed", approval.approval_id)
    assert [attempt.state for attempt in detail.attempts] == ["settled"]
    assert here.counted("desk", "*") == (detail.run.cost_nano_usd, 0)
    page = await here.control.ask(ApprovalQuery(approval.approval_id))
    assert (page.approval.decision, page.approval.decided_by) == ("allow", "ada")
    (grant,) = page.grants
    assert (grant.kind, grant.state, grant.drawn) == ("once", "used", detail.run.cost_nano_usd)
    assert grant.cap == -(-approval.excess * 110 // 100)
    assert (await here.control.ask(ApprovalsQuery())).grants == (), "what is used up is in force no more"


async def test_official_clients_just_wait(here: Premises) -> None:
    await closed(here)
    by_openai = asyncio.create_task(
        here.openai(max_retries=2).chat.completions.create(model=MINI, messages=HELLO, max_tokens=100)
    )
    await here.allow((await here.parked()).approval_id)
    assert (await by_openai).choices[0].message.content == "Hello world."
    by_anthropic = asyncio.create_task(
        here.anthropic(max_retries=2).messages.create(model=HAIKU, messages=HELLO, max_tokens=100)
    )
    await here.deny((await here.parked()).approval_id, "not today")
    with pytest.raises(anthropic.APIStatusError, match="not today") as refused:
        await by_anthropic
    assert (refused.value.status_code, refused.value.type) == (402, "budget_denied")
    assert len(await here.runs()) == 2


async def test_denied(here: Premises, upstream: Upstream) -> None:
    await closed(here)
    waiting = asking(here)
    approval = await here.parked()
    await here.deny(approval.approval_id, "ask again tomorrow")
    answer = await waiting
    assert (answer.status, answer.error["type"], answer.error["code"]) == (402, "budget_denied", "budget_denied")
    assert "ask again tomorrow" in answer.error["message"]
    assert answer.error["palyra"]["approval_id"] == approval.approval_id
    run = (await here.run()).run
    assert (run.state, run.reason, run.cost_nano_usd) == ("refused", "budget_denied", 0)

    again = await ask(here)
    assert (again.status, again.error["type"]) == (402, "budget_denied")
    assert (await here.ask(ASKED, {"X-Palyra-Session": "other", "X-Palyra-Park": "0"})).error[
        "type"
    ] == "budget_approval_required"
    await here.advance(60)
    assert (await ask(here, park="0")).error["type"] == "budget_approval_required"
    assert upstream.seen == []


async def test_nobody_answers_in_time_and_a_later_word_serves_the_retry(here: Premises) -> None:
    await closed(here)
    waiting = asking(here)
    approval = await here.parked()
    assert approval.park_until == here.clock.now_ms() + 60_000
    await here.advance(59.9)
    assert not waiting.done()
    await here.advance(0.1)
    answer = await waiting
    assert (answer.status, answer.error["type"]) == (402, "budget_approval_required")
    assert answer.error["palyra"]["approval_id"] == answer.headers["x-palyra-approval"] == approval.approval_id
    assert approval.approval_id in answer.error["message"]
    still = await here.pending()
    assert (still.approval_id, still.waiting) == (approval.approval_id, 0)

    await here.advance(15)
    await here.allow(approval.approval_id)
    retry = await ask(here)
    assert (retry.status, retry.headers["x-palyra-outcome"]) == (200, "override_applied")
    assert retry.headers["x-palyra-run"] != answer.headers["x-palyra-run"]
    assert (await ask(here, park="0")).status == 402


async def test_a_record_nobody_decides_ends(here: Premises) -> None:
    await closed(here)
    refused = await ask(here, park="0")
    await here.advance(900)
    (view,) = await here.approvals()
    assert (view.status, view.decision) == ("resolved", "timeout")
    late = await here.control.send(DecideApproval(view.approval_id, "allow"))
    assert (late.status, "resolved/timeout" in late.message) == ("conflict", True)
    fresh = await ask(here, park="0")
    assert fresh.error["palyra"]["approval_id"] != refused.error["palyra"]["approval_id"]


async def test_whoever_will_not_wait_asks_again(here: Premises, upstream: Upstream) -> None:
    await closed(here)
    first = await ask(here, park="0")
    assert (first.status, first.error["code"]) == (402, "budget_approval_required")
    second = await ask(here, park="0")
    assert second.error["palyra"]["approval_id"] == first.error["palyra"]["approval_id"]
    assert [way["kind"] for way in first.error["palyra"]["counterfactual"]] == ["grant"]
    approval = await here.pending()
    assert approval.run_ids == (first.headers["x-palyra-run"], second.headers["x-palyra-run"])
    await here.allow(approval.approval_id)
    assert (await ask(here, park="0")).status == 200
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("body", [chat(max_tokens=100, stream=True), message(stream=True)], ids=["chat", "messages"])
async def test_a_waiting_stream_is_kept_alive_and_then_answered(
    here: Premises, upstream: Upstream, body: dict[str, Any]
) -> None:
    await closed(here)
    caller = await here.call(body)
    approval = await here.parked()
    await here.advance(30)
    head = await caller.head()
    assert (head.status, head.headers["x-palyra-approval"]) == (200, approval.approval_id)
    comment = f": palyra parked approval={approval.approval_id}\n\n".encode()
    assert [await caller.chunk() for _ in range(3)] == [comment] * 3
    await here.allow(approval.approval_id)
    pieces = []
    while piece := await caller.chunk():
        pieces.append(piece)
    usage = [frame for frame in upstream.seen[0].sent if b'"choices": []' in frame]
    assert b"".join(pieces) == b"".join(frame for frame in upstream.seen[0].sent if frame not in usage)
    assert (await here.run()).run.reason == "stop"


async def test_official_clients_read_a_stream_that_waited(here: Premises) -> None:
    await closed(here)

    async def read() -> str:
        stream = await here.openai().chat.completions.create(model=MINI, messages=HELLO, max_tokens=100, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    reading = asyncio.create_task(read())
    approval = await here.parked()
    await here.advance(25)
    await here.allow(approval.approval_id)
    assert await reading == "Hello world."


async def test_a_stream_denied_before_its_first_byte_is_refused_as_ever(here: Premises) -> None:
    await closed(here)
    waiting = asking(here, chat(max_tokens=100, stream=True))
    approval = await here.parked()
    await here.advance(3)
    await here.deny(approval.approval_id)
    answer = await waiting
    assert (answer.status, answer.headers["content-type"]) == (402, "application/json")
    assert answer.error["type"] == "budget_denied"


async def test_a_stream_denied_after_signs_of_life_ends_with_an_error_event(here: Premises, upstream: Upstream) -> None:
    await closed(here)

    async def read_openai() -> None:
        stream = await here.openai().chat.completions.create(model=MINI, messages=HELLO, max_tokens=100, stream=True)
        async for _ in stream:
            pytest.fail("nothing was answered")

    async def read_anthropic() -> None:
        async with here.anthropic().messages.stream(model=HAIKU, messages=HELLO, max_tokens=100) as stream:
            await stream.get_final_text()

    raw = asking(here, chat(max_tokens=100, stream=True), session="raw")
    approval = await here.parked()
    await here.advance(35)
    await here.deny(approval.approval_id)
    answer = await raw
    assert answer.status == 200
    comment = f": palyra parked approval={approval.approval_id}\n\n".encode()
    assert answer.body.startswith(comment * 3 + b'data: {"error":')
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert b'"type":"budget_denied"' in answer.body

    for read, error in ((read_openai, openai.APIError), (read_anthropic, anthropic.APIStatusError)):
        reading = asyncio.create_task(read())
        approval = await here.parked()
        await here.advance(15)
        await here.deny(approval.approval_id, "no means no")
        with pytest.raises(error, match="no means no"):
            await reading
        await here.advance(60)
    assert [run.reason for run in await here.runs()] == ["budget_denied"] * 3
    assert upstream.seen == []


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_caller_that_leaves_while_it_waits(here: Premises, streaming: bool, upstream: Upstream) -> None:
    await closed(here)
    caller = await here.call(chat(max_tokens=100, stream=streaming))
    approval = await here.parked()
    caller.leave()
    await here.engine.runner.live.idle()
    run = (await here.run()).run
    assert (run.state, run.reason) == ("cancelled", "client_gone")
    still = await here.pending()
    assert (still.approval_id, still.waiting, len(here.engine.parking)) == (approval.approval_id, 0, 0)
    await here.allow(approval.approval_id)
    assert upstream.seen == []
    assert (await ask(here)).status == 200


async def test_an_operator_may_cancel_what_waits(here: Premises) -> None:
    await closed(here)
    waiting = asking(here)
    approval = await here.parked()
    await here.send(CancelRun(approval.run_ids[0]))
    answer = await waiting
    assert (answer.status, answer.error["type"], answer.headers["x-should-retry"]) == (410, "run_cancelled", "false")
    assert (await here.pending()).waiting == 0


async def test_two_who_wait_for_the_same_are_one_record_and_once_serves_one(here: Premises) -> None:
    await closed(here)
    first, second = asking(here), asking(here)
    approval = await here.parked(2)
    assert (approval.waiting, len(approval.run_ids)) == (2, 2)
    await here.allow(approval.approval_id)
    done, left = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
    assert [task.result().status for task in done] == [200]
    again = await here.parked()
    assert again.approval_id != approval.approval_id
    await here.deny(again.approval_id)
    assert (await left.pop()).status == 402


async def test_who_sits_down_while_it_is_decided_hears_of_it(here: Premises) -> None:
    """The second request joins the record and is being written down when the operator decides."""
    await here.add_budget("desk", "2", metric_kind="requests", action="approval_required")
    assert [(await ask(here)).status for _ in range(2)] == [200, 200]
    first = asking(here)
    approval = await here.parked()
    second = asking(here)
    await here.until(lambda: [run.state for run in here.engine.runner.live] == ["parked", "parked"])
    await here.allow(approval.approval_id, scope="session")
    assert [(await task).status for task in (first, second)] == [200, 200]


async def test_beyond_the_places_to_wait_nobody_waits(opened: Opener) -> None:
    here = await opened("[gateway]\nmax_parked = 3\nmax_parked_per_key = 2\n")
    await closed(here)
    other = here.new_key("other", "bea")
    waiting = [asking(here, session=f"s{number}") for number in range(5)]
    await here.until(lambda: len(here.engine.parking) == 2)
    refused = []
    for task in asyncio.as_completed(waiting):
        refused.append(await task)
        if len(refused) == 3:
            break
    assert [answer.error["type"] for answer in refused] == ["budget_approval_required"] * 3
    one = asyncio.create_task(here.ask(ASKED, key=other))
    await here.until(lambda: len(here.engine.parking) == 3)
    full = await here.ask(ASKED, key=here.new_key("third", "cyd"))
    assert (full.status, full.error["palyra"]["approval_id"] is not None) == (402, True)
    pending = [view for view in await here.approvals() if view.status == "pending"]
    assert len(pending) == 7
    for view in pending:
        await here.allow(view.approval_id)
    assert (await one).status == 200
    assert sorted([(await task).status for task in waiting]) == [200, 200, 402, 402, 402]
