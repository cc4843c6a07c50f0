"""What clients of the gateway can rely on, each line once, over a whole house and with the official clients.

Three lines are slow and stand elsewhere:
- an address of other machines is refused without encryption:
  `test_other_machines_are_not_served_in_the_clear_unless_asked`
- the largest body is read and one byte more is not:
  `test_the_largest_body_is_read_and_one_byte_more_is_refused_and_closed`
- an engine that is told to stop ends its streams first:
  `test_a_stream_ends_well_while_new_requests_are_told_to_come_back`
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

import anthropic
import openai
import pytest

from palyra.core.clock import settle_loop
from palyra.core.money import decimal_usd
from tests.end_to_end.asking import closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, chat, events_of, usd
from tests.end_to_end.test_streams import OUTPUT, SMALL_SLICES, delivered, long, read_text, streamed
from tests.support.upstream import Upstream

ASKED: Any = {"model": MINI, "messages": HELLO, "max_tokens": 100}


async def refused(call: Awaitable[Any]) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        await call
    return caught.value


async def test_without_a_key_each_client_is_told_in_its_own_words(here: Premises, upstream: Upstream) -> None:
    with pytest.raises(openai.AuthenticationError) as by_openai:
        await here.openai("plk_unknown").chat.completions.create(**ASKED)
    with pytest.raises(anthropic.AuthenticationError) as by_anthropic:
        await here.anthropic("plk_unknown").messages.create(model=HAIKU, max_tokens=64, messages=HELLO)
    assert (by_openai.value.type, by_openai.value.code) == ("authentication_error", "invalid_api_key")
    assert by_anthropic.value.type == "authentication_error"
    caller = await here.caller()
    for path in ("/v1/chat/completions", "/v1/messages"):
        caller.request("POST", path, {}, chat())
        assert (await caller.answer()).status == 401
    assert (upstream.seen, await here.runs()) == ([], ())


async def test_another_host_is_not_spoken_for_even_with_a_good_key(here: Premises, upstream: Upstream) -> None:
    caller = await here.caller()
    caller.request("POST", "/v1/chat/completions", {"x-api-key": here.key}, chat(), host="evil.example")
    answer = await caller.answer()
    assert (answer.status, answer.error["code"]) == (403, "host_not_allowed")
    assert (upstream.seen, await here.runs()) == ([], ())


async def test_a_mistyped_header_does_not_slip_past(here: Premises, upstream: Upstream) -> None:
    error = await refused(here.openai().chat.completions.create(**ASKED, extra_headers={"X-Palyra-Tag": "team=red"}))
    assert (error.status_code, error.code) == (400, "invalid_header")
    assert "did you mean X-Palyra-Tags?" in error.message
    assert (upstream.seen, await here.runs()) == ([], ())


async def test_a_tag_of_the_key_cannot_be_changed(here: Premises, upstream: Upstream) -> None:
    client = here.openai(here.new_key("red", "rosa", tags={"team": "red"}))
    error = await refused(client.chat.completions.create(**ASKED, extra_headers={"X-Palyra-Tags": "team=blue"}))
    assert (error.status_code, error.type, error.code) == (403, "permission_error", "tag_locked")
    assert (upstream.seen, await here.runs()) == ([], ())


async def test_a_member_given_twice_is_sent_nowhere(here: Premises, upstream: Upstream) -> None:
    body = b'{"max_tokens": 5, "model": "openai/gpt-4o-mini", "messages": [], "max_tokens": 9000}'
    caller = await here.caller()
    caller.request("POST", "/v1/chat/completions", {"x-api-key": here.key}, body)
    answer = await caller.answer()
    assert (answer.status, answer.error["code"]) == (400, "duplicate_member")
    assert (upstream.seen, await here.runs()) == ([], ())


async def test_a_client_that_tries_again_does_not_try_a_budget_again(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("none", "0")
    error = await refused(here.openai(max_retries=2).chat.completions.create(**ASKED))
    assert (error.status_code, error.type, error.code) == (402, "budget_exceeded", "budget_blocked")
    assert (len(await here.runs()), upstream.seen) == (1, [])


async def test_a_client_just_waits_for_a_person(here: Premises) -> None:
    await closed(here)
    waiting: asyncio.Future[Any] = asyncio.ensure_future(
        here.openai(max_retries=2).chat.completions.with_raw_response.create(**ASKED)
    )
    approval = await here.parked()
    await here.advance(20)
    await here.allow(approval.approval_id)
    answer = await waiting
    assert (answer.status_code, answer.headers["x-palyra-approval"]) == (200, approval.approval_id)
    (attempt,) = (await here.run()).attempts
    assert attempt.state == "settled"


@pytest.mark.parametrize(("seconds", "comments"), [(3, 0), (35, 3)])
async def test_a_stream_that_waited_is_told_no(
    here: Premises, upstream: Upstream, seconds: float, comments: int
) -> None:
    await closed(here)

    async def reading() -> None:
        async for _ in await here.openai(max_retries=2).chat.completions.create(**ASKED, stream=True):
            raise AssertionError("nothing was answered")

    by_client = asyncio.create_task(reading())
    caller = await here.call(chat(max_tokens=100, stream=True))
    approval = await here.parked(2)
    await here.advance(seconds)
    await here.deny(approval.approval_id)
    answer = await caller.answer()
    with pytest.raises(openai.APIError) as told:
        await by_client
    assert told.value.type == "budget_denied"
    if comments == 0:
        assert (answer.status, answer.error["type"]) == (402, "budget_denied")
        assert isinstance(told.value, openai.APIStatusError)
    else:
        comment = f": palyra parked approval={approval.approval_id}\n\n".encode()
        assert (answer.status, answer.body.count(comment)) == (200, comments)
        (event,) = events_of(answer.body)
        assert event["error"]["type"] == "budget_denied"
    assert upstream.seen == []


async def test_who_will_not_wait_is_told_whom_to_ask_and_comes_back(here: Premises, upstream: Upstream) -> None:
    await closed(here)
    client = here.openai(max_retries=2, default_headers={"X-Palyra-Park": "0"})
    error = await refused(client.chat.completions.create(**ASKED))
    assert (error.status_code, error.type) == (402, "budget_approval_required")
    assert isinstance(error.body, dict)
    await here.allow(error.body["palyra"]["approval_id"])
    assert (await client.chat.completions.create(**ASKED)).choices[0].finish_reason == "stop"
    assert len(upstream.seen) == 1


async def test_an_answer_is_as_long_as_the_budget_affords(here: Premises, upstream: Upstream) -> None:
    whole = {**ASKED, "max_tokens": 1_000}
    first = await here.openai().chat.completions.with_raw_response.create(**whole)
    hard = usd(first.headers["x-palyra-bound-usd"]) - 700 * OUTPUT[MINI]
    await here.add_budget("small", decimal_usd(hard), scope_kind="session", scope_id="s")
    answer = await here.openai().chat.completions.with_raw_response.create(
        **whole, extra_headers={"X-Palyra-Session": "s"}
    )
    assert answer.headers["x-palyra-output-clamped"] == "300"
    assert upstream.seen[-1].json["max_tokens"] == 300


async def test_a_stream_whose_budget_ends_is_a_short_answer(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    upstream.default = long()
    bound = usd((await here.ask(streamed(MINI))).headers["x-palyra-bound-usd"])
    for session in ("client", "bytes"):
        await here.add_budget(session, decimal_usd(bound), scope_kind="session", scope_id=session)
    fields = {**ASKED, "max_tokens": 5_000, "stream": True, "extra_headers": {"X-Palyra-Session": "client"}}
    chunks = [chunk async for chunk in await here.openai().chat.completions.create(**fields)]
    assert chunks[-1].choices[0].finish_reason == "length"
    raw = await here.ask(streamed(MINI), {"X-Palyra-Session": "bytes"})
    assert raw.body.endswith(b"data: [DONE]\n\n")
    assert events_of(raw.body)[-1]["choices"][0]["finish_reason"] == "length"
    assert [run.reason for run in await here.runs()] == ["stream_cut_budget", "stream_cut_budget", "stop"]


async def test_a_client_that_leaves_midway_pays_for_what_it_got(here: Premises, upstream: Upstream) -> None:
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    caller = await here.call(streamed(MINI))
    await caller.head()
    await read_text(caller, 120)
    caller.leave()
    async with upstream.arrived:
        await upstream.arrived.wait_for(lambda: upstream.seen[0].disconnected)
    partly = (await here.run()).run
    upstream.default = long()
    whole = await here.ask(streamed(MINI, stream_options={"include_usage": True}))
    assert len(delivered(whole.body)) == 400
    full = (await here.run((await here.runs())[0].run_id)).run
    assert partly.reason == "client_gone"
    assert partly.cost_nano_usd is not None
    assert full.cost_nano_usd is not None
    assert 0 < partly.cost_nano_usd < full.cost_nano_usd
    await settle_loop()
    assert here.engine.ledger.open_holds() == ()
