"""Reading a streamed answer as it passes: what each event shows, how far usage has come, what is still open."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import orjson

from palyra.core.values import value
from palyra.providers.errors import ErrorClass, ProviderError, error_in
from palyra.providers.prompt import text_size
from palyra.providers.responses_answer import failure_of, finish_of, items_of, types_of
from palyra.providers.sse import MAX_EVENT, SseSplitter, event_data
from palyra.providers.visible import block_bytes, item_bytes, message_bytes
from palyra.providers.wires import Wire

_decode_anything = json.JSONDecoder().decode


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


def _decode(data: bytes) -> Any:
    """The JSON of an event. Raises ValueError or RecursionError.

    The quick reader refuses what is only nearly JSON and rounds numbers beyond 64 bits, which counts never may be.
    """
    if b"usage" not in data:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    return _decode_anything(data.decode("utf-8", "replace"))


class StreamReader(ABC):
    """The state of one streamed answer. `id`, `model`, `service_tier` and `created` are the stream's own, empty or None
    until known; chat chunks name the tier beside the usage. `items` are the types of its output items where the wire
    has such. `failure` is set by an answer that ends telling, in its own words, that it failed.
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
        self.failure: ProviderError | None = None
        self.ended = False
        self.content: dict[str, Any] | None = None
        """What the event that came last says in JSON, None where it says nothing."""
        self._broken = False
        self._limit = limit
        self._splitter = SseSplitter(limit)

    @property
    def items(self) -> tuple[str, ...]:
        """Kinds of what the answer holds beside text, in the provider's words."""
        return ()

    @property
    def said(self) -> tuple[dict[str, Any], ...]:
        """What the event that came last says to the caller, in JSON."""
        return () if self.content is None else (self.content,)

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

    def told(self, content: dict[str, Any]) -> None:
        """An event that was made here went to the caller."""
        self._read(b"", content)
        self._passed()

    def _event(self, raw: bytes) -> StreamEvent:
        self.content = None
        data, name = event_data(raw)
        if data is None or self.ended:
            return StreamEvent(raw)
        if data == b"[DONE]":
            return self._done(raw)
        try:
            content = _decode(data)
        except (ValueError, RecursionError):
            return self._break(raw, "An event of the stream is not JSON.")
        if type(content) is not dict:
            return self._break(raw, "An event of the stream is not a JSON object.")
        said = error_in(content)
        if said is not None or name == b"error" or content.get("type") == "error":
            said = said or content.get("message")
            return self._break(raw, f"The provider broke the stream off: {said or 'no reason given'}")
        self.content = content
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


ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""How answers of the responses wire end."""

_NOT_TEXT = frozenset({"response.audio.delta", "response.output_audio.delta"})
_TEXTS = ("text", "arguments", "refusal", "input", "code", "command", "diff", "transcript")
_INDEXES = ("summary_index", "content_index", "command_index")

Part = tuple[int, str, int]
"""One text of an answer: its output item, what it is, and which of several."""


class ResponsesReader(StreamReader):
    """Events of the responses wire. What an event repeats of what was shown before shows nothing."""

    def __init__(self, *, limit: int = MAX_EVENT) -> None:
        super().__init__(limit)
        self.response: dict[str, Any] | None = None
        """The response as it began, once that was passed on."""
        self.open_items: dict[int, dict[str, Any]] = {}
        """Output items that were begun, as they began, and those that are done, by their place."""
        self.done_items: set[int] = set()
        self.pieces: dict[Part, list[str]] = {}
        """The texts of items that are not done, in pieces."""
        self.sequence = -1
        """The number of the event passed on last."""
        self._last: dict[str, Any] = {}
        self._shown: dict[Part, int] = {}
        self._shown_of_item: dict[int, int] = {}
        self._types: dict[int, str] = {}

    @property
    def items(self) -> tuple[str, ...]:
        """Kinds of the answer's items, in their order."""
        return tuple(self._types[index] for index in sorted(self._types))

    def _passed(self) -> None:
        content, self._last = self._last, {}
        if type(number := content.get("sequence_number")) is int:
            self.sequence = number
        kind, index = content.get("type"), _index(content, "output_index")
        if self.response is None and type(response := content.get("response")) is dict:
            self.response = response
        elif kind == "response.output_item.added" and type(item := content.get("item")) is dict:
            self.open_items[index] = item
        elif kind == "response.output_item.done" and type(item := content.get("item")) is dict:
            self.open_items[index] = item
            self.done_items.add(index)
            for part in [part for part in self.pieces if part[0] == index]:
                del self.pieces[part]
        elif type(kind) is str and kind.endswith(".delta") and type(delta := content.get("delta")) is str:
            self.pieces.setdefault(_part(kind, index, content), []).append(delta)

    def _done(self, raw: bytes) -> StreamEvent:
        return StreamEvent(raw)

    def _read(self, raw: bytes, content: dict[str, Any]) -> StreamEvent:
        self._last = content
        kind = content.get("type")
        if type(kind) is not str:
            return StreamEvent(raw)
        response = content.get("response")
        if type(response) is dict:
            return self._told(raw, kind, response)
        index = _index(content, "output_index")
        if kind in ("response.output_item.added", "response.output_item.done"):
            item = content.get("item")
            return StreamEvent(raw, self._item(index, item) if type(item) is dict else 0)
        part = _part(kind, index, content)
        if kind.endswith(".delta") and kind not in _NOT_TEXT and type(delta := content.get("delta")) is str:
            size = text_size(delta)
        elif kind.endswith(".done"):
            whole = max((text_size(text) for name in _TEXTS if type(text := content.get(name)) is str), default=0)
            size = max(0, whole - self._shown.get(part, 0))
        else:
            return StreamEvent(raw)
        self._shown[part] = self._shown.get(part, 0) + size
        self._shown_of_item[index] = self._shown_of_item.get(index, 0) + size
        return StreamEvent(raw, size)

    def _item(self, index: int, item: dict[str, Any]) -> int:
        """What an item shows that was not shown before."""
        if type(kind := item.get("type")) is str:
            self._types[index] = kind
        shown = self._shown_of_item.get(index, 0)
        size = max(0, item_bytes(item) - shown)
        self._shown_of_item[index] = shown + size
        return size

    def _told(self, raw: bytes, kind: str, response: dict[str, Any]) -> StreamEvent:
        """An event that carries the response as a whole."""
        if not self.id:
            self.id, self.model = str(response.get("id") or ""), str(response.get("model") or "")
            created = response.get("created_at")
            self.created = created if type(created) is int else None
        if type(tier := response.get("service_tier")) is str:
            self.service_tier = tier
        usage = response.get("usage")
        heard = usage if type(usage) is dict else None
        self.usage = heard or self.usage
        if kind not in ENDS:
            return StreamEvent(raw, usage=heard)
        items = items_of(response)
        visible = sum(self._item(index, item) for index, item in enumerate(items))
        if len(items) > len(self._types):
            self._types = dict(enumerate(types_of(items)))
        self.usage_final = heard is not None
        self.failure = failure_of(response)
        self.finish = finish_of(response)
        self.ended = True
        return StreamEvent(raw, visible, heard, self.finish, terminal=True)


def _index(content: dict[str, Any], name: str) -> int:
    index = content.get(name)
    return index if type(index) is int else 0


def _part(kind: str, index: int, content: dict[str, Any]) -> Part:
    name = next((name for name in _INDEXES if name in content), "")
    return index, kind.rpartition(".")[0], _index(content, name)


AnswerReader = ChatReader | MessagesReader | ResponsesReader


def stream_reader(wire: Wire, *, include_usage: bool = True, choices: int = 1) -> AnswerReader:
    """A reader for one answer; without `include_usage` the caller of a chat stream does not see the usage chunk."""
    if wire is Wire.CHAT:
        return ChatReader(include_usage=include_usage, choices=choices)
    if wire is Wire.RESPONSES:
        return ResponsesReader()
    return MessagesReader()
