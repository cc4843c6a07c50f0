"""Answers are kept for a while, the oldest out first; which question is the same, and which answers call tools."""

import json
from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.providers.cache import ResponseCache, answer_key, calls_tools, question


async def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    clock = ManualClock()
    cache = ResponseCache[str](clock, 30, 128)
    cache.put(b"k", "answer")
    await clock.advance(29.999)
    assert cache.get(b"k") == "answer"
    await clock.advance(0.001)
    assert cache.get(b"k") is None
    assert (cache.hits, cache.misses, len(cache)) == (1, 1, 0)


async def test_the_one_kept_longest_goes_first() -> None:
    clock = ManualClock()
    cache = ResponseCache[int](clock, 30, 3)
    for number in range(3):
        cache.put(bytes([number]), number)
        await clock.advance(1)
    assert cache.get(b"\x00") == 0
    cache.put(b"\x01", 10)
    cache.put(b"\x03", 3)
    assert [cache.get(bytes([number])) for number in range(4)] == [None, 10, 2, 3]
    await clock.advance(29)
    assert [cache.get(bytes([number])) for number in range(4)] == [None, 10, None, 3]


BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.5}


@pytest.mark.parametrize(
    ("principal", "model", "wire", "body", "same"),
    [
        ("ann", "p/m", "chat", dict(reversed(BODY.items())), True),
        ("bob", "p/m", "chat", BODY, False),
        ("ann", "q/m", "chat", BODY, False),
        ("ann", "p/m", "messages", BODY, False),
        ("ann", "p/m", "chat", {**BODY, "temperature": 0.6}, False),
        ("ann", "p/m", "chat", {**BODY, "user": "x"}, False),
        ("ann", "p/m", "chat", {**BODY, "messages": [{"role": "user", "content": "hello "}]}, False),
    ],
)
def test_who_asks_whom_for_what_makes_the_question(
    principal: str, model: str, wire: str, body: dict[str, Any], same: bool
) -> None:
    known = answer_key(question("ann", "chat", BODY, {"openai-beta": "a"}), "p/m")
    assert (answer_key(question(principal, wire, body, {"accept": "*/*", "openai-beta": "a"}), model) == known) is same
    assert len(known) == 32
    assert answer_key(question("ann", "chat", BODY, {"openai-beta": "b"}), "p/m") != known


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        ({"choices": [{"message": {"content": "hi", "tool_calls": None}, "finish_reason": "stop"}]}, False),
        ({"choices": [{"message": {"content": "hi", "tool_calls": []}}]}, False),
        ({"choices": [{"message": {"tool_calls": [{"id": "1"}]}, "finish_reason": "stop"}]}, True),
        ({"choices": [{"message": {"function_call": {"name": "f"}}}]}, True),
        ({"content": [{"type": "text", "text": "hi"}]}, False),
        ({"content": [{"type": "text"}, {"type": "tool_use", "id": "1"}]}, True),
        ({"content": [{"type": "server_tool_use"}]}, True),
        ({"output": [{"type": "message", "content": []}]}, False),
        ({"output": [{"type": "reasoning"}, {"type": "function_call"}]}, True),
        ({"object": "list", "data": [{"embedding": [0.1]}]}, False),
        (["no object"], True),
    ],
)
def test_answers_that_call_tools_are_known_on_every_wire(answer: object, calls: bool) -> None:
    assert calls_tools(json.dumps(answer).encode()) is calls


def test_an_answer_that_cannot_be_read_is_not_kept() -> None:
    assert calls_tools(b"<html>")
