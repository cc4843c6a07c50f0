import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import openai
import pytest

from palyra.runs.request import Client, Outcome, Refusal, RunRequest
from tests.gateway.stand_in import RUN_ID, TOKEN, Door, StandInHouse, plain, report, serving

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "one",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "one",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 2},
}
REFUSAL = Refusal(
    402,
    "budget_approval_required",
    "budget_approval_required",
    "Budget team-day needs a person's word.",
    {"run_id": RUN_ID, "approval_id": "01KAPP"},
)


def chunk(content: str | None, finish: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "one",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(data)}\n\n".encode()


def event(data: dict[str, object]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


async def streams_chat(request: RunRequest, client: Client) -> Outcome:
    await client.parked(report(approval_id="01KAPP"))
    await client.begin(report(), {"content-type": "text/event-stream"})
    for piece in (chunk("Hel"), chunk("lo."), chunk(None, "stop"), b"data: [DONE]\n\n"):
        await client.write(piece)
    return Outcome(report(), "completed", "stop")


async def streams_messages(request: RunRequest, client: Client) -> Outcome:
    await client.parked(report(approval_id="01KAPP"))
    await client.begin(report(), {"content-type": "text/event-stream"})
    events: tuple[dict[str, object], ...] = (
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )
    for data in events:
        await client.write(event(data))
    return Outcome(report(), "completed", "stop")


async def refuses(request: RunRequest, client: Client) -> Outcome:
    return Outcome(report(approval_id="01KAPP"), "refused", "budget_approval_required", refusal=REFUSAL)


async def refuses_late(request: RunRequest, client: Client) -> Outcome:
    await client.parked(report(approval_id="01KAPP"))
    return await refuses(request, client)


@asynccontextmanager
async def openai_client(house: StandInHouse | None = None) -> AsyncIterator[tuple[openai.AsyncOpenAI, Door]]:
    async with (
        serving(house) as door,
        openai.AsyncOpenAI(base_url=door.gateway.url + "/v1", api_key=TOKEN, max_retries=2) as client,
    ):
        yield client, door


@asynccontextmanager
async def anthropic_client() -> AsyncIterator[tuple[anthropic.AsyncAnthropic, Door]]:
    async with (
        serving() as door,
        anthropic.AsyncAnthropic(base_url=door.gateway.url, api_key=TOKEN, max_retries=2) as client,
    ):
        yield client, door


async def test_openai_gets_its_completion() -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        return plain(json.dumps(COMPLETION).encode())

    async with openai_client() as (client, door):
        door.runner.script = script
        answer = await client.chat.completions.create(model="one", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "Hello."
    assert answer._request_id == RUN_ID
    assert door.runner.asked[0].parsed.model == "one"


async def test_openai_reads_a_stream_that_was_parked_first() -> None:
    async with openai_client() as (client, door):
        door.runner.script = streams_chat
        stream = await client.chat.completions.create(
            model="one", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        text = "".join([piece.choices[0].delta.content or "" async for piece in stream])
    assert text == "Hello."


async def test_openai_raises_its_ordinary_error_once_for_a_refusal() -> None:
    async with openai_client() as (client, door):
        door.runner.script = refuses
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="one", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.status_code == 402
    assert caught.value.type == "budget_approval_required"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["palyra"]["approval_id"] == "01KAPP"
    assert caught.value.response.headers["x-palyra-approval"] == "01KAPP"
    assert len(door.runner.asked) == 1


async def test_openai_raises_for_an_error_on_a_started_stream() -> None:
    async with openai_client() as (client, door):
        door.runner.script = refuses_late
        stream = await client.chat.completions.create(
            model="one", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        with pytest.raises(openai.APIError, match="needs a person's word"):
            await anext(aiter(stream))


async def test_openai_is_told_about_a_bad_key_and_lists_models() -> None:
    async with openai_client() as (client, _):
        assert [model.id async for model in client.models.list()] == ["auto", "openai/gpt-4o-mini", "local"]
        assert (await client.models.retrieve("openai/gpt-4o-mini")).owned_by == "openai"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nothing")
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="plk_wrong").models.list()


async def test_anthropic_gets_its_message() -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        return plain(json.dumps(MESSAGE).encode())

    async with anthropic_client() as (client, door):
        door.runner.script = script
        answer = await client.messages.create(model="one", max_tokens=64, messages=[{"role": "user", "content": "hi"}])
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Hello."
    assert answer._request_id == RUN_ID


async def test_anthropic_reads_a_stream_that_was_parked_first() -> None:
    async with anthropic_client() as (client, door):
        door.runner.script = streams_messages
        async with client.messages.stream(
            model="one", max_tokens=64, messages=[{"role": "user", "content": "hi"}]
        ) as stream:
            text = await stream.get_final_text()
    assert text == "Hello."


@pytest.mark.parametrize("script", [refuses, refuses_late])
async def test_anthropic_raises_its_ordinary_error_once(script: object) -> None:
    async with anthropic_client() as (client, door):
        door.runner.script = script  # type: ignore[assignment]
        with pytest.raises(anthropic.APIStatusError) as caught:
            async with client.messages.stream(
                model="one", max_tokens=64, messages=[{"role": "user", "content": "hi"}]
            ) as stream:
                await stream.get_final_text()
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["palyra"]["approval_id"] == "01KAPP"
    assert len(door.runner.asked) == 1


async def test_anthropic_lists_models_and_is_told_about_a_bad_key() -> None:
    async with anthropic_client() as (client, _):
        assert [model.id async for model in client.models.list()] == ["auto", "openai/gpt-4o-mini", "local"]
        with pytest.raises(anthropic.AuthenticationError):
            await client.with_options(api_key="plk_wrong").models.list()
