"""Answers of both wires, with usage objects of every kind a provider was ever seen to send."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.simulation.prices import Model

USAGES = {
    "plain": 60,
    "cached": 10,
    "cache_written": 6,
    "reasoning": 6,
    "additive": 3,
    "audio": 2,
    "none": 5,
    "empty": 2,
    "partial": 3,
    "zero": 3,
    "cache_beyond": 2,
    "negative": 2,
    "texts": 2,
    "huge": 1,
    "wrong_total": 3,
    "priced": 3,
    "tools": 2,
}
"""Kinds of usage objects, and how often they come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `usage` None leaves it out; `upstream` is the name the answer gives its model."""

    wire: str
    upstream: str
    text: str
    finish: str
    usage: Mapping[str, Any] | None
    usage_kind: str
    choices: int

    def body(self) -> bytes:
        usage = {} if self.usage is None else {"usage": self.usage}
        if self.wire == "chat":
            message = {"role": "assistant", "content": self.text}
            each = [{"index": n, "message": message, "finish_reason": self.finish} for n in range(self.choices)]
            return _bytes({"id": "c1", "object": "chat.completion", "model": self.upstream, "choices": each, **usage})
        stop = {"stop_reason": "max_tokens" if self.finish == "length" else "end_turn"}
        content = [{"type": "text", "text": self.text}]
        return _bytes(
            {"id": "m1", "type": "message", "role": "assistant", "model": self.upstream}
            | {"content": content}
            | stop
            | usage
        )

    def events(self, asked: Mapping[str, Any]) -> list[bytes]:
        words = [self.text[start : start + 23] for start in range(0, len(self.text), 23)]
        if self.wire == "chat":
            head = {"id": "c1", "object": "chat.completion.chunk", "model": self.upstream}
            found = []
            for index in range(self.choices):
                found += [_event({**head, "choices": [{"index": index, "delta": {"content": word}}]}) for word in words]
                found.append(_event({**head, "choices": [{"index": index, "delta": {}, "finish_reason": self.finish}]}))
            if self.usage is not None and (asked.get("stream_options") or {}).get("include_usage"):
                found.append(_event({**head, "choices": [], "usage": self.usage}))
            return [*found, b"data: [DONE]\n\n"]
        usage = {} if self.usage is None else {"usage": self.usage}
        begun = {} if self.usage is None else {"usage": {**self.usage, "output_tokens": 1}}
        message = {"id": "m1", "type": "message", "role": "assistant", "model": self.upstream, "content": []}
        found = [_event({"type": "message_start", "message": message | begun}, "message_start")]
        block = {"type": "text", "text": ""}
        found.append(_event({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start"))
        for word in words:
            delta = {"type": "text_delta", "text": word}
            found.append(_event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta"))
        found.append(_event({"type": "content_block_stop", "index": 0}, "content_block_stop"))
        stop = {"stop_reason": "max_tokens" if self.finish == "length" else "end_turn"}
        found.append(_event({"type": "message_delta", "delta": stop, **usage}, "message_delta"))
        return [*found, _event({"type": "message_stop"}, "message_stop")]

    def error_event(self) -> bytes:
        error = {"type": "overloaded_error", "message": "overloaded"}
        if self.wire == "chat":
            return _event({"error": error})
        return _event({"type": "error", "error": error}, "error")


def make(asked: Mapping[str, Any], model: Model | None, wire: str, dice: random.Random) -> Answer:
    """What a provider says to a body."""
    ceiling = asked.get("max_completion_tokens") or asked.get("max_tokens")
    wanted = max(1, int(dice.lognormvariate(4.6, 1.1)))
    tokens = min(wanted, ceiling) if isinstance(ceiling, int) else wanted
    finish = "length" if tokens < wanted else "stop"
    text = "word " * (tokens * 4 // 5 + 1)
    prompt = max(1, int(len(json.dumps(asked.get("messages"))) / dice.uniform(3.0, 5.5)))
    kind = dice.choices(list(USAGES), list(USAGES.values()))[0]
    choices = asked.get("n") or 1
    if model is not None and model.reasoning and kind == "plain":
        kind = "reasoning"
    room = ceiling * choices if isinstance(ceiling, int) else None
    usage = _usage(kind, wire, prompt, tokens * choices, room, dice)
    name = asked["model"] if dice.random() < 0.97 else dice.choice(("gpt-4o", "acme-70b-2", "claude-haiku-4-5", ""))
    return Answer(wire, name, text, finish, usage, kind, choices)


def _usage(
    kind: str, wire: str, prompt: int, output: int, room: int | None, dice: random.Random
) -> dict[str, Any] | None:
    chat = wire == "chat"
    first, second = ("prompt_tokens", "completion_tokens") if chat else ("input_tokens", "output_tokens")
    plain: dict[str, Any] = {first: prompt, second: output}
    if chat:
        plain["total_tokens"] = prompt + output
    share = dice.randint(0, prompt)
    match kind:
        case "none":
            return None
        case "empty":
            return {}
        case "cached" if chat:
            return {**plain, "prompt_tokens_details": {"cached_tokens": share}}
        case "cached":
            return {**plain, "cache_read_input_tokens": share * 3}
        case "cache_written" if chat:
            return {**plain, "prompt_tokens_details": {"cached_tokens": share // 2, "cache_write_tokens": share // 3}}
        case "cache_written":
            split = {"ephemeral_5m_input_tokens": share // 3, "ephemeral_1h_input_tokens": share - share // 3}
            return {**plain, "cache_creation_input_tokens": share, "cache_creation": split}
        case "reasoning" if chat:
            hidden = dice.randint(0, max(0, room - output)) if room is not None else dice.randint(0, 3 * output)
            total = {second: output + hidden, "total_tokens": prompt + output + hidden}
            return {**plain, **total, "completion_tokens_details": {"reasoning_tokens": hidden}}
        case "additive" if chat:
            hidden = dice.randint(1, 200)
            parts = {"completion_tokens_details": {"reasoning_tokens": hidden}}
            return {**plain, "total_tokens": prompt + output + hidden, **parts}
        case "audio" if chat:
            return {**plain, "completion_tokens_details": {"audio_tokens": output // 2}}
        case "partial":
            return {first: prompt} if dice.random() < 0.5 else {second: output}
        case "zero":
            return {**dict.fromkeys(plain, 0), first: prompt}
        case "cache_beyond" if chat:
            return {**plain, "prompt_tokens_details": {"cached_tokens": prompt * 3}}
        case "negative":
            return {**plain, second: -output}
        case "texts":
            return {**plain, first: str(prompt), second: float(output) + 0.5}
        case "huge":
            return {**plain, second: output * 40, **({"total_tokens": prompt + output * 40} if chat else {})}
        case "wrong_total" if chat:
            return {**plain, "total_tokens": prompt + output + dice.randint(-20, 300)}
        case "priced":
            return {**plain, "cost": round(dice.uniform(0, 0.01), 6)}
        case "tools" if not chat:
            return {**plain, "server_tool_use": {"web_search_requests": dice.randint(1, 3)}}
    return plain


def error_body(status: int, answer: Answer, dice: random.Random) -> bytes:
    """Some errors tell what they used all the same."""
    error: dict[str, Any] = {"error": {"type": "api_error", "message": f"simulated {status}"}}
    if dice.random() < 0.3 and answer.usage is not None:
        error["usage"] = answer.usage
    return _bytes(error) if dice.random() < 0.9 else b"<html>Bad gateway</html>"


def _event(data: Mapping[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + _bytes(data) + b"\n\n"


def _bytes(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
