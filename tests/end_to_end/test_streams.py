"""Streams under a budget: slices, cuts, departures and breaks; what was delivered is what is charged."""

import asyncio
import json
from typing import Any

import openai
import pytest

from palyra.control.queries import DecisionQuery, RunDetail
from palyra.core.clock import settle_loop
from palyra.core.money import decimal_usd
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, chat, events_of, message, usd
from tests.gateway.stand_in import Caller
from tests.support.upstream import Reply, Upstream

SMALL_SLICES = "[runs]\ndefault_output_tokens = 20\nslice_tokens = 16\n"
"""A stream begins with 20 tokens, which cover 40 bytes, and grows by 16, which cover 32."""
TEN = "0123456789"
INPUT, OUTPUT = {MINI: 150, HAIKU: 1_000}, {MINI: 600, HAIKU: 5_000}
"""Nano-dollars of a token."""
EXPECTED_INPUT = -(-len(json.dumps(HELLO, separators=(",", ":"))) // 4)
"""What is charged for input where nobody told."""


def streamed(model: str, **fields: Any) -> dict[str, Any]:
    body = message if model == HAIKU else chat
    return body(**{"max_tokens": 5_000, "stream": True, **fields})


def long(**fields: Any) -> Reply:
    return Reply(pieces=(TEN,) * 40, input_tokens=12, output_tokens=100, **fields)


def delivered(data: bytes) -> str:
    """The text of a stream of either wire."""
    text = ""
    for event in events_of(data):
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content") or ""
        text += event.get("delta", {}).get("text", "")
    return text


async def first_bound(here: Premises, model: str) -> int:
    """What a stream is held at when it begins."""
    return usd((await here.ask(streamed(model), {"X-Palyra-Session": "first"})).headers["x-palyra-bound-usd"])


async def room_for(here: Premises, model: str, tokens: int) -> int:
    """A budget, not shared with what was asked before, of a stream's beginning and so many output tokens more."""
    hard = await first_bound(here, model) + tokens * OUTPUT[model]
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="default:default")
    return hard


async def read_text(caller: Caller, size: int) -> bytes:
    """Reads until so many characters of the answer's text have come."""
    data = b""
    while len(delivered(data)) < size:
        data += await caller.chunk()
    assert len(delivered(data)) == size
    return data


def charged(model: str, output_tokens: int, input_tokens: int = EXPECTED_INPUT) -> int:
    return input_tokens * INPUT[model] + output_tokens * OUTPUT[model]


async def the_run(here: Premises) -> RunDetail:
    return await here.run((await here.runs())[0].run_id)


@pytest.mark.parametrize("model", [MINI, HAIKU])
@pytest.mark.parametrize(("tokens", "pieces"), [(32, 10), (21, 8), (0, 4), (1, 4)])
async def test_a_budget_that_runs_out_ends_a_stream_cleanly(
    opened: Opener, upstream: Upstream, model: str, tokens: int, pieces: int
) -> None:
    """32 more tokens cover 72 bytes and more; 21 are taken as 16, 4 and 1."""
    here = await opened(SMALL_SLICES)
    hard = await room_for(here, model, tokens)
    upstream.default = long(gate=asyncio.Event(), gate_at=15)
    answer = await here.ask(streamed(model))
    assert answer.status == 200
    assert delivered(answer.body) == TEN * pieces
    output = -(-pieces * 10 // 4)
    detail = await the_run(here)
    assert (detail.run.state, detail.run.reason, detail.run.output_tokens) == (
        "completed",
        "stream_cut_budget",
        output,
    )
    # This wire told its input at the start of the stream.
    known_input = 12 if model == HAIKU else EXPECTED_INPUT
    assert detail.run.cost_nano_usd == charged(model, output, known_input) == here.counted("room", "default:default")[0]
    assert detail.run.cost_nano_usd <= hard
    assert [note.data["policies"] for note in detail.notes if note.kind == "slice_refused"] == [["room"]]
    seen = upstream.seen[-1]
    async with upstream.arrived:
        await upstream.arrived.wait_for(lambda: seen.disconnected)
    sent = b"".join(seen.sent)
    passed = answer.body[: answer.body.rindex(TEN.encode())]
    assert sent.startswith(passed)
    ending = events_of(answer.body)
    if model == MINI:
        assert ending[-1]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
        assert ending[-1]["id"] == "chatcmpl-1"
        assert answer.body.endswith(b"data: [DONE]\n\n")
    else:
        assert [event["type"] for event in ending[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
        assert ending[-2]["delta"]["stop_reason"] == "max_tokens"
        assert ending[-2]["usage"] == {"output_tokens": output}


async def test_official_clients_end_a_cut_stream_without_an_error(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    upstream.default = long()
    for model in (MINI, HAIKU):
        bound = await first_bound(here, model)
        await here.add_budget(
            f"room-{model[:6]}",
            decimal_usd(bound),
            scope_kind="session",
            scope_id=model[:6],
        )
    stream = await here.openai().chat.completions.create(
        model=MINI,
        messages=HELLO,
        max_tokens=5_000,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"X-Palyra-Session": "openai"},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (EXPECTED_INPUT, 10)
    async with here.anthropic().messages.stream(
        model=HAIKU, messages=HELLO, max_tokens=5_000, extra_headers={"X-Palyra-Session": "anthro"}
    ) as anthropic_stream:
        final = await anthropic_stream.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 10)
    assert final.content[0].type == "text"
    assert final.content[0].text == TEN * 4


@pytest.mark.parametrize("mode", ["suggest", "dry_run"])
async def test_looser_modes_deliver_all_and_note_where_they_would_have_stopped(
    opened: Opener, upstream: Upstream, mode: str
) -> None:
    here = await opened(SMALL_SLICES + f'[smart_routing]\ndefault_mode = "{mode}"\n')
    hard = await room_for(here, MINI, 32)
    upstream.default = long()
    answer = await here.ask(streamed(MINI))
    assert delivered(answer.body) == TEN * 40
    detail = await the_run(here)
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("stop", charged(MINI, 100, 12))
    assert detail.run.cost_nano_usd is not None
    assert detail.run.cost_nano_usd > hard
    assert [note.kind for note in detail.notes if note.kind == "would_block"] == ["would_block"]


async def test_a_stream_begins_with_what_is_left_when_that_is_worth_beginning(
    here: Premises, upstream: Upstream
) -> None:
    """A stream holds 1,024 output tokens at first. Left are 300, then 63."""
    bound = await first_bound(here, MINI)
    upstream.default = Reply(pieces=("x" * 50,) * 160, input_tokens=12, output_tokens=2_000)
    for session, left in (("a", 300), ("b", 63)):
        hard = bound - (1_024 - left) * OUTPUT[MINI]
        await here.add_budget(session, decimal_usd(hard), scope_kind="session", scope_id=session)
    body = chat(stream=True)
    cut = await here.ask(body, {"X-Palyra-Session": "a"})
    assert (cut.status, len(delivered(cut.body))) == (200, 600)
    assert "max_tokens" not in upstream.seen[-1].json
    detail = await the_run(here)
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("stream_cut_budget", charged(MINI, 150))
    told = await here.control.ask(DecisionQuery(detail.run.run_id))
    assert told == detail.decision
    assert told.reason_codes == ("budget_soft_limit", "explicit_model", "stream_cut_budget")
    assert told.body["reason_codes"] == list(told.reason_codes)
    assert told.sentences[-1] == "The stream was cut after 150 output tokens, where its budget ended."
    assert (await here.ask(body, {"X-Palyra-Session": "b"})).status == 402


async def test_streams_that_share_a_budget_do_not_exceed_it_together(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    bound = await first_bound(here, MINI)
    hard = 4 * bound + 7 * 16 * OUTPUT[MINI]
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="default:default")
    upstream.default = long(gate=(gate := asyncio.Event()))
    asked = [asyncio.create_task(here.ask(streamed(MINI))) for _ in range(5)]
    await upstream.wait_for_requests(1 + 5)
    gate.set()
    answers = await asyncio.gather(*asked)
    texts = [delivered(answer.body) for answer in answers]
    assert all((TEN * 40).startswith(text) and len(text) >= 40 for text in texts), texts
    assert min(len(text) for text in texts) < 400
    await here.rest()
    spent, held = here.counted("room", "default:default")
    assert held == 0
    assert 0 < spent <= hard
    assert sum(len(text) for text in texts) > 5 * 40
    reasons = {run.reason for run in await here.runs()}
    assert reasons == {"stop", "stream_cut_budget"}


async def test_no_byte_passes_before_its_slice_is_written(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    start = asyncio.Event()
    upstream.default = long(gate=start)
    caller = await here.call(streamed(MINI))
    assert (await caller.head()).status == 200
    await caller.chunk()
    writer = here.engine.journal._writer.gate()
    await writer.reached
    start.set()
    first = await read_text(caller, 40)
    rest = asyncio.create_task(caller.chunk())
    await settle_loop(200)
    assert upstream.seen[0].finished
    assert not rest.done()
    # What is on its way to the journal is the first slice after those 40 bytes.
    hold = here.engine.ledger.open_holds()[0]
    assert hold.bound_tokens - hold.expected_input > 36
    writer.passed.set_result(None)
    data = first + await rest
    while piece := await caller.chunk():
        data += piece
    assert delivered(data) == TEN * 40


async def test_slices_are_taken_ahead_and_end_at_the_ceiling(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    upstream.default = long(gate=asyncio.Event(), gate_at=3)
    caller = await here.call(streamed(MINI, max_tokens=30))
    bound = usd((await caller.head()).headers["x-palyra-bound-usd"])
    await read_text(caller, 30)
    await here.written()
    (hold,) = here.engine.ledger.open_holds()
    assert hold.bound_usd == bound + 10 * OUTPUT[MINI]
    await here.advance(0.5)
    assert (await here.live())["default:default"].held_nano_usd == hold.bound_usd
    assert upstream.default.gate is not None
    upstream.default.gate.set()
    while await caller.chunk():
        pass
    assert (await the_run(here)).run.reason == "stop"


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_caller_that_leaves_pays_for_what_it_got(here: Premises, upstream: Upstream, model: str) -> None:
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    caller = await here.call(streamed(model))
    await caller.head()
    await read_text(caller, 120)
    caller.leave()
    async with upstream.arrived:
        await upstream.arrived.wait_for(lambda: upstream.seen[0].disconnected)
    detail = await here.run()
    assert (detail.run.state, detail.run.reason) == ("cancelled", "client_gone")
    cost = charged(model, 30, 12 if model == HAIKU else EXPECTED_INPUT)
    assert detail.run.cost_nano_usd == cost
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.actual_nano_usd) == ("settled", cost)


async def test_a_caller_that_leaves_before_the_first_byte_pays_for_the_input(
    here: Premises, upstream: Upstream
) -> None:
    upstream.default = long(gate=asyncio.Event())
    caller = await here.call(streamed(MINI))
    await caller.head()
    caller.leave()
    detail = await here.run()
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("client_gone", charged(MINI, 0))


async def test_a_stream_that_breaks_ends_with_an_error_and_is_paid_so_far(here: Premises, upstream: Upstream) -> None:
    upstream.default = long(break_at=12)
    answer = await here.ask(streamed(MINI))
    assert delivered(answer.body.split(b'data: {"error"')[0]) == TEN * 12
    assert answer.body.endswith(b"data: [DONE]\n\n")
    error = events_of(answer.body)[-1]["error"]
    detail = await here.run()
    assert (detail.run.state, detail.run.cost_nano_usd) == ("failed", charged(MINI, 30))
    assert error["palyra"]["run_id"] == detail.run.run_id
    assert (error["type"], detail.run.reason) in {
        ("overloaded_error", "network_unavailable"),
        ("api_error", "malformed_response"),
    }
    with pytest.raises(openai.APIError):
        async for _ in await here.openai(max_retries=0).chat.completions.create(
            model=MINI, messages=HELLO, stream=True
        ):
            pass


async def test_a_stream_that_says_nothing_of_its_usage_is_metered(here: Premises, upstream: Upstream) -> None:
    upstream.default = long(usage=False)
    await here.ask(streamed(MINI))
    detail = await here.run()
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("stop", charged(MINI, 100))
    assert "usage_missing" in detail.run.flags
    assert detail.attempts[0].usage_source == "metered"
    assert (await here.usage()).total.output_tokens == 100


async def test_a_plain_answer_without_usage_is_metered(here: Premises, upstream: Upstream) -> None:
    upstream.default = long(usage=False)
    answer = await here.ask(chat(max_tokens=500))
    assert answer.headers["x-palyra-usage-source"] == "metered"
    assert usd(answer.headers["x-palyra-cost-usd"]) == charged(MINI, 100)
    assert "usage_missing" in (await here.run()).run.flags


REASONING = """
[[models]]
provider = "openai"
upstream = "o4-mini"
reasoning = true
"""


async def test_a_model_that_reasons_unseen_is_held_whole_and_told_its_ceiling(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened(SMALL_SLICES + REASONING)
    body = {**streamed(MINI), "model": "o4-mini", "max_tokens": 1_000}
    bound = usd((await here.ask(body, {"X-Palyra-Session": "first"})).headers["x-palyra-bound-usd"])
    await here.add_budget("room", decimal_usd(bound - 700 * 4_400), scope_kind="session", scope_id="default:default")
    answer = await here.ask(body)
    assert (answer.status, answer.headers["x-palyra-output-clamped"]) == (200, "300")
    assert upstream.seen[-1].json["max_tokens"] == 300


async def test_what_answers_usually_take_is_learned_and_survives_a_restart(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    fresh = await first_bound(here, MINI)
    for _ in range(19):
        await here.ask(chat(max_tokens=100))
    learned = await first_bound(here, MINI)
    assert fresh - learned == (20 - upstream.default.output_tokens) * OUTPUT[MINI]
    await here.close()
    assert await first_bound(await opened(SMALL_SLICES), MINI) == learned


@pytest.mark.parametrize(
    ("model", "asks"),
    [
        (MINI, {"reasoning_effort": "low"}),
        (MINI, {"reasoning": {"effort": "high"}}),
        (HAIKU, {"thinking": {"type": "enabled", "budget_tokens": 1_024}}),
        (HAIKU, {"thinking": {"type": "adaptive"}}),
    ],
)
async def test_an_answer_that_is_thought_over_is_held_whole_whatever_its_model_is_known_for(
    opened: Opener, upstream: Upstream, model: str, asks: dict[str, Any]
) -> None:
    """What is thought is not shown, so no slice could follow it: all that the provider may send is held at once."""
    here = await opened(SMALL_SLICES)
    upstream.default = long()
    plain = await first_bound(here, model)
    answer = await here.ask(streamed(model, **asks))
    assert delivered(answer.body) == TEN * 40
    assert usd(answer.headers["x-palyra-bound-usd"]) == plain + (5_000 - 20) * OUTPUT[model]
    assert upstream.seen[-1].json["max_tokens"] == 5_000
    assert [note.kind for note in (await the_run(here)).notes if note.kind.startswith("slice")] == []


async def test_an_answer_that_is_thought_over_is_told_what_is_held_where_its_caller_names_no_ceiling(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened(SMALL_SLICES)
    upstream.default = long()
    await here.ask({**chat(stream=True), "reasoning_effort": "high"})
    assert upstream.seen[-1].json["max_tokens"] == 4_096
