"""Clients of one vendor on models of the other: what they get, what is sent for them, and what is charged."""

from decimal import Decimal
from typing import Any

import openai
import pytest
from genai_prices import Usage, calc_price

from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises
from tests.support.upstream import Reply, Upstream

CACHED = Reply(pieces=("Hel", "lo, ", "wörld", "."), input_tokens=5_000, cached_tokens=4_000, output_tokens=250)


def price(model: str, provider: str, reply: Reply) -> int:
    """Nano-dollars by the price list's own reckoning."""
    usage = Usage(
        input_tokens=reply.input_tokens, cache_read_tokens=reply.cached_tokens, output_tokens=reply.output_tokens
    )
    return int(calc_price(usage, model, provider_id=provider).total_price * Decimal(10**9))


async def check_books(here: Premises, model: str, reply: Reply) -> None:
    provider, _, upstream = model.partition("/")
    (entry,) = (await here.usage()).breakdown
    assert entry.key == model
    numbers = entry.numbers
    assert (numbers.input_tokens, numbers.output_tokens) == (reply.input_tokens, reply.output_tokens)
    assert numbers.cached_tokens == reply.cached_tokens
    assert numbers.cost_nano_usd == price(upstream, provider, reply) > 0
    detail = await here.run()
    assert (detail.run.state, detail.run.reason) == ("completed", "stop")
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.usage_source, attempt.price_state) == ("settled", "provider", "known")


async def test_an_openai_client_is_answered_by_an_anthropic_model(here: Premises, upstream: Upstream) -> None:
    upstream.default = CACHED
    raw = await here.openai().chat.completions.with_raw_response.create(
        model="claude-haiku-4-5",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "No jokes."},
            {"role": "user", "content": "hello"},
        ],
        temperature=1.4,
        stop=["END"],
        max_completion_tokens=300,
    )
    answer = raw.parse()
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["x-palyra-model"] == HAIKU
    assert (answer.model, answer.id, answer.object) == ("claude-haiku-4-5", "msg_1", "chat.completion")
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello, wörld.", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        5_000,
        250,
        5_250,
    )
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4_000
    (seen,) = upstream.seen
    assert seen.path == "/v1/messages"
    assert seen.json == {
        "model": "claude-haiku-4-5",
        "max_tokens": 300,
        "messages": [{"role": "user", "content": "hello"}],
        "system": "Be brief.\n\nNo jokes.",
        "temperature": 1,
        "stop_sequences": ["END"],
    }
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in seen.headers
    await check_books(here, HAIKU, CACHED)


async def test_an_anthropic_client_is_answered_by_an_openai_model(here: Premises, upstream: Upstream) -> None:
    upstream.default = CACHED
    raw = await here.anthropic().messages.with_raw_response.create(
        model="gpt-4o-mini",
        system="Be brief.",
        max_tokens=300,
        messages=HELLO,
        stop_sequences=["END"],
        extra_headers={"anthropic-beta": "context-1m"},
        extra_body={"temperature": 0.5},
    )
    answer = await raw.parse()
    assert raw.headers["x-palyra-model"] == MINI
    assert (answer.model, answer.id, answer.type) == ("gpt-4o-mini", "chatcmpl-1", "message")
    (block,) = answer.content
    assert block.type == "text"
    assert (block.text, answer.stop_reason, answer.stop_sequence) == ("Hello, wörld.", "end_turn", None)
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (1_000, 4_000)
    assert answer.usage.output_tokens == 250
    (seen,) = upstream.seen
    assert seen.path == "/v1/chat/completions"
    assert seen.json == {
        "model": "gpt-4o-mini",
        "max_tokens": 300,
        "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
        "temperature": 0.5,
        "stop": ["END"],
    }
    assert not [name for name in seen.headers if name.startswith("anthropic-")]
    await check_books(here, MINI, CACHED)


@pytest.mark.parametrize("include_usage", [True, False])
async def test_an_openai_client_streams_from_an_anthropic_model(
    here: Premises, upstream: Upstream, include_usage: bool
) -> None:
    upstream.default = CACHED
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if include_usage else {}
    stream = await here.openai().chat.completions.create(model=HAIKU, messages=HELLO, stream=True, **options)
    chunks = [chunk async for chunk in stream]
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices] == ["", *CACHED.pieces, None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {(chunk.id, chunk.model, chunk.object) for chunk in chunks} == {
        ("msg_1", "claude-haiku-4-5", "chat.completion.chunk")
    }
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    usage = chunks[-1].usage
    if include_usage:
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (5_000, 250)
        assert usage.prompt_tokens_details.cached_tokens == 4_000
    else:
        assert usage is None
        assert all(chunk.choices for chunk in chunks)
    assert upstream.seen[0].json == {
        "model": "claude-haiku-4-5",
        "max_tokens": 4_096,
        "messages": HELLO,
        "stream": True,
    }
    await check_books(here, HAIKU, CACHED)


async def test_an_anthropic_client_streams_from_an_openai_model(here: Premises, upstream: Upstream) -> None:
    upstream.default = CACHED
    async with here.anthropic().messages.stream(model=MINI, max_tokens=300, messages=HELLO) as stream:
        texts = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert tuple(texts) == CACHED.pieces
    (block,) = final.content
    assert block.type == "text"
    assert (block.text, final.stop_reason, final.model, final.id) == (
        "Hello, wörld.",
        "end_turn",
        "gpt-4o-mini",
        "chatcmpl-1",
    )
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens) == (1_000, 4_000)
    assert final.usage.output_tokens == 250
    assert upstream.seen[0].json["stream_options"] == {"include_usage": True}
    await check_books(here, MINI, CACHED)


async def test_what_only_one_wire_can_say_is_refused_by_name(here: Premises, upstream: Upstream) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await here.openai().chat.completions.create(model=HAIKU, messages=HELLO, n=2)
    error: Any = refused.value.body
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "capability_missing", "n")
    assert "n cannot be said" in error["message"]
    assert upstream.seen == []
    assert (await here.run()).run.reason == "no_candidate"
