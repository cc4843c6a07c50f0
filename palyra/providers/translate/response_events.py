"""The events of an Anthropic message as those of the responses wire."""

from typing import Any

from palyra.providers.request import ParsedRequest
from palyra.providers.responses_closing import response_event
from palyra.providers.sse import sse_event
from palyra.providers.translate.chat_events import STILL_THERE
from palyra.providers.translate.crossing import compact
from palyra.providers.translate.passage import Using
from palyra.providers.translate.response_object import (
    begun_response,
    call_item,
    ended_response,
    message_item,
    text_part,
)
from palyra.providers.wires import completed_reason


class _Item:
    """An output item on its way. `said` is its text or its arguments so far; `unsaid` stands in for none."""

    __slots__ = ("block", "identity", "place", "said", "unsaid")

    def __init__(self, identity: str, place: int, block: dict[str, Any]) -> None:
        self.identity = identity
        self.place = place
        self.block = block
        self.said = ""
        self.unsaid = ""

    @property
    def is_text(self) -> bool:
        return bool(self.block.get("type") == "text")

    def whole(self) -> dict[str, Any]:
        if self.is_text:
            return message_item(self.identity, self.place, self.said)
        call_id, name = str(self.block.get("id") or ""), str(self.block.get("name") or "")
        return call_item(self.identity, self.place, call_id, name, self.said)

    def begun(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"content": []} if self.is_text else {"arguments": ""}
        return {**self.whole(), **empty, "status": "in_progress"}


class ResponseEvents:
    """Each block of text or of tool use becomes an item; what has no place among them is left out."""

    def __init__(self, used: Using, asked: ParsedRequest, at_ms: int) -> None:
        self._used = used
        self._asked = asked
        self._at_ms = at_ms
        self._identity = ""
        self._model = ""
        self._sequence = -1
        self._items: dict[int, _Item] = {}
        """By the index of their block."""
        self._reason: str | None = None

    def event(self, content: dict[str, Any]) -> bytes:
        kind, index = content.get("type"), content.get("index")
        if kind == "content_block_delta" and type(index) is int and type(delta := content.get("delta")) is dict:
            return self._delta(index, delta)
        if kind == "content_block_start" and type(index) is int and type(block := content.get("content_block")) is dict:
            return self._start_item(index, block)
        if kind == "content_block_stop" and type(index) is int:
            return self._stop_item(index)
        if kind == "ping":
            return STILL_THERE
        if kind == "message_start" and type(message := content.get("message")) is dict:
            self._identity, self._model = str(message.get("id") or ""), str(message.get("model") or "")
            begun = begun_response(self._asked, self._identity, self._model, self._at_ms)
            return self._whole("response.created", begun) + self._whole("response.in_progress", begun)
        if kind == "message_delta" and type(delta := content.get("delta")) is dict:
            self._reason = reason if type(reason := delta.get("stop_reason")) is str else self._reason
        return b""

    def end(self) -> bytes:
        items = [item.whole() for item in self._items.values()]
        finish = completed_reason(self._reason)
        ended = ended_response(self._asked, self._identity, self._model, self._at_ms, items, finish, self._used())
        return self._whole(f"response.{ended['status']}", ended)

    def _start_item(self, index: int, block: dict[str, Any]) -> bytes:
        if block.get("type") not in ("text", "tool_use"):
            return b""
        self._items[index] = item = _Item(self._identity, len(self._items), block)
        begun = self._event("response.output_item.added", output_index=item.place, item=item.begun())
        if not item.is_text:
            item.unsaid = compact(block.get("input") or {})
            return begun
        begun += self._event("response.content_part.added", **self._place(item), part=text_part(""))
        return begun + self._say(item, block.get("text"))

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        item = self._items.get(index)
        if item is None:
            return b""
        return self._say(item, delta.get("text" if item.is_text else "partial_json"))

    def _say(self, item: _Item, text: object) -> bytes:
        if type(text) is not str or not text:
            return b""
        item.said += text
        if item.is_text:
            return self._event("response.output_text.delta", **self._place(item), delta=text, logprobs=[])
        return self._event("response.function_call_arguments.delta", **self._place(item), delta=text)

    def _stop_item(self, index: int) -> bytes:
        item = self._items.get(index)
        if item is None:
            return b""
        told = b"" if item.is_text or item.said else self._say(item, item.unsaid)
        whole, place = item.whole(), self._place(item)
        if item.is_text:
            told += self._event("response.output_text.done", **place, text=item.said, logprobs=[])
            told += self._event("response.content_part.done", **place, part=text_part(item.said))
        else:
            name = whole["name"]
            told += self._event("response.function_call_arguments.done", **place, name=name, arguments=item.said)
        return told + self._event("response.output_item.done", output_index=item.place, item=whole)

    def _place(self, item: _Item) -> dict[str, Any]:
        place: dict[str, Any] = {"item_id": item.whole()["id"], "output_index": item.place}
        return {**place, "content_index": 0} if item.is_text else place

    def _event(self, kind: str, **members: Any) -> bytes:
        self._sequence += 1
        return sse_event({"type": kind, "sequence_number": self._sequence, **members}, kind)

    def _whole(self, kind: str, response: dict[str, Any]) -> bytes:
        self._sequence += 1
        return response_event(kind, response, self._sequence)
