"""How translated answers end: cut, broken, refused or left; told in the caller's dialect and charged as ever."""

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest

from palyra.core.money import decimal_usd
from tests.end_to_end.asking import closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, events_of, usd
from tests.end_to_end.test_streams import (
    EXPECTED_INPUT,
    OUTPUT,
    SMALL_SLICES,
    TEN,
    charged,
    delivered,
    long,
    read_text,
)
from tests.gateway.stand_in import Caller, RawAnswer
from tests.support.upstream import Reply, Upstream, frame

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
OTHER = {MINI: MESSAGES, HAIKU: CHAT}
"""The wire a model does not speak."""


def across(model: str, **fields: Any) -> dict[str, Any]:
    """A request on the wire the model does not speak."""
    return {"model": model, "messages": HELLO, "max_tokens": 5_000, **fields}


async def ask(here: Premises, model: str, headers: dict[str, str] | None = None, **fields: Any) -> RawAnswer:
    return await here.ask(across(model, **fields), headers, path=OTHER[model])


async def call(here: Premises, model: str, **fields: Any) -> Caller:
    return await here.call(across(model, stream=True, **fields), path=OTHER[model])


async def room(here: Premises, model: str, tokens: int) -> int:
    """A budget of a stream's beginning and so many output tokens more."""
    first = await ask(here, model, {"X-Palyra-Session": "first"}, stream=True)
    hard = usd(first.headers["x-palyra-bound-usd"]) + tokens * OUTPUT[model]
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="default:default")
    return hard


@pytest.mark.parametrize("model", [MINI, HAIKU])
@pytest.mark.parametrize(("tokens", "pieces"), [(32, 10), (0, 4)])
async def test_a_budget_that_runs_out_ends_a_stream_in_the_callers_dialect(
    opened: Opener, upstream: Upstream, model: str, tokens: int, pieces: int
) -> None:
    here = await opened(SMALL_SLICES)
    hard = await room(here, model, tokens)
    upstream.default = long(gate=asyncio.Event(), gate_at=15)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if model == HAIKU else {}
    answer = await ask(here, model, stream=True, **options)
    assert delivered(answer.body) == TEN * pieces
    output = -(-pieces * 10 // 4)
    run = (await here.run((await here.runs())[0].run_id)).run
    assert (run.state, run.reason, run.output_tokens) == ("completed", "stream_cut_budget", output)
    # Only the messages wire told its input at the start of the stream.
    known_input = 12 if model == HAIKU else EXPECTED_INPUT
    assert run.cost_nano_usd == charged(model, output, known_input) == here.counted("room", "default:default")[0]
    assert run.cost_nano_usd <= hard
    seen = upstream.seen[-1]
    async with upstream.arrived:
        await upstream.arrived.wait_for(lambda: seen.disconnected)
    ending = events_of(answer.body)
    if model == HAIKU:
        assert ending[-2]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
        assert (ending[-2]["id"], ending[-2]["model"]) == ("msg_1", "claude-haiku-4-5")
        assert (ending[-1]["usage"]["prompt_tokens"], ending[-1]["usage"]["completion_tokens"]) == (12, output)
        assert answer.body.endswith(b"data: [DONE]\n\n")
    else:
        assert ending[0]["message"]["usage"]["input_tokens"] == EXPECTED_INPUT
        assert [event["type"] for event in ending[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
        assert ending[-2]["delta"]["stop_reason"] == "max_tokens"
        assert ending[-2]["usage"] == {"output_tokens": output}


async def test_official_clients_end_a_cut_stream_without_an_error(opened: Opener, upstream: Upstream) -> None:
    here = await opened(SMALL_SLICES)
    for model in (MINI, HAIKU):
        bound = usd((await ask(here, model, stream=True)).headers["x-palyra-bound-usd"])
        await here.add_budget(model[:6], decimal_usd(bound), scope_kind="session", scope_id=model[:6])
    upstream.default = long()
    stream = await here.openai().chat.completions.create(
        model=HAIKU,
        messages=HELLO,
        max_tokens=5_000,
        stream=True,
        extra_headers={"X-Palyra-Session": HAIKU[:6]},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEN * 4
    async with here.anthropic().messages.stream(
        model=MINI, messages=HELLO, max_tokens=5_000, extra_headers={"X-Palyra-Session": MINI[:6]}
    ) as messages:
        final = await messages.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 10)
    assert final.content[0].type == "text"
    assert final.content[0].text == TEN * 4


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_caller_that_leaves_pays_for_what_it_got(here: Premises, upstream: Upstream, model: str) -> None:
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    caller = await call(here, model)
    await caller.head()
    await read_text(caller, 120)
    caller.leave()
    async with upstream.arrived:
        await upstream.arrived.wait_for(lambda: upstream.seen[0].disconnected)
    run = (await here.run()).run
    assert (run.state, run.reason) == ("cancelled", "client_gone")
    assert run.cost_nano_usd == charged(model, 30, 12 if model == HAIKU else EXPECTED_INPUT)


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_stream_that_breaks_ends_with_an_error_of_the_callers_dialect(
    here: Premises, upstream: Upstream, model: str
) -> None:
    upstream.default = long(break_at=12)
    answer = await ask(here, model, stream=True)
    assert delivered(answer.body) == TEN * 12
    error = events_of(answer.body)[-1]
    run = (await here.run()).run
    assert (run.state, run.cost_nano_usd) == (
        "failed",
        charged(model, 30, 12 if model == HAIKU else EXPECTED_INPUT),
    )
    assert error["error"]["palyra"]["run_id"] == run.run_id
    assert error.get("type") == (None if model == HAIKU else "error")
    assert answer.body.endswith(b"data: [DONE]\n\n") == (model == HAIKU)


async def test_official_clients_hear_of_an_error_inside_a_stream(here: Premises, upstream: Upstream) -> None:
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 12}}}
    broken = {"type": "error", "error": {"type": "overloaded_error", "message": "the kitchen burns"}}
    upstream.replies = [Reply(frames=(frame(start, "message_start"), frame(broken, "error")))]
    with pytest.raises(openai.APIError, match="the kitchen burns"):
        async for _ in await here.openai(max_retries=0).chat.completions.create(
            model=HAIKU, messages=HELLO, stream=True
        ):
            pass
    begun = {"id": "c", "choices": [{"index": 0, "delta": {"content": "he"}}]}
    upstream.replies = [Reply(frames=(frame(begun), frame({"error": {"message": "the kitchen burns"}})))]
    with pytest.raises(anthropic.APIStatusError, match="the kitchen burns"):
        async with here.anthropic(max_retries=0).messages.stream(model=MINI, messages=HELLO, max_tokens=9) as stream:
            await stream.get_final_text()
    assert {run.reason for run in await here.runs()} == {"malformed_response"}


TOLD = [
    (400, 400, "invalid_request_error", "upstream_error"),
    (404, 404, "not_found_error", "upstream_error"),
    (413, 413, "request_too_large", "upstream_error"),
    (422, 422, "invalid_request_error", "upstream_error"),
    (429, 429, "rate_limit_error", "upstream_rate_limited"),
    (500, 502, "api_error", "upstream_error"),
]


@pytest.mark.parametrize("streaming", [False, True])
async def test_errors_are_told_in_the_callers_dialect(opened: Opener, upstream: Upstream, streaming: bool) -> None:
    here = await opened("[retries]\nmax = 0\n")
    body = json.dumps({"error": {"message": "top_k: too odd", "type": "vendor_error"}}).encode()
    for status, told, kind, code in TOLD:
        upstream.default = Reply(status=status, error_body=body)
        for model in (MINI, HAIKU):
            answer = await ask(here, model, stream=streaming)
            assert (answer.status, answer.error["type"], answer.error["code"]) == (told, kind, code)
            assert "top_k: too odd" in answer.error["message"]
            assert json.loads(answer.body).get("type") == ("error" if model == MINI else None)
            assert b"vendor_error" not in answer.body
        await here.advance(60)


async def test_an_answer_that_cannot_be_understood_is_charged(here: Premises, upstream: Upstream) -> None:
    broken = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{no"}}
    choice = {"index": 0, "message": {"tool_calls": [broken]}, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    upstream.default = Reply(raw=json.dumps({"model": "gpt-4o-mini", "choices": [choice], "usage": usage}).encode())
    answer = await ask(here, MINI, {"X-Palyra-Failover": "off"})
    assert (answer.status, answer.error["code"]) == (502, "malformed_response")
    run = (await here.run()).run
    assert (run.state, run.cost_nano_usd) == ("failed", charged(MINI, 10, 100))


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_stream_that_waited_is_translated_once_it_is_allowed(
    here: Premises, upstream: Upstream, model: str
) -> None:
    await closed(here)
    waiting = asyncio.create_task(ask(here, model, stream=True))
    approval = await here.parked()
    await here.advance(25)
    await here.allow(approval.approval_id)
    answer = await waiting
    comment = f": palyra parked approval={approval.approval_id}\n\n".encode()
    assert answer.body.startswith(comment * 2)
    first = b"event: message_start\n" if model == MINI else b'data: {"id":"msg_1"'
    assert answer.body[len(comment) * 2 :].startswith(first)
    assert delivered(answer.body) == "Hello world."


async def test_official_clients_read_a_translated_stream_that_waited(here: Premises) -> None:
    await closed(here)

    async def read_openai() -> str:
        stream = await here.openai().chat.completions.create(model=HAIKU, messages=HELLO, max_tokens=100, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def read_anthropic() -> str:
        async with here.anthropic().messages.stream(model=MINI, messages=HELLO, max_tokens=100) as stream:
            return await stream.get_final_text()

    for read in (read_openai, read_anthropic):
        reading = asyncio.create_task(read())
        approval = await here.parked()
        await here.advance(25)
        await here.allow(approval.approval_id)
        assert await reading == "Hello world."


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_budget_lowers_the_ceiling_that_is_sent(here: Premises, upstream: Upstream, model: str) -> None:
    bound = usd((await ask(here, model, {"X-Palyra-Session": "first"}, max_tokens=1_000)).headers["x-palyra-bound-usd"])
    hard = bound - 700 * OUTPUT[model]
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="default:default")
    answer = await ask(here, model, max_tokens=1_000)
    assert (answer.status, answer.headers["x-palyra-output-clamped"]) == (200, "300")
    assert upstream.seen[-1].json["max_tokens"] == 300


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_answers_that_say_nothing_of_their_usage_tell_the_meters(
    here: Premises, upstream: Upstream, model: str
) -> None:
    upstream.default = long(usage=False)
    asking: dict[str, Any] = {"stream_options": {"include_usage": True}} if model == HAIKU else {}
    for streaming in (False, True):
        answer = await ask(here, model, stream=streaming, **(asking if streaming else {}))
        told = events_of(answer.body) if streaming else [json.loads(answer.body)]
        usage = next(one["usage"] for one in reversed(told) if "usage" in one)
        names = ("prompt_tokens", "completion_tokens") if model == HAIKU else ("input_tokens", "output_tokens")
        expected = 12 if streaming and model == HAIKU else EXPECTED_INPUT
        assert tuple(usage[name] for name in names) == (expected, 100)
    assert all("usage_missing" in run.flags for run in await here.runs() if not run.streaming)


VENDOR = """
[providers.vendor]
kind = "openai_compatible"
base_url = "{base}/v1"
pricing_provider = "openai"
max_tokens_field = "max_completion_tokens"

[[models]]
provider = "vendor"
upstream = "o4-mini"
reasoning = true
"""


async def test_a_model_that_reasons_unseen_is_told_its_ceiling_in_its_own_words(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened(VENDOR.format(base=upstream.base_url))
    body = {"model": "o4-mini", "messages": HELLO, "max_tokens": 1_000, "stream": True}
    first = await here.ask(body, {"X-Palyra-Session": "first"}, path=MESSAGES)
    hard = usd(first.headers["x-palyra-bound-usd"]) - 700 * 4_400
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="default:default")
    answer = await here.ask(body, path=MESSAGES)
    assert (answer.status, answer.headers["x-palyra-output-clamped"]) == (200, "300")
    sent = upstream.seen[-1].json
    assert (sent["max_completion_tokens"], "max_tokens" in sent) == (300, False)
    assert events_of(answer.body)[-1] == {"type": "message_stop"}
