"""Bodies that tests send and receive, built from parts."""

import base64
import json
from typing import Any


def chat(**members: Any) -> bytes:
    return compact({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], **members})


def messages(**members: Any) -> bytes:
    data = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
    return compact({**data, **members})


def compact(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def text(value: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **members}


def base64_of(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


def responses(**members: Any) -> bytes:
    """`messages` and `max_tokens` are put as this wire does."""
    data: dict[str, Any] = {"model": "gpt-5-mini", "input": [{"role": "user", "content": "hello"}]}
    for name, theirs in (("messages", "input"), ("max_tokens", "max_output_tokens")):
        if name in members:
            data[theirs] = members.pop(name)
    return compact({**data, **members})
