"""Answers kept for a short while, so that the same question of the same caller is not paid for twice.

Only whole answers that ended by themselves are kept, and never streams: what left in pieces at its own pace is not the
same when it comes at once, and an answer that calls tools is an act rather than a text.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from palyra.core.clock import Clock
from palyra.providers.wires import SPEAK_OF_THE_WIRE

Kept = TypeVar("Kept")

LARGEST = 1024 * 1024
"""Bytes of the largest answer that is kept."""

_CALLS = frozenset({"tool_calls", "function_call"})


def question(principal: str, wire: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    """SHA-256 of who asks, the wire, the headers that speak of it, and the body however it is written: neither the
    order of members nor blanks between them matter."""
    spoken = {name: text for name, text in headers.items() if name.startswith(SPEAK_OF_THE_WIRE)}
    said = json.dumps([principal, wire, spoken, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).digest()


def answer_key(asked: bytes, model: str) -> bytes:
    """What the answer of a model, by its public id, to a question is kept under."""
    return hashlib.sha256(asked + model.encode()).digest()


def calls_tools(answer: bytes) -> bool:
    """Whether an answer, on any wire, asks for a tool; one that cannot be read counts as if it did."""
    try:
        data = json.loads(answer)
    except (ValueError, RecursionError):
        return True
    if not isinstance(data, dict):
        return True
    parts = [data, *_tables(data.get("content")), *_tables(data.get("output"))]
    parts += [message for choice in _tables(data.get("choices")) if isinstance(message := choice.get("message"), dict)]
    return any(any(part.get(name) for name in _CALLS) or _is_call(part.get("type")) for part in parts)


def _tables(listed: object) -> list[dict[str, Any]]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _is_call(kind: object) -> bool:
    """`tool_use`, `server_tool_use`, `function_call`, `web_search_call` and their like."""
    return isinstance(kind, str) and kind.endswith(("tool_use", "_call"))


class ResponseCache(Generic[Kept]):
    """At most `entries` answers, each for `ttl_s` seconds; the one kept longest goes first."""

    def __init__(self, clock: Clock, ttl_s: float, entries: int) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._entries = entries
        self._kept: OrderedDict[bytes, tuple[float, Kept]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Kept | None:
        """What was kept under a key and is not too old."""
        self._forget()
        found = self._kept.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        return found[1]

    def put(self, key: bytes, answer: Kept) -> None:
        """Keeps an answer; one that is there already is replaced and its time begins anew."""
        self._kept.pop(key, None)
        self._kept[key] = (self._clock.monotonic() + self._ttl_s, answer)
        self._forget()

    def _forget(self) -> None:
        now = self._clock.monotonic()
        while self._kept:
            key, (ends, _) = next(iter(self._kept.items()))
            if ends > now and len(self._kept) <= self._entries:
                return
            del self._kept[key]
