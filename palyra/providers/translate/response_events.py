"""The events of an Anthropic message as those of the responses wire."""

from typing import Any

from palyra.providers.request import ParsedRequest
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

Told = list[dict[str, Any]]
"""Events."""


class _Item:
    """An output item on its way. `pieces` are its text or its arguments so far; `unsaid` stands in for none."""

    __slots__ = ("_block", "_identity", "at", "is_text", "pieces", "place", "unsaid")

    def __init__(self, identity: str, place: int, block: dict[str, Any]) -> None:
        self._identity = identity
        self._block = block
        self.place = place
        self.is_text = block.get("type") == "text"
        self.pieces: list[str] = []
        self.unsaid = "" if self.is_text else compact(block.get("input") or {})
        self.at: dict[str, Any] = {"item_id": self.whole()["id"], "output_index": place}
        """What every event of it names."""
        if self.is_text:
            self.at["content_index"] = 0

    @property
    def said(self) -> str:
        return "".join(self.pieces)

    def whole(self) -> dict[str, Any]:
        if self.is_text:
            return message_item(self._identity, self.place, self.said)
        call_id, name = str(self._block.get("id") or ""), str(self._block.get("name") or "")
        return call_item(self._identity, self.place, call_id, name, self.said)

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

    def event(self, content: dict[str, Any]) -> Told:
        """The events of responses that tell what one event of messages does."""
        kind, index = content.get("type"), content.get("index")
        if kind == "content_block_delta" and type(index) is int and type(delta := content.get("delta")) is dict:
            return self._delta(index, delta)
        if kind == "content_block_start" and type(index) is int and type(block := content.get("content_block")) is dict:
            return self._start_item(index, block)
        if kind == "content_block_stop" and type(index) is int:
            return self._stop_item(index)
        if kind == "message_start" and type(message := content.get("message")) is dict:
            self._identity, self._model = str(message.get("id") or ""), str(message.get("model") or "")
            begun = begun_response(self._asked, self._identity, self._model, self._at_ms)
            return [
                *self._event("response.created", response=begun),
                *self._event("response.in_progress", response=begun),
            ]
        if kind == "message_delta" and type(delta := content.get("delta")) is dict:
            self._reason = reason if type(reason := delta.get("stop_reason")) is str else self._reason
        return []

    def end(self) -> Told:
        """The last event, with the whole response."""
        items = [item.whole() for item in self._items.values()]
        finish = completed_reason(self._reason)
        ended = ended_response(self._asked, self._identity, self._model, self._at_ms, items, finish, self._used())
        return self._event(f"response.{ended['status']}", response=ended)

    def _start_item(self, index: int, block: dict[str, Any]) -> Told:
        if block.get("type") not in ("text", "tool_use"):
            return []
        self._items[index] = item = _Item(self._identity, len(self._items), block)
        begun = self._event("response.output_item.added", output_index=item.place, item=item.begun())
        if not item.is_text:
            return begun
        begun += self._event("response.content_part.added", **item.at, part=text_part(""))
        return begun + self._say(item, block.get("text"))

    def _delta(self, index: int, delta: dict[str, Any]) -> Told:
        item = self._items.get(index)
        if item is None:
            return []
        return self._say(item, delta.get("text" if item.is_text else "partial_json"))

    def _say(self, item: _Item, text: object) -> Told:
        if type(text) is not str or not text:
            return []
        item.pieces.append(text)
        if item.is_text:
            return self._event("response.output_text.delta", **item.at, delta=text, logprobs=[])
        return self._event("response.function_call_arguments.delta", **item.at, delta=text)

    def _stop_item(self, index: int) -> Told:
        item = self._items.get(index)
        if item is None:
            return []
        told = [] if item.pieces else self._say(item, item.unsaid)
        whole, said = item.whole(), item.said
        if item.is_text:
            told += self._event("response.output_text.done", **item.at, text=said, logprobs=[])
            told += self._event("response.content_part.done", **item.at, part=text_part(said))
        else:
            name = whole["name"]
            told += self._event("response.function_call_arguments.done", **item.at, name=name, arguments=said)
        return told + self._event("response.output_item.done", output_index=item.place, item=whole)

    def _event(self, kind: str, **members: Any) -> Told:
        self._sequence += 1
        return [{"type": kind, "sequence_number": self._sequence, **members}]
