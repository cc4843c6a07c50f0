"""The built-in provider on both wires, plain, streamed and scripted."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.providers import ScriptStep
from palyra.core.clock import ManualClock
from palyra.providers.deterministic import DeterministicProvider
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.reply import read_reply
from palyra.providers.stream import StreamEvent, stream_reader
from palyra.providers.upstream import Progress, UpstreamCall, UpstreamReply
from palyra.providers.wires import USAGE_NAMES, Wire
from tests.providers.bodies import base64_of, chat, messages, responses, text, user

BODY = {Wire.CHAT: chat, Wire.MESSAGES: messages, Wire.RESPONSES: responses}

FINISHES = {
    Wire.CHAT: ("stop", "length"),
    Wire.MESSAGES: ("end_turn", "max_tokens"),
    Wire.RESPONSES: ("stop", "max_output_tokens"),
}
"""How an answer ends that is whole, and one that is cut."""


def provider(*steps: ScriptStep, clock: ManualClock | None = None) -> DeterministicProvider:
    return DeterministicProvider(clock or ManualClock(), steps)


async def ask(wire: Wire, body: bytes, *steps: ScriptStep) -> UpstreamReply:
    return await provider(*steps).send(
        UpstreamCall(wire, "deterministic", "", {}, body, stream=b'"stream":true' in body)
    )


async def answer(wire: Wire, *steps: ScriptStep, **members: Any) -> dict[str, Any]:
    reply = await ask(wire, BODY[wire](**members), *steps)
    data: dict[str, Any] = json.loads(await reply.read())
    return data


def said(wire: Wire, data: dict[str, Any]) -> str:
    if wire is Wire.RESPONSES:
        (data,) = data["output"]
    text = data["choices"][0]["message"]["content"] if wire is Wire.CHAT else data["content"][0]["text"]
    assert isinstance(text, str)
    return text


async def streamed(wire: Wire, *steps: ScriptStep, **members: Any) -> tuple[str, list[StreamEvent]]:
    reply = await ask(wire, BODY[wire](stream=True, **members), *steps)
    reader = stream_reader(wire)
    events = [event async for chunk in reply.chunks() for event in reader.feed(chunk)]
    return "".join(deltas(wire, events)), [*events, *reader.end()]


def deltas(wire: Wire, events: list[StreamEvent]) -> list[str]:
    found = []
    for event in events:
        if event.visible_bytes:
            data = json.loads(event.raw.split(b"data: ", 1)[1])
            if wire is Wire.CHAT:
                data = data["choices"][0]
            delta = data["delta"]
            found.append(delta if wire is Wire.RESPONSES else delta["content" if wire is Wire.CHAT else "text"])
    return found


def conversation(*turns: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


@pytest.mark.parametrize("wire", BODY)
@pytest.mark.parametrize(
    ("turns", "reply"),
    [
        ([("user", "hello")], "hello"),
        ([("user", "one"), ("assistant", "two"), ("user", "three")], "three"),
        ([("user", [text("a"), text("b")])], "a\nb"),
        ([("user", "")], "ack"),
        ([("user", [])], "ack"),
        ([("assistant", "nobody asked")], "ack"),
    ],
)
async def test_the_last_user_text_comes_back(wire: Wire, turns: list[tuple[str, Any]], reply: str) -> None:
    assert said(wire, await answer(wire, messages=conversation(*turns))) == reply


async def test_json_is_acknowledged_in_json() -> None:
    data = await answer(Wire.CHAT, response_format={"type": "json_object"})
    assert said(Wire.CHAT, data) == '{"ack":"ok"}'
    data = await answer(Wire.MESSAGES, output_config={"format": {"type": "json_schema", "schema": {}}})
    assert said(Wire.MESSAGES, data) == '{"ack":"ok"}'


async def test_usage_is_a_quarter_of_the_bytes_rounded_up() -> None:
    turns = conversation(("system", "žž"), ("user", "hello"))
    assert (await answer(Wire.CHAT, messages=turns))["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
    }
    data = await answer(Wire.MESSAGES, system=[text("žž")], messages=conversation(("user", "hello")))
    assert data["usage"] == {"input_tokens": 3, "output_tokens": 2}


@pytest.mark.parametrize(("max_tokens", "reply", "cut"), [(1, "hell", True), (2, "hello", False), (99, "hello", False)])
@pytest.mark.parametrize("wire", BODY)
async def test_a_reply_is_cut_at_max_tokens(wire: Wire, max_tokens: int, reply: str, cut: bool) -> None:
    body = BODY[wire](max_tokens=max_tokens)
    plain = read_reply(wire, await (await ask(wire, body)).read())
    assert said(wire, plain.data) == reply
    assert plain.finish == FINISHES[wire][cut]
    assert plain.usage is not None
    assert plain.usage[USAGE_NAMES[wire].output or ""] <= max_tokens


async def test_a_cut_never_splits_a_character() -> None:
    data = await answer(Wire.CHAT, messages=conversation(("user", "aaa𝕏")), max_tokens=1)
    assert said(Wire.CHAT, data) == "aaa"


async def test_several_choices_are_all_answered_and_all_counted() -> None:
    data = await answer(Wire.CHAT, n=3)
    assert [choice["index"] for choice in data["choices"]] == [0, 1, 2]
    assert data["usage"]["completion_tokens"] == 6
    _, events = await streamed(Wire.CHAT, n=3, stream_options={"include_usage": True})
    assert sum(event.finish == "stop" for event in events) == 3


@pytest.mark.parametrize("wire", BODY)
@given(content=st.text(min_size=1, max_size=200))
def test_a_stream_gives_the_text_in_pieces_of_at_most_four_bytes(wire: Wire, content: str) -> None:
    text, events = asyncio.run(streamed(wire, max_tokens=10_000, messages=conversation(("user", content))))
    assert text == content
    sizes = [event.visible_bytes for event in events if event.visible_bytes]
    assert max(sizes) <= 4
    assert all(len(piece.encode()) == size for piece, size in zip(deltas(wire, events), sizes, strict=True))
    assert events[-1].terminal
    assert not any(event.error for event in events)


@pytest.mark.parametrize("wire", BODY)
async def test_a_stream_reports_the_same_usage_as_a_plain_answer(wire: Wire) -> None:
    plain = await answer(wire)
    _, events = await streamed(wire, stream_options={"include_usage": True})
    assert [event.usage for event in events if event.usage][-1] == plain["usage"]
    assert [event.finish for event in events if event.finish] == [FINISHES[wire][False]]


async def test_a_chat_stream_tells_no_usage_unasked() -> None:
    _, events = await streamed(Wire.CHAT)
    assert not any(event.usage for event in events)


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64_of(9)}}
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("wire", "members"),
    [
        (Wire.CHAT, {"tools": [TOOL]}),
        (Wire.CHAT, {"messages": user({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}})}),
        (Wire.MESSAGES, {"tools": [{"name": "f", "input_schema": {}}]}),
        (Wire.MESSAGES, {"messages": user(IMAGE)}),
        (Wire.RESPONSES, {"tools": [{"type": "function", "name": "f"}]}),
        (Wire.RESPONSES, {"input": user({"type": "input_image", "image_url": "https://example.org/a.png"})}),
    ],
)
async def test_images_and_tools_are_refused(wire: Wire, members: dict[str, Any]) -> None:
    reply = await ask(wire, BODY[wire](**members))
    assert reply.status == 400
    assert json.loads(await reply.read())["error"]["code"] == "capability_missing"


async def test_a_body_it_cannot_read_is_refused() -> None:
    reply = await ask(Wire.CHAT, b"{")
    assert reply.status == 400
    assert json.loads(await reply.read())["error"]["code"] == "invalid_json"


async def test_equal_requests_get_equal_bytes() -> None:
    first, second = [await (await ask(Wire.CHAT, chat())).read() for _ in range(2)]
    assert first == second


async def test_it_writes_as_soon_as_it_is_asked() -> None:
    progress = Progress()
    await provider().send(UpstreamCall(Wire.CHAT, "d", "", {}, chat(), stream=False), progress)
    assert progress.written


# Scripts


async def test_a_script_is_followed_in_order_and_then_forgotten() -> None:
    echo = provider(ScriptStep(text="first"), ScriptStep(status=503), ScriptStep())
    call = UpstreamCall(Wire.CHAT, "d", "", {}, chat(), stream=False)
    replies = [await echo.send(call) for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 503, 200, 200]
    assert [said(Wire.CHAT, json.loads(await replies[i].read())) for i in (0, 2, 3)] == ["first", "hello", "hello"]


@pytest.mark.parametrize("wire", BODY)
async def test_a_scripted_status_comes_with_its_retry_after(wire: Wire) -> None:
    reply = await ask(wire, BODY[wire](), ScriptStep(status=429, retry_after=7))
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert json.loads(await reply.read())["error"]["type"] == "rate_limit_error"


async def test_a_scripted_delay_passes_on_the_clock() -> None:
    clock = ManualClock()
    call = UpstreamCall(Wire.CHAT, "d", "", {}, chat(), stream=False)
    sending = asyncio.create_task(provider(ScriptStep(delay_ms=2_500), clock=clock).send(call))
    await clock.advance(2.4)
    assert not sending.done()
    await clock.advance(0.1)
    assert (await sending).status == 200


async def test_a_scripted_drop_breaks_the_stream_after_so_many_chunks() -> None:
    reply = await ask(Wire.CHAT, chat(stream=True), ScriptStep(drop_after_chunks=2))
    chunks = reply.chunks()
    assert b"".join([await anext(chunks), await anext(chunks)]).count(b"data: ") == 2
    with pytest.raises(ProviderError) as failure:
        await anext(chunks)
    assert failure.value.error_class is ErrorClass.NETWORK_UNAVAILABLE
    assert failure.value.written


async def test_a_scripted_drop_breaks_a_plain_answer() -> None:
    reply = await ask(Wire.CHAT, chat(), ScriptStep(drop_after_chunks=0))
    with pytest.raises(ProviderError):
        await reply.read()


@pytest.mark.parametrize("wire", BODY)
async def test_scripted_usage_is_reported_word_for_word(wire: Wire) -> None:
    usage: dict[str, object] = {"prompt_tokens": 1, "completion_tokens": 2, "input_tokens": 3, "output_tokens": 4}
    assert (await answer(wire, ScriptStep(usage=usage)))["usage"] == usage
    _, events = await streamed(wire, ScriptStep(usage=usage), stream_options={"include_usage": True})
    assert [event.usage for event in events if event.usage][-1] == usage


@pytest.mark.parametrize("wire", BODY)
async def test_empty_scripted_usage_is_not_reported(wire: Wire) -> None:
    assert (await answer(wire, ScriptStep(usage={}))).get("usage") is None
    _, events = await streamed(wire, ScriptStep(usage={}), stream_options={"include_usage": True})
    assert not any(event.usage for event in events)
    assert events[-1].terminal


@pytest.mark.parametrize("wire", BODY)
async def test_a_scripted_malformed_answer_cannot_be_read(wire: Wire) -> None:
    reply = await ask(wire, BODY[wire](), ScriptStep(malformed=True))
    with pytest.raises(ProviderError):
        read_reply(wire, await reply.read())
    _, events = await streamed(wire, ScriptStep(malformed=True))
    assert events[0].error is None
    assert events[-1].error is not None


async def test_a_closed_reply_sends_no_more() -> None:
    reply = await ask(Wire.CHAT, chat(stream=True))
    chunks = reply.chunks()
    await anext(chunks)
    reply.close()
    assert [chunk async for chunk in chunks] == []


async def test_an_answer_over_the_limit_is_refused() -> None:
    reply = await ask(Wire.CHAT, chat())
    with pytest.raises(ProviderError) as failure:
        await reply.read(limit=10)
    assert failure.value.error_class is ErrorClass.MALFORMED_RESPONSE
