"""A stream's budget while it runs: room that comes in time, a window that ends, and what is clamped instead."""

import asyncio

import pytest

from palyra.control.commands import EditPolicy
from palyra.core.money import decimal_usd
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import DAY_MS, HAIKU, MINI, Premises, chat, message, usd
from tests.end_to_end.test_streams import (
    EXPECTED_INPUT,
    OUTPUT,
    SMALL_SLICES,
    TEN,
    charged,
    delivered,
    first_bound,
    long,
    read_text,
    room_for,
    streamed,
    the_run,
)
from tests.gateway.stand_in import Caller
from tests.support.upstream import Reply, Upstream, frame


async def rest_of(caller: Caller) -> bytes:
    data = b""
    while piece := await caller.chunk():
        data += piece
    return data


async def at_its_end(here: Premises, upstream: Upstream, model: str = MINI) -> tuple[Caller, asyncio.Event]:
    """A stream that has used all it holds, asked in vain for more, and stands still before it needs that."""
    gate = asyncio.Event()
    upstream.default = long(gate=gate, gate_at=4)
    caller = await here.call(streamed(model))
    await caller.head()
    await read_text(caller, 40)
    return caller, gate


async def test_a_budget_that_is_raised_in_time_keeps_a_stream_going(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    hard = await room_for(here, MINI, 0)
    caller, gate = await at_its_end(here, upstream)
    await here.send(EditPolicy("room", {"hard_limit": decimal_usd(hard + 16 * OUTPUT[MINI])}))
    gate.set()
    assert delivered(await rest_of(caller)) == TEN * 3
    detail = await the_run(here)
    assert (detail.run.reason, detail.run.output_tokens) == ("stream_cut_budget", 18)


async def test_room_that_another_request_leaves_keeps_a_stream_going(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    hard = await room_for(here, MINI, 0) + await plain_bound(here)
    await here.send(EditPolicy("room", {"hard_limit": decimal_usd(hard)}))
    upstream.default = Reply(gate=(other_gate := asyncio.Event()), input_tokens=0, output_tokens=1)
    other = asyncio.create_task(here.ask(chat(max_tokens=500)))
    await upstream.wait_for_requests(3)
    caller, gate = await at_its_end(here, upstream)
    other_gate.set()
    await other
    gate.set()
    assert delivered(await rest_of(caller)) == TEN * 36
    assert {run.reason for run in await here.runs()} == {"stop"}


async def plain_bound(here: Premises) -> int:
    answer = await here.ask(chat(max_tokens=500), {"X-Palyra-Session": "first"})
    return usd(answer.headers["x-palyra-bound-usd"])


async def test_a_stream_that_outlives_the_day_stays_within_the_day_it_began(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    bound = await first_bound(here, MINI)
    hard = bound + 16 * OUTPUT[MINI]
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="*", interval_kind="daily")
    caller, gate = await at_its_end(here, upstream)
    before = here.clock.now_ms()
    here.set_wall(before + DAY_MS)
    assert here.counted("room", "default:default")[0] == 0
    gate.set()
    assert delivered(await rest_of(caller)) == TEN * 3
    run = (await the_run(here)).run
    assert (run.reason, run.cost_nano_usd) == ("stream_cut_budget", charged(MINI, 18))
    spent = {
        state.window_start: state.settled
        for state in here.engine.ledger.counters(before)
        if state.scope_value == "default:default"
    }
    assert list(spent.values()) == [run.cost_nano_usd]
    assert (await here.ask(streamed(MINI))).status == 200


async def test_what_cannot_be_cut_is_clamped_and_says_so(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    for left, sent in ((300, 300), (64, 64), (63, None)):
        session = {"X-Palyra-Session": f"left-{left}"}
        bound = usd((await here.ask(chat(max_tokens=1_000))).headers["x-palyra-bound-usd"])
        hard = bound - (1_000 - left) * OUTPUT[MINI]
        await here.add_budget(f"b-{left}", decimal_usd(hard), scope_kind="session", scope_id=f"left-{left}")
        answer = await here.ask(chat(max_tokens=1_000), session)
        if sent is None:
            assert answer.status == 402
            continue
        assert (answer.status, answer.headers["x-palyra-output-clamped"]) == (200, str(sent))
        assert upstream.seen[-1].json["max_tokens"] == sent
        assert "output_clamped" in answer.headers["x-palyra-reason"]


async def test_a_plain_call_that_names_no_ceiling_is_given_one(opened: Opener, upstream: Upstream) -> None:
    """At least 4,096 tokens; four times what all but one of twenty answers stay within, once those are known."""
    here = await opened()
    await here.ask(chat())
    assert upstream.seen[-1].json["max_tokens"] == 4_096
    upstream.default = Reply(output_tokens=1_500)
    for _ in range(20):
        await here.ask(chat(max_tokens=2_000))
    await here.ask(chat())
    assert upstream.seen[-1].json["max_tokens"] == 6_000
    await here.ask(chat(n=3))
    assert upstream.seen[-1].json["max_tokens"] == 6_000


CAPPED = """
[[models]]
provider = "openai"
upstream = "o4-mini"
max_output = 5000
"""


async def test_a_model_that_reasons_unseen_is_capped_and_never_sliced(opened: Opener, upstream: Upstream) -> None:
    """Thousands of tokens that no byte shows are within what was held, and its text waits for no slice."""
    here = await opened(SMALL_SLICES + CAPPED)
    upstream.default = Reply(pieces=(TEN,) * 40, input_tokens=12, output_tokens=4_000)
    answer = await here.ask({**chat(stream=True), "model": "o4-mini"})
    assert delivered(answer.body) == TEN * 40
    sent = upstream.seen[-1].json
    assert (sent.get("max_completion_tokens") or sent["max_tokens"]) == 4_096
    detail = await the_run(here)
    (attempt,) = detail.attempts
    assert attempt.bound_nano_usd is not None
    assert detail.run.cost_nano_usd is not None
    assert detail.run.cost_nano_usd <= attempt.bound_nano_usd == usd(answer.headers["x-palyra-bound-usd"])
    for _ in range(20):
        await here.ask({**chat(max_tokens=4_500), "model": "o4-mini"})
    await here.ask({**chat(stream=True), "model": "o4-mini"})
    sent = upstream.seen[-1].json
    assert (sent.get("max_completion_tokens") or sent["max_tokens"]) == 5_000


async def test_a_known_model_holds_little_while_it_streams(opened: Opener, upstream: Upstream) -> None:
    """It is let in by its 95th percentile, and then holds what its answers usually take."""
    here = await opened()
    await here.add_budget("all", "10")
    for number in range(1, 21):
        upstream.default = Reply(output_tokens=40 * number)
        await here.ask(chat(max_tokens=1_000))
    gate = asyncio.Event()
    upstream.default = long(gate=gate, gate_at=1)
    caller = await here.call(streamed(MINI))
    head = await caller.head()
    await read_text(caller, 10)
    (hold,) = here.engine.ledger.open_holds()
    bound = usd(head.headers["x-palyra-bound-usd"])
    # 760 are p95, 400 p50; unknown is how many bytes a token shows, so twice that is usual.
    assert hold.bound_usd == bound - (760 - 400) * OUTPUT[MINI]
    assert here.counted("all", "*")[1] == hold.bound_usd
    gate.set()
    await rest_of(caller)
    assert (await the_run(here)).run.reason == "stop"


async def test_text_that_is_said_to_have_cost_nothing_is_metered(here: Premises, upstream: Upstream) -> None:
    upstream.default = long()
    upstream.default.output_tokens = 0
    await here.ask(streamed(MINI))
    run = (await here.run()).run
    assert "usage_zero" in run.flags
    assert run.cost_nano_usd == charged(MINI, 100, 12)


@pytest.mark.parametrize("wire", [MINI, HAIKU])
async def test_a_plain_answer_that_is_said_to_have_cost_nothing_is_metered(
    here: Premises, upstream: Upstream, wire: str
) -> None:
    upstream.default = Reply(pieces=(TEN,) * 100, input_tokens=12, output_tokens=0)
    answer = await here.ask(chat(max_tokens=500) if wire == MINI else message(max_tokens=500))
    assert usd(answer.headers["x-palyra-cost-usd"]) == charged(wire, 250, 12)
    assert "usage_zero" in (await here.run()).run.flags


@pytest.mark.parametrize("model", [MINI, HAIKU])
@pytest.mark.parametrize("pieces", [0, 1, 12])
async def test_a_stream_that_breaks_is_never_free(here: Premises, upstream: Upstream, model: str, pieces: int) -> None:
    upstream.default = long(break_at=pieces)
    await here.ask(streamed(model))
    run = (await here.run()).run
    output = -(-pieces * 10 // 4)
    known = 12 if model == HAIKU else EXPECTED_INPUT
    told = 1 if model == HAIKU else 0
    assert (run.state, run.cost_nano_usd) == ("failed", charged(model, max(output, told), known))


async def test_a_stream_whose_provider_gives_up_is_paid_so_far(here: Premises, upstream: Upstream) -> None:
    said = {"id": "c", "choices": [{"index": 0, "delta": {"content": TEN * 3}, "finish_reason": None}]}
    upstream.default = Reply(frames=(frame(said), frame({"error": {"message": "overloaded", "type": "server_error"}})))
    await here.ask(streamed(MINI))
    run = (await here.run()).run
    assert (run.state, run.reason, run.cost_nano_usd) == ("failed", "malformed_response", charged(MINI, 8))
