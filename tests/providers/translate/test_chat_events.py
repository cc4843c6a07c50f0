"""The events of an Anthropic message as chat chunks."""

from typing import Any

import pytest

from palyra.providers.closing import DONE
from palyra.providers.wires import Wire
from tests.providers.translate.answers import (
    AT,
    START,
    block,
    contents,
    event,
    message,
    passed,
    request,
    said,
    translated,
    used_tool,
)


def stream(*data: bytes, **members: Any) -> bytes:
    return passed(translated(request(Wire.CHAT, **members), Wire.MESSAGES, data))


def deltas(*data: bytes) -> list[dict[str, Any]]:
    """What the chunks say between the first, which only names the role, and the last two: the finish and the usage."""
    found = contents(stream(*data))
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert found[-2]["choices"][0]["delta"] == {}
    assert found[-1]["choices"] == []
    return [one["choices"][0]["delta"] for one in found[1:-2]]


def named(index: int, identity: str, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": ""}
    return {"tool_calls": [{"index": index, "id": identity, "type": "function", "function": function}]}


def argued(index: int, part: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def test_a_text() -> None:
    head = {"id": "msg_1", "object": "chat.completion.chunk", "created": AT // 1000, "model": "claude"}

    def one(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    data = stream(message(said(0, "hé", "llo")))
    assert contents(data) == [
        one({"role": "assistant", "content": ""}),
        one({"content": "hé"}),
        one({"content": "llo"}),
        one({}, "stop"),
        {
            **head,
            "choices": [],
            "usage": {
                "prompt_tokens": 1_000,
                "completion_tokens": 250,
                "total_tokens": 1_250,
                "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
        },
    ]
    assert data.endswith(DONE)
    assert data.count(DONE) == 1


def test_usage_is_told_to_who_asked() -> None:
    data = stream(message(said(0, "x")), stream_options=None)
    assert all(one["choices"] for one in contents(data))
    assert data.endswith(DONE)


def test_parallel_calls() -> None:
    assert deltas(
        message(
            said(0, "Looking."),
            used_tool(1, "t1", "look", '{"at":', "", '"sky"}'),
            used_tool(2, "t2", "wait"),
            reason="tool_use",
        )
    ) == [
        {"content": "Looking."},
        named(0, "t1", "look"),
        argued(0, '{"at":'),
        argued(0, '"sky"}'),
        named(1, "t2", "wait"),
        argued(1, "{}"),
    ]


def test_a_call_whose_input_came_whole() -> None:
    whole = block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {"at": "sky"}})
    assert deltas(message(whole)) == [named(0, "t", "f"), argued(0, '{"at":"sky"}')]


def test_what_has_no_place_is_left_out_and_counted() -> None:
    thought = block(
        0,
        {"type": "thinking", "thinking": ""},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "s"},
    )
    cited = block(
        1,
        {"type": "text", "text": "It"},
        {"type": "citations_delta", "citation": {}},
        {"type": "text_delta", "text": "'s."},
    )
    searched = block(
        2,
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": "{}"},
    )
    data = message(thought, cited, searched)
    assert deltas(data) == [{"content": "It"}, {"content": "'s."}]
    seen = translated(request(Wire.CHAT), Wire.MESSAGES, [data])
    assert sum(one.visible_bytes for one in seen) == len("hm" + "It's." + "{}")


def test_a_sign_of_life_stays_one() -> None:
    ping = event("ping")
    assert b": ping\n\n" in stream(START + ping + said(0, "x") + event("message_stop"))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_why_it_ended(reason: str, finish: str) -> None:
    assert contents(stream(message(said(0, "x"), reason=reason)))[-2]["choices"][0]["finish_reason"] == finish


def test_an_error_ends_it() -> None:
    data = START + said(0, "x") + event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    seen = translated(request(Wire.CHAT), Wire.MESSAGES, [data])
    assert seen[-1].error is not None
    assert "Overloaded" in str(seen[-1].error)
    assert DONE not in passed(seen)


@pytest.mark.parametrize(
    "odd",
    [
        event("content_block_start", index="0", content_block={"type": "text", "text": "no"}),
        event("content_block_start", index=0),
        event("content_block_delta", index=0, delta="x"),
        event("content_block_delta", index=9, delta={"type": "input_json_delta", "partial_json": "{}"}),
        event("content_block_stop"),
        event("novel", text="x"),
        event("message_delta", delta=None, usage={"output_tokens": 3}),
    ],
)
def test_odd_events_say_nothing(odd: bytes) -> None:
    assert deltas(message(odd, said(0, "x"))) == [{"content": "x"}]
