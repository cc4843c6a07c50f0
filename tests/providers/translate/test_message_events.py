"""Chat chunks as the events of an Anthropic message."""

from typing import Any

import pytest

from palyra.providers.sse import sse_event
from palyra.providers.wires import Wire
from tests.providers.translate.answers import HEAD, call, chunk, chunks, contents, passed, request, translated

USAGE = {
    "input_tokens": 300,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 600,
    "output_tokens": 250,
    "output_tokens_details": {"thinking_tokens": 40},
}


def events(*data: bytes) -> list[dict[str, Any]]:
    return contents(passed(translated(request(Wire.MESSAGES), Wire.CHAT, data)))


def middle(*data: bytes) -> list[dict[str, Any]]:
    """What lies between the start of the message and its end, less the types' common words."""
    found = events(*data)
    assert found[0]["type"] == "message_start"
    assert [one["type"] for one in found[-2:]] == ["message_delta", "message_stop"]
    return found[1:-2]


def start(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def text(index: int, words: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": words}}


def arguments(index: int, part: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": part}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def tool(index: int, identity: str, name: str) -> dict[str, Any]:
    return start(index, type="tool_use", id=identity, name=name, input={})


def test_a_text() -> None:
    assert events(chunks(chunk(content="hé"), chunk(content="llo"), chunk(finish="stop"))) == [
        {
            "type": "message_start",
            "message": {
                "id": "chatcmpl-1",
                "type": "message",
                "role": "assistant",
                "model": "gpt",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": USAGE,
            },
        },
        start(0, type="text", text=""),
        text(0, "hé"),
        text(0, "llo"),
        stop(0),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": USAGE},
        {"type": "message_stop"},
    ]


def test_each_event_has_its_name() -> None:
    data = passed(translated(request(Wire.MESSAGES), Wire.CHAT, [chunks(chunk(content="x"))]))
    names = [line[7:] for line in data.decode().split("\n") if line.startswith("event: ")]
    assert names == [one["type"] for one in contents(data)]


def test_parallel_calls_one_after_another() -> None:
    assert middle(
        chunks(
            chunk(content="Looking."),
            chunk(tool_calls=[call(0, identity="c0", name="look", arguments="")]),
            chunk(tool_calls=[call(0, arguments='{"at":')]),
            chunk(tool_calls=[call(0, arguments='"sky"}')]),
            chunk(tool_calls=[call(1, identity="c1", name="wait", arguments="{}")]),
            chunk(finish="tool_calls"),
        )
    ) == [
        start(0, type="text", text=""),
        text(0, "Looking."),
        stop(0),
        tool(1, "c0", "look"),
        arguments(1, '{"at":'),
        arguments(1, '"sky"}'),
        stop(1),
        tool(2, "c1", "wait"),
        arguments(2, "{}"),
        stop(2),
    ]


def test_calls_told_in_turns_become_blocks_one_after_another() -> None:
    assert middle(
        chunks(
            chunk(
                tool_calls=[
                    call(0, identity="c0", name="look", arguments=""),
                    call(1, identity="c1", name="wait", arguments='{"s":'),
                ]
            ),
            chunk(tool_calls=[call(0, arguments='{"at":'), call(1, arguments="5}")]),
            chunk(tool_calls=[call(0, arguments='"sky"}')]),
            chunk(content="There."),
            chunk(finish="tool_calls"),
        )
    ) == [
        tool(0, "c0", "look"),
        arguments(0, '{"at":'),
        arguments(0, '"sky"}'),
        stop(0),
        tool(1, "c1", "wait"),
        arguments(1, '{"s":5}'),
        stop(1),
        start(2, type="text", text=""),
        text(2, "There."),
        stop(2),
    ]


def test_calls_that_all_have_the_same_number_are_told_apart_by_id_and_name() -> None:
    assert middle(
        chunks(
            chunk(tool_calls=[call(0, identity="c0", name="look", arguments='{"at":"sky"}')]),
            chunk(tool_calls=[call(0, identity="c1", name="look", arguments='{"at":')]),
            chunk(tool_calls=[call(0, identity="c1", name="look", arguments='"sea"')]),
            chunk(tool_calls=[call(0, identity="x9", arguments="}")]),
            chunk(finish="stop"),
        )
    ) == [
        tool(0, "c0", "look"),
        arguments(0, '{"at":"sky"}'),
        stop(0),
        tool(1, "c1", "look"),
        arguments(1, '{"at":'),
        arguments(1, '"sea"'),
        arguments(1, "}"),
        stop(1),
    ]


def test_a_call_without_arguments_waits_for_the_end() -> None:
    assert middle(
        chunks(
            chunk(tool_calls=[call(0, identity="c0", name="look", arguments="")]),
            chunk(tool_calls=[call(1, identity="c1", name="wait", arguments="{}")]),
            chunk(finish="tool_calls"),
        )
    ) == [tool(0, "c0", "look"), stop(0), tool(1, "c1", "wait"), arguments(1, "{}"), stop(1)]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("content_filter", "refusal")],
)
def test_why_it_ended(finish: str, reason: str) -> None:
    assert events(chunks(chunk(content="x"), chunk(finish=finish)))[-2]["delta"]["stop_reason"] == reason


def test_a_provider_that_merely_stops_where_it_calls_a_tool() -> None:
    one = chunk(tool_calls=[call(0, identity="c0", name="f", arguments="{}")])
    assert events(chunks(one, chunk(finish="stop")))[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_refusal_is_said_and_thoughts_are_not() -> None:
    found = middle(chunks(chunk(reasoning_content="hm"), chunk(refusal="No."), chunk(finish="stop")))
    assert found == [start(0, type="text", text=""), text(0, "No."), stop(0)]


def test_what_is_thought_is_counted_all_the_same() -> None:
    seen = translated(request(Wire.MESSAGES), Wire.CHAT, [chunks(chunk(reasoning_content="hm"), chunk(content="No."))])
    assert sum(one.visible_bytes for one in seen) == 5


def test_an_answer_without_a_word() -> None:
    assert middle(chunks(chunk(finish="stop"))) == []


def test_usage_on_every_chunk_is_told_once() -> None:
    telling = sse_event(
        {
            **HEAD,
            "choices": [{"index": 0, "delta": {"content": "x"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1},
        }
    )
    found = events(chunks(telling, telling, chunk(finish="stop")))
    assert [one["type"] for one in found if "usage" in one] == ["message_delta"]


def test_a_stream_that_breaks_passes_what_it_said() -> None:
    begun = chunk(role="assistant", content="") + chunk(content="he")
    seen = translated(request(Wire.MESSAGES), Wire.CHAT, [begun])
    assert seen[-1].error is not None
    assert [one["type"] for one in contents(passed(seen))] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{"index": 1, "delta": {"content": "other"}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": ["x"]}}]},
        {"choices": [{"index": 0, "delta": None}]},
    ],
)
def test_odd_chunks_say_nothing(odd: dict[str, Any]) -> None:
    assert middle(chunks(sse_event({**HEAD, **odd}), chunk(content="x"), chunk(finish="stop"))) == [
        start(0, type="text", text=""),
        text(0, "x"),
        stop(0),
    ]
