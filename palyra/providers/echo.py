"""What the built-in provider says, in the words of every wire that speaks."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from palyra.core.values import value
from palyra.providers.closing import DONE
from palyra.providers.responses_closing import new_response, response_event, responses_usage
from palyra.providers.sse import sse_event
from palyra.providers.wires import Wire

PIECE_BYTES = 4
"""The most bytes of text that one event carries."""


def _pieces(text: str) -> Iterator[str]:
    """Parts of at most four bytes that end at character borders."""
    piece, size = "", 0
    for character in text:
        width = len(character.encode())
        if size + width > PIECE_BYTES:
            yield piece
            piece, size = "", 0
        piece += character
        size += width
    if piece:
        yield piece


@value
class Echo:
    """One answer. `usage` replaces the reported usage object; an empty one leaves it out."""

    identity: str
    created: int
    model: str
    text: str
    finish: str
    choices: int
    include_usage: bool
    input_tokens: int
    output_tokens: int
    usage: Mapping[str, object] | None

    def body(self, wire: Wire) -> bytes:
        """The whole answer."""
        if wire is Wire.RESPONSES:
            return compact_body(self._response(self._status))
        return self._chat_body() if wire is Wire.CHAT else self._message_body()

    def events(self, wire: Wire) -> Iterator[bytes]:
        """The answer piece by piece."""
        if wire is Wire.RESPONSES:
            return self._response_events()
        return self._chat_events() if wire is Wire.CHAT else self._message_events()

    def _chat_body(self) -> bytes:
        message = {"role": "assistant", "content": self.text, "refusal": None}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self.finish}
            for index in range(self.choices)
        ]
        return compact_body({**self._chat_head("chat.completion"), "choices": choices, **_member(self._chat_usage())})

    def _chat_events(self) -> Iterator[bytes]:
        head = self._chat_head("chat.completion.chunk")

        def chunk(index: int, delta: dict[str, str], finish: str | None = None) -> bytes:
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            return sse_event({**head, "choices": [choice]})

        for index in range(self.choices):
            yield chunk(index, {"role": "assistant", "content": ""})
            for piece in _pieces(self.text):
                yield chunk(index, {"content": piece})
            yield chunk(index, {}, self.finish)
        usage = self._chat_usage()
        if self.include_usage and usage:
            yield sse_event({**head, "choices": [], "usage": usage})
        yield DONE

    def _message_body(self) -> bytes:
        content = [{"type": "text", "text": self.text}]
        stop = {"stop_reason": self._stop_reason, "stop_sequence": None}
        return compact_body({**self._message_head(content), **stop, **_member(self._message_usage())})

    def _message_events(self) -> Iterator[bytes]:
        usage = self._message_usage()
        start = {**self._message_head([]), "stop_reason": None, "stop_sequence": None}
        begun = _member({**usage, "output_tokens": 0} if usage else {})
        yield sse_event({"type": "message_start", "message": {**start, **begun}}, "message_start")
        block = {"type": "text", "text": ""}
        yield sse_event({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
        for piece in _pieces(self.text):
            delta = {"type": "text_delta", "text": piece}
            yield sse_event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
        yield sse_event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        stop = {"stop_reason": self._stop_reason, "stop_sequence": None}
        yield sse_event({"type": "message_delta", "delta": stop, **_member(usage)}, "message_delta")
        yield sse_event({"type": "message_stop"}, "message_stop")

    def _response_events(self) -> Iterator[bytes]:
        begun = {**self._response("in_progress"), "output": [], "usage": None}
        yield response_event("response.created", begun, 0)
        yield response_event("response.in_progress", begun, 1)
        item = self._item("in_progress")
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        part = item["content"][0]
        frames: list[tuple[str, dict[str, Any]]] = [
            ("response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}),
            ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
            *(
                ("response.output_text.delta", {**place, "delta": piece, "logprobs": []})
                for piece in _pieces(self.text)
            ),
            ("response.output_text.done", {**place, "text": self.text, "logprobs": []}),
            ("response.content_part.done", {**place, "part": part}),
            ("response.output_item.done", {"output_index": 0, "item": self._item(self._status)}),
        ]
        for sequence, (kind, members) in enumerate(frames, start=2):
            yield sse_event({"type": kind, "sequence_number": sequence, **members}, kind)
        yield response_event(f"response.{self._status}", self._response(self._status), 2 + len(frames))

    @property
    def _status(self) -> str:
        return "completed" if self.finish == "stop" else "incomplete"

    def _item(self, status: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": self.text, "annotations": [], "logprobs": []}
        return {
            "id": f"msg_{self.identity}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [part],
        }

    def _response(self, status: str) -> dict[str, Any]:
        ended: dict[str, Any] = {"status": status, "output": [self._item(self._status)]}
        if status == "incomplete":
            ended["incomplete_details"] = {"reason": "max_output_tokens"}
        usage = responses_usage(self.input_tokens, self.output_tokens) if self.usage is None else self.usage
        begun = new_response(f"resp_{self.identity}", self.model, self.created * 1000)
        return {**begun, **ended, "usage": usage or None}

    @property
    def _stop_reason(self) -> str:
        return "max_tokens" if self.finish == "length" else "end_turn"

    def _chat_head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.identity}", "object": kind, "created": self.created, "model": self.model}

    def _message_head(self, content: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "id": f"msg_{self.identity}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
        }

    def _chat_usage(self) -> Mapping[str, object]:
        if self.usage is not None:
            return self.usage
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
        }

    def _message_usage(self) -> Mapping[str, object]:
        if self.usage is not None:
            return self.usage
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}


def _member(usage: Mapping[str, object]) -> dict[str, object]:
    return {"usage": usage} if usage else {}


def compact_body(data: Mapping[str, Any]) -> bytes:
    """JSON without spaces, as UTF-8."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
