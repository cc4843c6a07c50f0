"""Agents of one vendor's client on models of the other: tools called in parallel, their results, and pictures."""

import json
from typing import Any

from tests.end_to_end.premises import HAIKU, MINI, Premises
from tests.support.upstream import Reply, Upstream, frame

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASKED = "Weather in Brno and Oslo?"
PNG = "iVBORw0KGgo="
CHAT_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "description": "Looks.", "parameters": SCHEMA}}
]
MESSAGES_TOOLS: list[Any] = [{"name": "weather", "description": "Looks.", "input_schema": SCHEMA}]


def call(identity: str, city: str) -> dict[str, Any]:
    return {
        "id": identity,
        "type": "function",
        "function": {"name": "weather", "arguments": json.dumps({"city": city})},
    }


def use(identity: str, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": identity, "name": "weather", "input": {"city": city}}


def completion(**message: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 80, "completion_tokens": 30, "total_tokens": 110}
    data = {"id": "chatcmpl-9", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": [choice]}
    return Reply(raw=json.dumps({**data, "usage": usage}).encode())


def message(*content: dict[str, Any]) -> Reply:
    data = {"id": "msg_9", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": content}
    usage = {"input_tokens": 80, "output_tokens": 30}
    return Reply(raw=json.dumps({**data, "stop_reason": "tool_use", "stop_sequence": None, "usage": usage}).encode())


async def test_an_openai_agent_on_an_anthropic_model(here: Premises, upstream: Upstream) -> None:
    client = here.openai()
    history: list[Any] = [{"role": "user", "content": ASKED}]
    upstream.replies = [message({"type": "text", "text": "Looking."}, use("toolu_1", "Brno"), use("toolu_2", "Oslo"))]
    first = await client.chat.completions.create(
        model=HAIKU, messages=history, tools=CHAT_TOOLS, tool_choice="required", max_tokens=200
    )
    answer = first.choices[0].message
    assert (answer.content, first.choices[0].finish_reason) == ("Looking.", "tool_calls")
    assert answer.tool_calls is not None
    called = [
        (one.id, one.function.name, json.loads(one.function.arguments))
        for one in answer.tool_calls
        if one.type == "function"
    ]
    assert called == [
        ("toolu_1", "weather", {"city": "Brno"}),
        ("toolu_2", "weather", {"city": "Oslo"}),
    ]
    assert upstream.seen[0].json["tools"] == MESSAGES_TOOLS
    assert upstream.seen[0].json["tool_choice"] == {"type": "any"}

    history.append(answer.model_dump(exclude_none=True))
    history += [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "snow"},
    ]
    second = await client.chat.completions.create(model=HAIKU, messages=history, tools=CHAT_TOOLS, max_tokens=200)
    assert second.choices[0].message.content == "Hello world."
    assert upstream.seen[1].json["messages"] == [
        {"role": "user", "content": ASKED},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Looking."}, use("toolu_1", "Brno"), use("toolu_2", "Oslo")],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "snow"},
            ],
        },
    ]
    assert [run.state for run in await here.runs()] == ["completed"] * 2


async def test_an_anthropic_agent_on_an_openai_model(here: Premises, upstream: Upstream) -> None:
    client = here.anthropic()
    history: list[Any] = [{"role": "user", "content": ASKED}]
    upstream.replies = [completion(content="Looking.", tool_calls=[call("call_1", "Brno"), call("call_2", "Oslo")])]
    first = await client.messages.create(
        model=MINI, messages=history, tools=MESSAGES_TOOLS, tool_choice={"type": "any"}, max_tokens=200
    )
    assert first.stop_reason == "tool_use"
    kept = [block.model_dump(include={"type", "text", "id", "name", "input"}) for block in first.content]
    assert kept == [{"text": "Looking.", "type": "text"}, use("call_1", "Brno"), use("call_2", "Oslo")]
    assert upstream.seen[0].json["tools"] == CHAT_TOOLS
    assert upstream.seen[0].json["tool_choice"] == "required"

    history += [
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": "no such city", "is_error": True},
                {"type": "text", "text": "So?"},
            ],
        },
    ]
    second = await client.messages.create(model=MINI, messages=history, tools=MESSAGES_TOOLS, max_tokens=200)
    assert second.content[0].type == "text"
    sent = upstream.seen[1].json["messages"]
    assert [json.loads(one["function"]["arguments"]) for one in sent[1].pop("tool_calls")] == [
        {"city": "Brno"},
        {"city": "Oslo"},
    ]
    assert sent == [
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": "Looking."},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_2", "content": "Error: no such city"},
        {"role": "user", "content": "So?"},
    ]


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return frame({"id": "chatcmpl-9", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": [choice]})


def told(index: int, arguments: str, identity: str = "") -> dict[str, Any]:
    told: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if identity:
        told |= {"id": identity, "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return told


async def test_an_anthropic_client_streams_parallel_calls_told_in_turns(here: Premises, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 80, "completion_tokens": 30, "total_tokens": 110}
    upstream.default = Reply(
        frames=(
            chunk({"role": "assistant", "content": None, "tool_calls": [told(0, "", "call_1"), told(1, "", "call_2")]}),
            chunk({"tool_calls": [told(0, '{"city": '), told(1, '{"city"')]}),
            chunk({"tool_calls": [told(1, ': "Oslo"}')]}),
            chunk({"tool_calls": [told(0, '"Brno"}')]}),
            chunk({}, "tool_calls"),
            frame({"id": "chatcmpl-9", "choices": [], "usage": usage}),
            frame("[DONE]"),
        )
    )
    opened: list[str] = []
    async with here.anthropic().messages.stream(
        model=MINI, messages=[{"role": "user", "content": ASKED}], tools=MESSAGES_TOOLS, max_tokens=200
    ) as stream:
        async for event in stream:
            if event.type in ("content_block_start", "content_block_stop"):
                opened.append(f"{event.type[14:]} {event.index}")
        final = await stream.get_final_message()
    assert opened == ["start 0", "stop 0", "start 1", "stop 1"]
    kept = [block.model_dump(include={"type", "id", "name", "input"}) for block in final.content]
    assert kept == [use("call_1", "Brno"), use("call_2", "Oslo")]
    assert final.stop_reason == "tool_use"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (80, 30)
    run = (await here.run()).run
    assert (run.reason, run.input_tokens, run.output_tokens) == ("tool_calls", 80, 30)


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> tuple[bytes, ...]:
    start: dict[str, Any] = {"type": "content_block_start", "index": index, "content_block": content}
    pieces: list[dict[str, Any]] = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return tuple(frame(one, one["type"]) for one in (start, *pieces, {"type": "content_block_stop", "index": index}))


async def test_an_openai_client_streams_parallel_calls(here: Premises, upstream: Upstream) -> None:
    start = {"id": "msg_9", "model": "claude-haiku-4-5", "usage": {"input_tokens": 80, "output_tokens": 1}}
    ending = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 30}}
    parts = [{"type": "input_json_delta", "partial_json": part} for part in ('{"city"', ': "Brno"}')]
    upstream.default = Reply(
        frames=(
            frame({"type": "message_start", "message": start}, "message_start"),
            *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Looking."}),
            *block(1, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}, *parts),
            *block(2, {"type": "tool_use", "id": "toolu_2", "name": "wait", "input": {}}),
            frame(ending, "message_delta"),
            frame({"type": "message_stop"}, "message_stop"),
        )
    )
    async with here.openai().chat.completions.stream(
        model=HAIKU, messages=[{"role": "user", "content": ASKED}], tools=CHAT_TOOLS, max_tokens=200
    ) as stream:
        final = await stream.get_final_completion()
    (choice,) = final.choices
    assert (choice.message.content, choice.finish_reason) == ("Looking.", "tool_calls")
    assert choice.message.tool_calls is not None
    assert [(one.id, one.function.name, one.function.arguments) for one in choice.message.tool_calls] == [
        ("toolu_1", "weather", '{"city": "Brno"}'),
        ("toolu_2", "wait", "{}"),
    ]
    run = (await here.run()).run
    assert (run.reason, run.input_tokens, run.output_tokens) == ("tool_calls", 80, 30)


async def test_pictures_cross_both_ways(here: Premises, upstream: Upstream) -> None:
    shown, linked = f"data:image/png;base64,{PNG}", "https://example.org/a.png"
    await here.openai().chat.completions.create(
        model=HAIKU,
        max_tokens=200,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Same?"},
                    {"type": "image_url", "image_url": {"url": shown, "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": linked}},
                ],
            }
        ],
    )
    sources: list[Any] = [
        {"type": "base64", "media_type": "image/png", "data": PNG},
        {"type": "url", "url": linked},
    ]
    blocks: list[Any] = [{"type": "text", "text": "Same?"}, *({"type": "image", "source": one} for one in sources)]
    assert upstream.seen[0].json["messages"] == [{"role": "user", "content": blocks}]
    await here.anthropic().messages.create(model=MINI, max_tokens=200, messages=[{"role": "user", "content": blocks}])
    assert upstream.seen[1].json["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Same?"},
                {"type": "image_url", "image_url": {"url": shown}},
                {"type": "image_url", "image_url": {"url": linked}},
            ],
        }
    ]
    assert [run.state for run in await here.runs()] == ["completed"] * 2


async def test_an_anthropic_agents_tool_shows_a_picture_to_an_openai_model(here: Premises, upstream: Upstream) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    history: list[Any] = [
        {"role": "user", "content": "What does it look like?"},
        {"role": "assistant", "content": [use("toolu_1", "Brno")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]}]},
    ]
    client = here.anthropic()
    answer = await client.messages.create(model=MINI, messages=history, tools=MESSAGES_TOOLS, max_tokens=200)
    assert answer.content[0].type == "text"
    assert upstream.seen[0].json["messages"][2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "The result is shown below."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Shown by tool call toolu_1:"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
    ]
