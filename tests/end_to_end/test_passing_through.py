"""Official clients get what the provider sent, and the books say what it used and cost."""

import json
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price

from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, chat, events_of, message, usd
from tests.support.upstream import Reply, Upstream

NANO = Decimal(10**9)
CACHED = Reply(pieces=("Hel", "lo, ", "wörld", "."), input_tokens=5_000, cached_tokens=4_000, output_tokens=250)


def package_price(model: str, provider: str, reply: Reply) -> int:
    """Nano-dollars by the price list's own reckoning."""
    usage = Usage(
        input_tokens=reply.input_tokens, cache_read_tokens=reply.cached_tokens, output_tokens=reply.output_tokens
    )
    return int(calc_price(usage, model, provider_id=provider).total_price * NANO)


async def check_books(here: Premises, model: str, provider: str, reply: Reply) -> None:
    usage = await here.usage()
    assert [entry.key for entry in usage.breakdown] == [f"{provider}/{model}"]
    numbers = usage.breakdown[0].numbers
    assert (numbers.requests, numbers.ok, numbers.attempts) == (1, 1, 1)
    assert (numbers.input_tokens, numbers.output_tokens) == (reply.input_tokens, reply.output_tokens)
    assert numbers.cached_tokens == reply.cached_tokens
    price = package_price(model, provider, reply)
    assert numbers.cost_nano_usd == usage.total.cost_nano_usd == price > 0
    detail = await here.run()
    assert (detail.run.state, detail.run.reason, detail.run.cost_nano_usd) == ("completed", "stop", price)
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.usage_source, attempt.price_state) == ("settled", "provider", "known")
    assert attempt.actual_nano_usd == price
    assert attempt.bound_nano_usd is not None
    assert detail.run.first_byte_at is not None


async def test_openai_plain(here: Premises, upstream: Upstream) -> None:
    upstream.default = CACHED
    raw = await here.openai().chat.completions.with_raw_response.create(
        model="gpt-4o-mini",
        messages=HELLO,
    )
    answer = raw.parse()
    assert raw.content == upstream.seen[0].sent[0]
    assert answer.choices[0].message.content == "Hello, wörld."
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5_000, 250)
    assert upstream.seen[0].json["model"] == "gpt-4o-mini"
    await check_books(here, "gpt-4o-mini", "openai", CACHED)
    run = (await here.run()).run
    assert answer._request_id == raw.headers["x-palyra-run"] == run.run_id
    assert raw.headers["x-palyra-model"] == MINI
    assert raw.headers["x-palyra-outcome"] == "ok"
    assert raw.headers["x-palyra-usage-source"] == "provider"
    assert usd(raw.headers["x-palyra-cost-usd"]) == run.cost_nano_usd
    assert usd(raw.headers["x-palyra-bound-usd"]) > 0


async def test_openai_streamed_with_usage(here: Premises, upstream: Upstream) -> None:
    upstream.default = CACHED
    stream = await here.openai().chat.completions.create(
        model="gpt-4o-mini",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello, wörld."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 250
    await check_books(here, "gpt-4o-mini", "openai", CACHED)


async def test_anthropic_plain(here: Premises, upstream: Upstream) -> None:
    upstream.default = CACHED
    raw = await here.anthropic().messages.with_raw_response.create(
        model="claude-haiku-4-5",
        max_tokens=300,
        messages=HELLO,
    )
    answer = await raw.parse()
    assert await raw.read() == upstream.seen[0].sent[0]
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Hello, wörld."
    assert answer.usage.cache_read_input_tokens == 4_000
    assert raw.headers["request-id"] == (await here.run()).run.run_id
    await check_books(here, "claude-haiku-4-5", "anthropic", CACHED)


async def test_anthropic_streamed(here: Premises, upstream: Upstream) -> None:
    upstream.default = CACHED
    async with here.anthropic().messages.stream(
        model="claude-haiku-4-5",
        max_tokens=300,
        messages=HELLO,
    ) as stream:
        final = await stream.get_final_message()
    assert final.content[0].type == "text"
    assert final.content[0].text == "Hello, wörld."
    assert (final.usage.output_tokens, final.stop_reason) == (250, "end_turn")
    await check_books(here, "claude-haiku-4-5", "anthropic", CACHED)


@pytest.mark.parametrize(
    "body", [chat(stream=True, stream_options={"include_usage": True}), message(stream=True)], ids=["chat", "messages"]
)
async def test_a_stream_passes_byte_for_byte(here: Premises, upstream: Upstream, body: dict[str, Any]) -> None:
    answer = await here.ask(body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body == b"".join(upstream.seen[0].sent)
    assert "x-palyra-cost-usd" not in answer.headers


async def test_usage_the_caller_did_not_ask_for_is_asked_for_and_kept(here: Premises, upstream: Upstream) -> None:
    answer = await here.ask(chat(stream=True))
    assert upstream.seen[0].json["stream_options"] == {"include_usage": True}
    kept = [frame for frame in upstream.seen[0].sent if b'"usage"' in frame]
    assert len(kept) == 1
    assert answer.body == b"".join(frame for frame in upstream.seen[0].sent if frame not in kept)
    assert all("usage" not in event for event in events_of(answer.body))
    assert (await here.usage()).total.output_tokens == upstream.default.output_tokens


async def test_only_what_must_change_of_a_request_changes(here: Premises, upstream: Upstream) -> None:
    body = {"temperature": 0.30, "model": "gpt-4o-mini", "messages": HELLO, "seed": 7, "max_tokens": 50}
    await here.ask(body)
    assert upstream.seen[0].json == body
    assert list(upstream.seen[0].json) == list(body)
    headers = upstream.seen[0].headers
    assert headers["authorization"].startswith("Bearer sk-upstream-")
    assert here.key not in str(headers)
    assert not [name for name in headers if name.startswith("x-palyra")]


async def test_models_are_listed_as_they_are_declared(here: Premises) -> None:
    assert [model.id async for model in here.openai().models.list()] == ["auto", MINI, HAIKU, "own/acme-7b"]


async def test_auto_is_served_by_the_cheapest_for_a_simple_request(here: Premises, upstream: Upstream) -> None:
    answer = await here.ask(chat(model="auto"))
    assert answer.headers["x-palyra-model"] == MINI
    assert upstream.seen[0].json["model"] == "gpt-4o-mini"


async def test_each_user_session_and_tag_has_its_share(here: Premises) -> None:
    team = here.new_key("team", "bea", tags={"team": "red"}, may_act_for=("guest-*",))
    await here.ask(chat(), {"X-Palyra-Session": "s1"})
    await here.ask(chat(), {"X-Palyra-Tags": "project=p1"}, key=team)
    await here.ask(chat(), {"X-Palyra-Principal": "guest-1"}, key=team)
    for by, keys in (
        ("user", {"local", "bea", "guest-1"}),
        ("session", {"s1", "default:team"}),
        ("key", {"default", "team"}),
        ("provider", {"openai"}),
    ):
        assert {entry.key for entry in (await here.usage(by)).breakdown} == keys, by
    tags = {entry.key: entry.numbers.requests for entry in (await here.usage("tag")).breakdown}
    assert (tags["team=red"], tags["project=p1"]) == (2, 1)


async def test_betas_on_several_lines_all_go_on(here: Premises, upstream: Upstream) -> None:
    caller = await here.caller()
    body = json.dumps(message()).encode()
    fields = f"Host: localhost\r\nx-api-key: {here.key}\r\nanthropic-beta: one\r\nAnthropic-Beta: two,three\r\n"
    head = (
        f"POST /v1/messages HTTP/1.1\r\n{fields}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    caller.send(head.encode() + body)
    assert (await caller.answer()).status == 200
    assert upstream.seen[-1].headers["anthropic-beta"] == "one, two,three"
