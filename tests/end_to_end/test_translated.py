"""Clients of one vendor on models of the other: what they get, what is sent for them, and what is charged."""

import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from genai_prices import Usage, calc_price

from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises
from tests.support.upstream import Reply, Upstream, frame

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"

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


UNSAID: list[tuple[str, str, dict[str, Any], str]] = [
    (HAIKU, CHAT, {"seed": 7}, "seed"),
    (HAIKU, CHAT, {"response_format": {"type": "json_object"}}, "response_format"),
    (HAIKU, CHAT, {"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages[0].content[0]"),
    (MINI, MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "thinking"),
    (MINI, MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
    (MINI, MESSAGES, {"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages[0].content[0]"),
]


async def test_every_such_field_is_named_on_both_wires(here: Premises, upstream: Upstream) -> None:
    for model, path, fields, named in UNSAID:
        answer = await here.ask({"model": model, "messages": HELLO, "max_tokens": 3_000, **fields}, path=path)
        assert (answer.status, answer.error["code"]) == (400, "capability_missing"), named
        assert named in answer.error["message"]
    assert upstream.seen == []


async def test_a_model_that_cannot_be_told_is_passed_over_for_one_that_can(here: Premises, upstream: Upstream) -> None:
    """The cheapest speaks chat; what only messages can say goes to the one that speaks it, and the other way round."""
    asked = {"model": "auto", "messages": HELLO, "max_tokens": 3_000}
    plain = await here.ask(asked, path=MESSAGES)
    thinking = await here.ask({**asked, "thinking": {"type": "enabled", "budget_tokens": 2_000}}, path=MESSAGES)
    assert [plain.headers["x-palyra-model"], thinking.headers["x-palyra-model"]] == [MINI, HAIKU]
    seeded = await here.ask({**asked, "seed": 5}, path=CHAT)
    assert seeded.headers["x-palyra-model"] == MINI
    assert [seen.path for seen in upstream.seen] == [CHAT, MESSAGES, CHAT]


async def test_cache_marks_that_do_not_cross_are_noted(here: Premises, upstream: Upstream) -> None:
    marked = [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]
    asked = {"messages": [{"role": "user", "content": marked}], "max_tokens": 64}
    await here.ask({"model": MINI, **asked}, path=MESSAGES)
    await here.ask({"model": HAIKU, **asked}, path=MESSAGES)
    assert upstream.seen[0].json["messages"] == HELLO
    assert upstream.seen[1].json["messages"] == asked["messages"]
    notes = {
        run.model: [note.data for note in (await here.run(run.run_id)).notes if note.kind == "dropped"]
        for run in await here.runs()
    }
    assert notes == {MINI: [{"fields": ["cache_control"]}], HAIKU: []}


async def test_cumulative_usage_of_a_messages_stream_is_told_and_charged(here: Premises, upstream: Upstream) -> None:
    start = {"id": "msg_1", "model": "claude-haiku-4-5", "usage": {"input_tokens": 310, "output_tokens": 1}}
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
    first = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}}
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 1_904, "output_tokens": 57},
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, said, first, last]
    upstream.default = Reply(frames=tuple(frame(one, one["type"]) for one in [*events, {"type": "message_stop"}]))
    stream = await here.openai().chat.completions.create(
        model=HAIKU, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    usage = [chunk async for chunk in stream][-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (1_904, 57)
    run = (await here.run()).run
    assert run.cost_nano_usd == price("claude-haiku-4-5", "anthropic", Reply(input_tokens=1_904, output_tokens=57))


async def test_usage_on_every_chunk_is_counted_once(here: Premises, upstream: Upstream) -> None:
    def chunk(output: int, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": finish}
        usage = {"prompt_tokens": 20, "completion_tokens": output, "total_tokens": 20 + output}
        return frame({"id": "c", "model": "gpt-4o-mini", "choices": [choice], "usage": usage})

    chunks = (chunk(3), chunk(6), chunk(9), chunk(12), chunk(14, "stop"))
    upstream.default = Reply(frames=(*chunks, frame("[DONE]")))
    async with here.anthropic().messages.stream(model=MINI, max_tokens=300, messages=HELLO) as stream:
        final = await stream.get_final_message()
    assert (final.usage.input_tokens, final.usage.output_tokens) == (20, 14)
    run = (await here.run()).run
    assert (run.input_tokens, run.output_tokens) == (20, 14)


async def test_an_event_cut_inside_a_character_crosses_whole(here: Premises, upstream: Upstream) -> None:
    choice = {"index": 0, "delta": {"content": "Žluť 𝕏"}, "finish_reason": "stop"}
    whole = f"data: {json.dumps({'id': 'c', 'choices': [choice]}, ensure_ascii=False)}\n\n".encode()
    cut = whole.index("𝕏".encode()) + 1
    upstream.default = Reply(frames=(whole[:cut], whole[cut : cut + 1], whole[cut + 1 :], frame("[DONE]")))
    async with here.anthropic().messages.stream(model=MINI, max_tokens=300, messages=HELLO) as stream:
        assert await stream.get_final_text() == "Žluť 𝕏"


@pytest.mark.parametrize(("model", "path"), [(MINI, MESSAGES), (HAIKU, CHAT)])
async def test_long_conversations_and_answers_cross_whole(
    here: Premises, upstream: Upstream, model: str, path: str
) -> None:
    """Both are worked through in a thread."""
    long_text = "wörd " * 60_000
    upstream.default = Reply(pieces=(long_text,), input_tokens=100_000, output_tokens=60_000)
    answer = await here.ask(
        {"model": model, "messages": [{"role": "user", "content": long_text}], "max_tokens": 64_000}, path=path
    )
    assert upstream.seen[0].json["messages"] == [{"role": "user", "content": long_text}]
    told = json.loads(answer.body)
    said = told["content"][0]["text"] if model == MINI else told["choices"][0]["message"]["content"]
    assert said == long_text
    assert (await here.run()).run.output_tokens == 60_000
