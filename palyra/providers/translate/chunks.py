"""Chat completion chunks as the events of an Anthropic message."""

from typing import Any

from palyra.providers.translate.crossing import parsed_arguments
from palyra.providers.translate.passage import Using
from palyra.providers.translate.replies import chat_texts, messages_usage, stop_reason

TEXT = -1
"""The lane of what is said; tool calls have that of their index."""


class _Lane:
    """A content block to be: what was said for it and not passed on yet, and the pieces of all its arguments."""

    __slots__ = ("block", "closes", "name", "parts", "pending")

    def __init__(self, name: int, block: dict[str, Any]) -> None:
        self.name = name
        self.block = block
        self.pending = ""
        self.parts: list[str] = []
        self.closes = False
        """Whether the arguments end like an object: only then they are worth being read as one."""

    @property
    def complete(self) -> bool:
        """Whether nothing more can come for it, as far as anybody can tell."""
        if self.name == TEXT:
            return True
        return self.closes and parsed_arguments("".join(self.parts)) is not None

    def argue(self, arguments: str) -> None:
        self.pending += arguments
        self.parts.append(arguments)
        if shown := arguments.rstrip():
            self.closes = shown.endswith("}")


class Chunks:
    """Chunks may speak of several tool calls in turns, while blocks follow one another: what comes for a later block
    waits until the one before it is complete."""

    def __init__(self, used: Using) -> None:
        self._used = used
        self._started = False
        self._lanes: list[_Lane] = []
        self._current = 0
        """The position of the block that is open, or is opened next."""
        self._open = False
        self._finish: str | None = None
        self._tools = False

    def heard(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        """What one chunk becomes."""
        events = [] if self._started else [self._start(content)]
        choices = content.get("choices")
        for choice in choices if type(choices) is list else ():
            if type(choice) is not dict or choice.get("index", 0) != 0:
                continue
            if type(delta := choice.get("delta")) is dict:
                self._hear(delta)
            if type(finish := choice.get("finish_reason")) is str:
                self._finish = finish
        self._pass(events)
        return events

    def ended(self) -> list[dict[str, Any]]:
        """What follows the last chunk."""
        events = [] if self._started else [self._start({})]
        self._pass(events, last=True)
        delta = {"stop_reason": stop_reason(self._finish, tools=self._tools), "stop_sequence": None}
        end = {"type": "message_delta", "delta": delta, "usage": messages_usage(self._used())}
        return [*events, end, {"type": "message_stop"}]

    def _start(self, content: dict[str, Any]) -> dict[str, Any]:
        self._started = True
        message: dict[str, Any] = {
            "id": str(content.get("id") or ""),
            "type": "message",
            "role": "assistant",
            "model": str(content.get("model") or ""),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": messages_usage(self._used()),
        }
        return {"type": "message_start", "message": message}

    def _hear(self, delta: dict[str, Any]) -> None:
        for text in chat_texts(delta):
            if not text:
                continue
            if not self._lanes or self._lanes[-1].name != TEXT:
                self._lanes.append(_Lane(TEXT, {"type": "text", "text": ""}))
            self._lanes[-1].pending += text
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if type(calls) is list else ()):
            if type(call) is dict:
                self._hear_call(call, position)

    def _hear_call(self, call: dict[str, Any], position: int) -> None:
        index = call.get("index")
        function = call.get("function")
        if type(function) is not dict:
            function = {}
        name = index if type(index) is int else position
        identity, called = str(call.get("id") or ""), str(function.get("name") or "")
        lane = next((one for one in reversed(self._lanes) if one.name == name), None)
        # Some providers number every call 0, others give every piece of a call another id: with a name it is a new one.
        if lane is None or (identity and called and lane.block["id"] not in ("", identity)):
            self._tools = True
            lane = _Lane(name, {"type": "tool_use", "id": identity, "name": called, "input": {}})
            self._lanes.append(lane)
        if type(arguments := function.get("arguments")) is str:
            lane.argue(arguments)

    def _pass(self, events: list[dict[str, Any]], *, last: bool = False) -> None:
        """Passes on what may be passed on; all of it at the `last`."""
        while self._current < len(self._lanes):
            lane = self._lanes[self._current]
            if not self._open:
                self._open = True
                events.append({"type": "content_block_start", "index": self._current, "content_block": lane.block})
            if lane.pending:
                events.append(self._delta(lane))
                lane.pending = ""
            followed = self._current + 1 < len(self._lanes)
            if not last and not (followed and lane.complete):
                return
            self._open = False
            events.append({"type": "content_block_stop", "index": self._current})
            self._current += 1

    def _delta(self, lane: _Lane) -> dict[str, Any]:
        if lane.name == TEXT:
            delta = {"type": "text_delta", "text": lane.pending}
        else:
            delta = {"type": "input_json_delta", "partial_json": lane.pending}
        return {"type": "content_block_delta", "index": self._current, "delta": delta}
