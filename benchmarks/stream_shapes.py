"""Streamed answers to replay: kept shapes, and draws from them that differ in length and density.

A shape's `events` are [milliseconds since the one before, visible bytes, tokens]; sizes come from real texts cut into
tokens, times from models of 40 to 90 tokens a second. A draw walks through them from a place of its own until it is as
long as it should be: lengths are log-normal around `median` tokens with `sigma`, and `density` is how much tokens per
byte differ from answer to answer.
"""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from palyra.providers.closing import DONE
from palyra.providers.sse import sse_event
from palyra.providers.wires import Wire

FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Draw:
    """One answer. `events` are (milliseconds, visible bytes, tokens, part); `unseen` tokens show no bytes. `dribble`:
    it arrives byte by byte."""

    shape: str
    wire: Wire
    events: tuple[tuple[int, int, int, str], ...]
    unseen: int
    dribble: bool

    @property
    def tokens(self) -> int:
        return sum(tokens for _, _, tokens, _ in self.events) + self.unseen

    def tokens_in(self, visible_bytes: int) -> int:
        """The tokens of its first bytes, those of a part of an event counted as a whole."""
        used = 0
        for _, size, tokens, _ in self.events:
            if visible_bytes <= 0:
                break
            visible_bytes -= size
            used += tokens
        return used


@cache
def shapes() -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return kept


def draw(shape: str, chance: random.Random) -> Draw:
    """The next answer of a shape."""
    kept = shapes()[shape]
    median, sigma = kept["median"], kept["sigma"]
    share, early = kept.get("early", (0.0, 0))
    if share and chance.random() < share:
        median = early
    length = max(2, round(median * math.exp(chance.gauss(0, sigma))))
    density = math.exp(chance.gauss(0, kept["density"]))
    place = chance.randrange(len(kept["events"]))
    events: list[tuple[int, int, int, str]] = []
    thinking = round(length * kept.get("thinking", 0))
    left, wait = length, int(kept["first_ms"])
    while left > 0:
        took, size, tokens = kept["events"][place % len(kept["events"])]
        part = "text" if kept["part"] == "thinking" and length - left >= thinking else kept["part"]
        events.append((wait + took, max(1, round(size * density)), min(tokens, left), part))
        left, place, wait = left - tokens, place + 1, 0
    if kept.get("whole"):
        sizes = (sum(event[1] for event in events), sum(event[2] for event in events))
        events = [(sum(event[0] for event in events), *sizes, kept["part"])]
    unseen = kept.get("unseen", 2)
    return Draw(shape, Wire(kept["wire"]), tuple(events), unseen, kept.get("dribble", False))


def chunks(answer: Draw, input_tokens: int) -> Iterator[tuple[int, bytes]]:
    """What arrives from the provider, and how many milliseconds after what came before."""
    frames = _chat(answer, input_tokens) if answer.wire is Wire.CHAT else _messages(answer, input_tokens)
    for wait, frame in frames:
        if not answer.dribble:
            yield wait, frame
            continue
        for octet in frame:
            yield wait, bytes((octet,))
            wait = 0


def _chat(answer: Draw, input_tokens: int) -> Iterator[tuple[int, bytes]]:
    head: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": answer.shape,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return sse_event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield 0, chunk({"role": "assistant", "content": ""})
    for wait, size, _, part in answer.events:
        text = "x" * size
        called = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        yield wait, chunk(called if part == "tool" else {"content": text})
    yield 1, chunk({}, "stop")
    usage = {"prompt_tokens": input_tokens, "completion_tokens": answer.tokens}
    yield 1, sse_event({**head, "choices": [], "usage": usage}) + DONE


def _messages(answer: Draw, input_tokens: int) -> Iterator[tuple[int, bytes]]:
    def event(kind: str, **fields: Any) -> bytes:
        return sse_event({"type": kind, **fields}, kind)

    usage = {"input_tokens": input_tokens, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": answer.shape, "content": []}
    yield 0, event("message_start", message={**message, "stop_reason": None, "usage": usage})
    blocks = -1
    open_part = ""
    for wait, size, _, part in answer.events:
        if part != open_part:
            if open_part:
                yield 0, event("content_block_stop", index=blocks)
            blocks, open_part = blocks + 1, part
            yield wait, event("content_block_start", index=blocks, content_block={"type": part, part: ""})
            wait = 0
        delta = {"type": f"{part}_delta", part: "x" * size}
        yield wait, event("content_block_delta", index=blocks, delta=delta)
    yield 1, event("content_block_stop", index=blocks)
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield 1, event("message_delta", delta=stop, usage={"output_tokens": answer.tokens}) + event("message_stop")
