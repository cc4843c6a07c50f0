"""Reading a streamed answer as it passes: what each event shows, how far usage has come, what is still open."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from palyra.core.values import value
from palyra.providers.errors import ErrorClass, ProviderError, error_in
from palyra.providers.prompt import text_size
from palyra.providers.sse import MAX_EVENT, SseSplitter, event_data
from palyra.providers.wires import Wire

_decode = json.JSONDecoder().decode


@value
class StreamEvent:
    """One event of an answer. `raw` is its bytes; all raws together are the bytes that came.

    `visible_bytes` counts text, tool-call arguments and thinking text in UTF-8; `usage` is the usage known after this
    event where it brought some; `finish` is the provider's finish reason where it brought one. `terminal` marks the
    end of the answer. A `withheld` event is not for the caller. With an `error` the attempt is broken.
    """

    raw: bytes
    visible_bytes: int = 0
    usage: dict[str, Any] | None = None
    finish: str | None = None
    terminal: bool = False
    withheld: bool = False
    error: ProviderError | None = None


class StreamReader(ABC):
    """The state of one streamed answer. `id`, `model`, `service_tier` and `created` are the stream's own, empty or None
    until known; chat chunks name the tier beside the usage.
    `usage_final` tells whether the usage is that of the whole answer: nothing it could still count was open by then.

    Events come one by one, and what an event opens or closes counts once the next one is asked for: whoever stops at
    an event, instead of passing it on, finds the state that the caller's end of the stream is in.
    """

    def __init__(self, limit: int) -> None:
        self.id = ""
        self.model = ""
        self.service_tier = ""
        self.created: int | None = None
        self.usage: dict[str, Any] | None = None
        self.usage_final = False
        self.finish: str | None = None
        self.ended = False
        self._broken = False
        self._limit = limit
        self._splitter = SseSplitter(limit)

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """The events this chunk completed, in order. Nothing comes after an event with an error."""
        if self._broken:
            return
        for raw in self._splitter.feed(chunk):
            yield self._event(raw)
            if self._broken:
                return
            self._passed()
        if self._splitter.overflowed:
            yield self._break(b"", f"An event of the stream is longer than {self._limit} bytes.")

    def end(self) -> Iterator[StreamEvent]:
        """What is left when the connection has ended: an error unless the answer had ended before."""
        if self._broken:
            return
        if rest := self._splitter.rest():
            yield self._event(rest)
            if self._broken:
                return
            self._passed()
        if not self.ended:
            yield self._break(b"", "The stream ended before the answer did.")

    def _event(self, raw: bytes) -> StreamEvent:
        data, name = event_data(raw)
        if data is None or self.ended:
            return StreamEvent(raw)
        if data == b"[DONE]":
            return self._done(raw)
        try:
            content = _decode(data.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return self._break(raw, "An event of the stream is not JSON.")
        if type(content) is not dict:
            return self._break(raw, "An event of the stream is not a JSON object.")
        said = error_in(content)
        if said is not None or name == b"error":
            return self._break(raw, f"The provider broke the stream off: {said or 'no reason given'}")
        return self._read(raw, content)

    def _break(self, raw: bytes, message: str) -> StreamEvent:
        self._broken = True
        return StreamEvent(raw, withheld=True, error=ProviderError(ErrorClass.MALFORMED_RESPONSE, message))

    @abstractmethod
    def _done(self, raw: bytes) -> StreamEvent: ...

    @abstractmethod
    def _read(self, raw: bytes, content: dict[str, Any]) -> StreamEvent: ...

    @abstractmethod
    def _passed(self) -> None:
        """The event read last went on to the caller."""


class ChatReader(StreamReader):
    """OpenAI chat completion chunks. The last usage that is not null wins; nothing is summed."""

    def __init__(self, *, include_usage: bool = True, choices: int = 1, limit: int = MAX_EVENT) -> None:
        super().__init__(limit)
        self._include_usage = include_usage
        self._choices = set(range(choices))
        self._finished: set[int] = set()
        self._seen: list[tuple[int, bool]] = []

    @property
    def open_choices(self) -> tuple[int, ...]:
        """The choices whose finish reason was not passed on yet, those not begun included."""
        return tuple(sorted(self._choices - self._finished))

    def _passed(self) -> None:
        for index, finished in self._seen:
            self._choices.add(index)
            if finished:
                self._finished.add(index)

    def _done(self, raw: bytes) -> StreamEvent:
        self.ended = True
        return StreamEvent(raw, terminal=True)

    def _read(self, raw: bytes, content: dict[str, Any]) -> StreamEvent:
        if not self.id:
            self._identify(content)
        if type(tier := content.get("service_tier")) is str:
            self.service_tier = tier
        visible = 0
        finish = None
        self._seen = []
        choices = content.get("choices")
        if type(choices) is list:
            for choice in choices:
                if type(choice) is dict:
                    if type(delta := choice.get("delta")) is dict:
                        visible += message_bytes(delta)
                    finish = self._progress(choice) or finish
        usage = content.get("usage")
        if type(usage) is not dict:
            return StreamEvent(raw, visible, None, finish)
        self.usage = usage
        self.usage_final = not set(self.open_choices) - {index for index, finished in self._seen if finished}
        return StreamEvent(raw, visible, usage, finish, withheld=not choices and not self._include_usage)

    def _identify(self, content: dict[str, Any]) -> None:
        if type(identity := content.get("id")) is str:
            self.id = identity
        if type(model := content.get("model")) is str:
            self.model = model
        if type(created := content.get("created")) is int:
            self.created = created

    def _progress(self, choice: dict[str, Any]) -> str | None:
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        finish = choice.get("finish_reason")
        if type(finish) is not str:
            self._seen.append((index, False))
            return None
        self._seen.append((index, True))
        if self.finish is None or index == 0:
            self.finish = finish
        return finish


class MessagesReader(StreamReader):
    """Anthropic message events. Usage is cumulative: per field the last value replaces the earlier one."""

    def __init__(self, *, limit: int = MAX_EVENT) -> None:
        super().__init__(limit)
        self.started = False
        self._open: set[int] = set()
        self._last: dict[str, Any] = {}

    @property
    def open_blocks(self) -> tuple[int, ...]:
        """The content blocks whose start was passed on and whose stop was not."""
        return tuple(sorted(self._open))

    def _passed(self) -> None:
        kind = self._last.get("type")
        if kind == "message_start":
            self.started = True
        elif kind == "content_block_start" and type(index := self._last.get("index")) is int:
            self._open.add(index)
        elif kind == "content_block_stop" and type(index := self._last.get("index")) is int:
            self._open.discard(index)

    def _done(self, raw: bytes) -> StreamEvent:
        return StreamEvent(raw)

    def _read(self, raw: bytes, content: dict[str, Any]) -> StreamEvent:
        self._last = content
        kind = content.get("type")
        if kind == "content_block_delta":
            delta = content.get("delta")
            return StreamEvent(raw, block_bytes(delta) if type(delta) is dict else 0)
        if kind == "content_block_start":
            block = content.get("content_block")
            return StreamEvent(raw, block_bytes(block) if type(block) is dict else 0)
        if kind == "message_start":
            if type(message := content.get("message")) is dict:
                self.id = str(message.get("id") or "")
                self.model = str(message.get("model") or "")
                return StreamEvent(raw, usage=self._merge(message.get("usage")))
        elif kind == "message_delta":
            usage = self._merge(content.get("usage"))
            delta = content.get("delta")
            finish = delta.get("stop_reason") if type(delta) is dict else None
            if type(finish) is not str:
                return StreamEvent(raw, usage=usage)
            self.finish = finish
            self.usage_final = usage is not None
            return StreamEvent(raw, usage=usage, finish=finish)
        elif kind == "message_stop":
            self.ended = True
            return StreamEvent(raw, terminal=True)
        return StreamEvent(raw)

    def _merge(self, usage: object) -> dict[str, Any] | None:
        if type(usage) is not dict:
            return None
        known = {name: value for name, value in usage.items() if value is not None}
        self.usage = {**(self.usage or {}), **known}
        return self.usage


def stream_reader(wire: Wire, *, include_usage: bool = True, choices: int = 1) -> ChatReader | MessagesReader:
    """A reader for one answer; without `include_usage` the caller of a chat stream does not see the usage chunk."""
    if wire is Wire.CHAT:
        return ChatReader(include_usage=include_usage, choices=choices)
    return MessagesReader()


def message_bytes(message: dict[str, Any]) -> int:
    """Visible bytes of a chat message or of a delta of one: text, refusal, thinking text, tool-call arguments."""
    size = 0
    for name in ("content", "refusal"):
        value = message.get(name)
        if type(value) is str:
            size += text_size(value)
        elif type(value) is list:
            size += sum(block_bytes(part) for part in value if type(part) is dict)
    # Providers that name it twice repeat the same text.
    for name in ("reasoning_content", "reasoning"):
        if type(value := message.get(name)) is str:
            size += text_size(value)
            break
    if calls := message.get("tool_calls"):
        size += sum(_call_bytes(call) for call in calls if type(call) is dict) if type(calls) is list else 0
    if type(call := message.get("function_call")) is dict:
        size += _call_bytes({"function": call})
    if type(audio := message.get("audio")) is dict and type(spoken := audio.get("transcript")) is str:
        size += text_size(spoken)
    return size


def block_bytes(block: dict[str, Any]) -> int:
    """Visible bytes of an Anthropic content block or of a delta of one."""
    size = 0
    for name in ("text", "thinking", "partial_json"):
        value = block.get(name)
        if type(value) is str:
            size += text_size(value)
        elif type(value) is list:
            size += sum(block_bytes(part) for part in value if type(part) is dict)
    return size


def _call_bytes(call: dict[str, Any]) -> int:
    size = 0
    for name, member in (("function", "arguments"), ("custom", "input")):
        if type(inner := call.get(name)) is dict and type(value := inner.get(member)) is str:
            size += text_size(value)
    return size
