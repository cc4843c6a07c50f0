"""Where a budget ends an answer of any kind, its caller reads a whole one: tool calls, thinking, several choices."""

from collections.abc import Sequence
from typing import Any

import pytest

from palyra.core.money import decimal_usd
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, chat, events_of, usd
from tests.end_to_end.test_streams import EXPECTED_INPUT, OUTPUT, SMALL_SLICES, charged, streamed, the_run
from tests.support.upstream import Reply, Upstream, frame

HEAD = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt-4o-mini"}
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
MESSAGE_TOOL: Any = {"name": "look", "input_schema": {"type": "object", "properties": {}}}


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    return frame({**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def event(kind: str, **fields: Any) -> bytes:
    return frame({"type": kind, **fields}, kind)


def chat_frames(*frames: bytes) -> tuple[bytes, ...]:
    usage = {"prompt_tokens": 12, "completion_tokens": 100, "total_tokens": 112}
    return (*frames, frame({**HEAD, "choices": [], "usage": usage}), frame("[DONE]"))


def message_frames(*blocks: tuple[dict[str, Any], Sequence[dict[str, Any]]]) -> tuple[bytes, ...]:
    usage = {"input_tokens": 12, "output_tokens": 1}
    message = {"id": "msg_9", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
    frames = [event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})]
    for index, (start, deltas) in enumerate(blocks):
        frames.append(event("content_block_start", index=index, content_block=start))
        frames += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        frames.append(event("content_block_stop", index=index))
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    frames.append(event("message_delta", delta=stop, usage={"output_tokens": 100}))
    return (*frames, event("message_stop"))


async def tight(opened: Opener, model: str, tokens: int = 0, **fields: Any) -> Premises:
    """A house in which a stream of that session has room for its beginning, 20 tokens or 40 bytes, and some more."""
    here = await opened(SMALL_SLICES)
    first = await here.ask(streamed(model, **fields), {"X-Palyra-Session": "first"})
    hard = usd(first.headers["x-palyra-bound-usd"]) + tokens * OUTPUT[model]
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="tight")
    return here


TIGHT = {"X-Palyra-Session": "tight"}


async def test_tool_calls_that_are_cut_are_read_by_the_official_client(opened: Opener, upstream: Upstream) -> None:
    here = await tight(opened, MINI, tools=[TOOL])
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    parts = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":12345'}}]}) for _ in range(9)]
    upstream.default = Reply(
        frames=chat_frames(chunk({"role": "assistant", "tool_calls": [call]}), *parts, chunk({}, "tool_calls"))
    )
    stream = await here.openai().chat.completions.create(
        model=MINI, messages=HELLO, max_tokens=5_000, tools=[TOOL], stream=True, extra_headers=TIGHT
    )
    arguments = ""
    finishes = []
    async for piece in stream:
        (choice,) = piece.choices
        finishes.append(choice.finish_reason)
        for called in choice.delta.tool_calls or ():
            assert called.function is not None
            arguments += called.function.arguments or ""
    assert (arguments, finishes) == ('{"a":12345' * 4, [None] * 5 + ["length"])
    detail = await the_run(here)
    assert (detail.run.reason, detail.run.output_tokens) == ("stream_cut_budget", 10)


async def test_thinking_that_is_cut_is_read_by_the_official_client(opened: Opener, upstream: Upstream) -> None:
    """Nobody asked for it: where thinking is asked for, the whole answer is held and nothing is cut."""
    here = await tight(opened, HAIKU)
    thoughts = [{"type": "thinking_delta", "thinking": "0123456789"}] * 9
    upstream.default = Reply(frames=message_frames(({"type": "thinking", "thinking": "", "signature": ""}, thoughts)))
    async with here.anthropic().messages.stream(
        model=HAIKU,
        messages=HELLO,
        max_tokens=5_000,
        extra_headers=TIGHT,
    ) as stream:
        final = await stream.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 10)
    assert final.content[0].type == "thinking"
    assert final.content[0].thinking == "0123456789" * 4


async def test_a_tool_use_that_is_cut_is_read_by_the_official_client(opened: Opener, upstream: Upstream) -> None:
    here = await tight(opened, HAIKU, tools=[MESSAGE_TOOL])
    text = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "0123456789"}] * 2)
    pieces = ['{"path": "', "0123456789", "0123456789", '0123456789"}']
    inputs = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    upstream.default = Reply(frames=message_frames(text, (use, inputs)))
    async with here.anthropic().messages.stream(
        model=HAIKU, messages=HELLO, max_tokens=5_000, tools=[MESSAGE_TOOL], extra_headers=TIGHT
    ) as stream:
        final = await stream.get_final_message()
    assert final.stop_reason == "max_tokens"
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert final.content[1].type == "tool_use"
    # What is left of its arguments is no JSON yet.
    assert final.content[1].input == {}


@pytest.mark.parametrize("finished", [False, True])
async def test_each_choice_that_is_still_open_is_closed(opened: Opener, upstream: Upstream, finished: bool) -> None:
    """Two choices share what is covered; one of them may have finished before."""
    here = await tight(opened, MINI)
    both = [chunk({"content": "0123456789"}, index=index) for _ in range(2) for index in (0, 1)]
    end = [chunk({}, "stop", index=0)] if finished else []
    more = [chunk({"content": "0123456789"}, index=1)] * 5
    upstream.default = Reply(frames=chat_frames(*both, *end, *more))
    stream = await here.openai().chat.completions.create(
        model=MINI, messages=HELLO, n=2, max_tokens=5_000, stream=True, extra_headers=TIGHT
    )
    finishes: dict[int, list[str]] = {0: [], 1: []}
    texts = {0: "", 1: ""}
    async for piece in stream:
        for choice in piece.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason is not None:
                finishes[choice.index].append(choice.finish_reason)
    assert finishes == {0: ["stop" if finished else "length"], 1: ["length"]}
    assert texts == {0: "0123456789" * 2, 1: "0123456789" * 2}


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_an_answer_in_one_event_that_does_not_fit_ends_before_it_begins(
    opened: Opener, upstream: Upstream, model: str
) -> None:
    """The event waits for all it needs and gets none of it; nothing was delivered, so the input is charged."""
    here = await tight(opened, model, tokens=3_000)
    whole = "0123456789" * 2_000
    if model == MINI:
        upstream.default = Reply(frames=chat_frames(chunk({"content": whole}), chunk({}, "stop")))
    else:
        deltas = [{"type": "text_delta", "text": whole}]
        upstream.default = Reply(frames=message_frames(({"type": "text", "text": ""}, deltas)))
    answer = await here.ask({**chat(max_tokens=32_000, stream=True), "model": model}, TIGHT)
    assert b"0123456789" not in answer.body
    ending = events_of(answer.body)
    if model == MINI:
        assert ending[-1]["choices"][0]["finish_reason"] == "length"
    else:
        assert [one["type"] for one in ending] == [
            "message_start",
            "content_block_start",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    detail = await the_run(here)
    known = 12 if model == HAIKU else EXPECTED_INPUT
    told = 1 if model == HAIKU else 0
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("stream_cut_budget", charged(model, told, known))


async def test_an_answer_in_one_event_that_fits_passes_after_one_wait(opened: Opener, upstream: Upstream) -> None:
    here = await tight(opened, MINI, tokens=12_000)
    whole = "0123456789" * 2_000
    upstream.default = Reply(frames=chat_frames(chunk({"content": whole}), chunk({}, "stop")))
    answer = await here.ask(chat(max_tokens=32_000, stream=True), TIGHT)
    assert whole.encode() in answer.body
    detail = await the_run(here)
    assert (detail.run.reason, detail.run.output_tokens) == ("stop", 100)
