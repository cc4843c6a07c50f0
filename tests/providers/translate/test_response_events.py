"""The events of an Anthropic message as those of the responses wire."""

from typing import Any

import pytest

from palyra.providers.wires import Wire
from tests.providers.translate.answers import (
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


def stream(*data: bytes) -> bytes:
    return passed(translated(request(Wire.RESPONSES), Wire.MESSAGES, data))


def kinds(*data: bytes) -> list[str]:
    return [one["type"].removeprefix("response.") for one in contents(stream(*data))]


TEXT = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
]
CALL = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
]


def test_items_follow_one_another() -> None:
    data = message(said(0, "hé"), used_tool(1, "t1", "look", '{"at":1}'), used_tool(2, "t2", "wait"), reason="tool_use")
    assert kinds(data) == ["created", "in_progress", *TEXT, *CALL, *CALL, "completed"]
    events = contents(stream(data))
    assert {one["item_id"] for one in events if "item_id" in one} == {"msg_msg_1_0", "fc_msg_1_1", "fc_msg_1_2"}
    assert [one["arguments"] for one in events if "arguments" in one] == ['{"at":1}', "{}"]
    assert [one["item"]["status"] for one in events if "item" in one] == ["in_progress", "completed"] * 3


def test_each_event_has_its_name_and_the_response_is_told_whole() -> None:
    data = stream(message(said(0, "x")))
    names = [line[7:] for line in data.decode().split("\n") if line.startswith("event: ")]
    assert names == [one["type"] for one in contents(data)]
    created, ended = contents(data)[0]["response"], contents(data)[-1]["response"]
    assert (created["status"], created["output"], created["usage"]) == ("in_progress", [], None)
    assert (ended["status"], ended["usage"]["total_tokens"]) == ("completed", 1_250)
    assert b"[DONE]" not in data


@pytest.mark.parametrize(
    ("reason", "ending", "details"),
    [
        ("end_turn", "completed", None),
        ("max_tokens", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_why_it_ended(reason: str, ending: str, details: dict[str, str] | None) -> None:
    last = contents(stream(message(said(0, "x"), reason=reason)))[-1]
    assert (last["type"], last["response"]["incomplete_details"]) == (f"response.{ending}", details)


def test_what_has_no_place_is_left_out_and_signs_of_life_stay() -> None:
    thought = block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"})
    data = START + event("ping") + thought + said(1, "x") + event("message_stop")
    assert kinds(data) == ["created", "in_progress", *TEXT, "completed"]
    assert b": ping\n\n" in stream(data)


@pytest.mark.parametrize(
    "odd",
    [
        event("content_block_start", index="0", content_block={"type": "text"}),
        event("content_block_start", index=0),
        event("content_block_delta", index=7, delta={"type": "text_delta", "text": "no"}),
        event("content_block_delta", index=0, delta="x"),
        event("content_block_stop", index=7),
        event("content_block_stop"),
        event("novel"),
        event("message_delta", delta=None),
    ],
)
def test_odd_events_say_nothing(odd: bytes) -> None:
    assert kinds(message(odd, said(0, "x"))) == ["created", "in_progress", *TEXT, "completed"]


def test_an_error_ends_it() -> None:
    data: dict[str, Any] = {"type": "overloaded_error", "message": "Overloaded"}
    seen = translated(request(Wire.RESPONSES), Wire.MESSAGES, [START + said(0, "x") + event("error", error=data)])
    assert seen[-1].error is not None
    assert contents(passed(seen))[-1]["type"] == "response.output_item.done"
