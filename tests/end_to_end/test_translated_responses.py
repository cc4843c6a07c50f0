"""Clients of the responses wire on models that speak another: answers, streams, tools, pictures, cuts and charges."""

import asyncio
import json
from typing import Any

import openai
import pytest

from palyra.core.money import decimal_usd
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, events_of, usd
from tests.end_to_end.test_streams import OUTPUT, SMALL_SLICES, TEN, charged, long
from tests.end_to_end.test_translated import CACHED, check_books
from tests.support.upstream import Reply, Upstream, frame

PATH = "/v1/responses"
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[Any] = [
    {"type": "function", "name": "weather", "description": "Looks.", "parameters": SCHEMA, "strict": False}
]


def asked(model: str, **members: Any) -> dict[str, Any]:
    return {"model": model, "input": "hello", "max_output_tokens": 5_000, **members}


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_responses_client_is_answered_by_any_model(here: Premises, upstream: Upstream, model: str) -> None:
    upstream.default = CACHED
    answer = await here.openai().responses.create(
        model=model, instructions="Be brief.", input="hello", max_output_tokens=300, temperature=0.5, store=False
    )
    assert (answer.output_text, answer.status, answer.object) == ("Hello, wörld.", "completed", "response")
    assert (answer.model, answer.instructions, answer.temperature) == (model.split("/")[1], "Be brief.", 0.5)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (5_000, 250, 5_250)
    assert answer.usage.input_tokens_details.cached_tokens == 4_000
    common = {"max_tokens": 300, "temperature": 0.5, "model": model.split("/")[1]}
    expected: dict[str, dict[str, Any]] = {
        MINI: {"messages": [{"role": "system", "content": "Be brief."}, *HELLO], **common},
        HAIKU: {"messages": HELLO, "system": "Be brief.", **common},
    }
    assert upstream.seen[0].json == expected[model]
    await check_books(here, model, CACHED)


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_responses_client_streams_from_any_model(here: Premises, upstream: Upstream, model: str) -> None:
    upstream.default = CACHED
    async with here.openai().responses.stream(model=model, input="hello") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * len(CACHED.pieces),
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == "Hello, wörld."
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (5_000, 250)
    assert final.usage.input_tokens_details.cached_tokens == 4_000
    sent = upstream.seen[0].json
    assert (sent["stream"], sent.get("max_tokens")) == (True, 4_096 if model == HAIKU else None)
    await check_books(here, model, CACHED)


def completion() -> Reply:
    calls = [
        {"id": f"call_{city}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
        for city in ("Brno", "Oslo")
    ]
    choice = {"index": 0, "message": {"content": "Looking.", "tool_calls": calls}, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 80, "completion_tokens": 30}
    return Reply(raw=json.dumps({"id": "c", "model": "gpt-4o-mini", "choices": [choice], "usage": usage}).encode())


def message() -> Reply:
    uses = [
        {"type": "tool_use", "id": f"call_{city}", "name": "weather", "input": {"city": city}}
        for city in ("Brno", "Oslo")
    ]
    content = [{"type": "text", "text": "Looking."}, *uses]
    usage = {"input_tokens": 80, "output_tokens": 30}
    data = {"id": "m", "model": "claude-haiku-4-5", "content": content, "stop_reason": "tool_use", "usage": usage}
    return Reply(raw=json.dumps(data).encode())


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_an_agent_of_the_responses_wire_on_any_model(here: Premises, upstream: Upstream, model: str) -> None:
    client = here.openai()
    history: list[Any] = [{"role": "user", "content": "Weather in Brno and Oslo?"}]
    upstream.replies = [completion() if model == MINI else message()]
    first = await client.responses.create(model=model, input=history, tools=TOOLS, tool_choice="required")
    called = [(one.call_id, one.name, json.loads(one.arguments)) for one in first.output if one.type == "function_call"]
    assert called == [
        ("call_Brno", "weather", {"city": "Brno"}),
        ("call_Oslo", "weather", {"city": "Oslo"}),
    ]
    assert (first.output_text, first.status) == ("Looking.", "completed")
    history += [item.model_dump(exclude_none=True) for item in first.output]
    history += [
        {"type": "function_call_output", "call_id": "call_Brno", "output": "sunny"},
        {"type": "function_call_output", "call_id": "call_Oslo", "output": "snow"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "So?"},
                {"type": "input_image", "image_url": PNG, "detail": "auto"},
            ],
        },
    ]
    second = await client.responses.create(model=model, input=history, tools=TOOLS)
    assert second.output_text == "Hello world."
    sent = upstream.seen[1].json["messages"]
    if model == MINI:
        assert [one["id"] for one in sent[1].pop("tool_calls")] == ["call_Brno", "call_Oslo"]
        assert sent[1:] == [
            {"role": "assistant", "content": "Looking."},
            {"role": "tool", "tool_call_id": "call_Brno", "content": "sunny"},
            {"role": "tool", "tool_call_id": "call_Oslo", "content": "snow"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "So?"}, {"type": "image_url", "image_url": {"url": PNG}}],
            },
        ]
    else:
        assert [block["type"] for block in sent[1]["content"]] == ["text", "tool_use", "tool_use"]
        assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "tool_result", "text", "image"]


async def test_a_stream_of_calls_is_told_in_items(here: Premises, upstream: Upstream) -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return frame({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": ""}}
    upstream.default = Reply(
        frames=(
            chunk({"content": "Looking."}),
            chunk({"tool_calls": [call]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}),
            chunk({}, "tool_calls"),
            frame("[DONE]"),
        )
    )
    async with here.openai().responses.stream(model=MINI, input="hello", tools=TOOLS) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    said, called = final.output
    assert said.type == "message"
    assert said.id == "msg_c_0"
    assert called.type == "function_call"
    assert (called.id, called.call_id, called.name, called.arguments) == (
        "fc_c_1",
        "call_1",
        "weather",
        '{"city":"Oslo"}',
    )
    assert [event.type for event in events if "arguments" in event.type] == [
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
    ]


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_a_budget_that_runs_out_leaves_a_response_incomplete(
    opened: Opener, upstream: Upstream, model: str
) -> None:
    here = await opened(SMALL_SLICES)
    first = await here.ask(asked(model, stream=True), {"X-Palyra-Session": "first"}, path=PATH)
    hard = usd(first.headers["x-palyra-bound-usd"]) + 32 * OUTPUT[model]
    await here.add_budget("room", decimal_usd(hard), scope_kind="session", scope_id="default:default")
    upstream.default = long(gate=asyncio.Event(), gate_at=15)
    answer = await here.ask(asked(model, stream=True), path=PATH)
    last = events_of(answer.body)[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["content"][0]["text"] == TEN * 10
    run = (await here.run((await here.runs())[0].run_id)).run
    known_input = 12 if model == HAIKU else last["response"]["usage"]["input_tokens"]
    assert (run.reason, run.cost_nano_usd) == ("stream_cut_budget", charged(model, 25, known_input))


@pytest.mark.parametrize("model", [MINI, HAIKU])
async def test_errors_and_breaks_are_told_on_the_responses_wire(here: Premises, upstream: Upstream, model: str) -> None:
    off = {"X-Palyra-Failover": "off"}
    upstream.replies = [Reply(status=422, error_body=b'{"error": {"message": "too odd", "type": "vendor_error"}}')]
    refused = await here.ask(asked(model), off, path=PATH)
    assert (refused.status, refused.error["type"]) == (422, "invalid_request_error")
    assert b"vendor_error" not in refused.body
    upstream.replies = [long(break_at=12)]
    with pytest.raises(openai.APIError):
        async for _ in await here.openai(max_retries=0).responses.create(
            model=model, input="hello", stream=True, extra_headers=off
        ):
            pass


UNSAID: list[tuple[str, dict[str, Any], str]] = [
    (MINI, {"tools": [{"type": "web_search"}]}, "tools[0]"),
    (MINI, {"include": ["message.output_text.logprobs"]}, "include"),
    (MINI, {"truncation": "auto"}, "truncation"),
    (MINI, {"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
    (HAIKU, {"reasoning": {"effort": "high"}}, "reasoning.effort"),
    (HAIKU, {"text": {"format": {"type": "json_object"}}}, "text.format"),
    (HAIKU, {"previous_response_id": "resp_1"}, "previous_response_id"),
    (HAIKU, {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
]


async def test_what_the_other_wires_cannot_say_is_named(here: Premises, upstream: Upstream) -> None:
    for model, members, named in UNSAID:
        answer = await here.ask(asked(model, **members), path=PATH)
        assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "capability_missing", named)
    assert upstream.seen == []


async def test_shapes_of_answers_cross_to_chat(here: Premises, upstream: Upstream) -> None:
    shape = {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}
    await here.ask(asked(MINI, text={"format": shape, "verbosity": "low"}, reasoning={"effort": "low"}), path=PATH)
    sent = upstream.seen[0].json
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": SCHEMA, "strict": True},
    }
    assert (sent["verbosity"], sent["reasoning_effort"]) == ("low", "low")
