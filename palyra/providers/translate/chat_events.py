"""The events of an Anthropic message as chat completion chunks."""

from typing import Any

from palyra.providers.request import ParsedRequest
from palyra.providers.translate.crossing import compact
from palyra.providers.translate.passage import Using
from palyra.providers.translate.replies import chat_usage
from palyra.providers.wires import completed_reason

Told = list[dict[str, Any]]
"""Chunks."""


class ChatEvents:
    """What has no place among chunks (thinking, citations, blocks of tools the provider ran) is left out."""

    def __init__(self, used: Using, asked: ParsedRequest, at_ms: int) -> None:
        self._used = used
        self._include_usage = asked.include_usage
        self._head: dict[str, Any] = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": at_ms // 1000,
            "model": "",
        }
        self._calls: dict[int, int] = {}
        """Tool calls by the index of their block."""
        self._unsaid: dict[int, str] = {}
        """Arguments of calls that nothing was said of yet."""
        self._finish: str | None = None

    def event(self, content: dict[str, Any]) -> Told:
        """The chunks of chat that tell what one event of messages does."""
        kind = content.get("type")
        if kind == "content_block_delta":
            return self._delta(content.get("index"), content.get("delta"))
        if kind == "content_block_start":
            return self._start_block(content.get("index"), content.get("content_block"))
        if kind == "content_block_stop":
            return self._stop_block(content.get("index"))
        if kind == "message_start" and type(message := content.get("message")) is dict:
            self._head |= {"id": str(message.get("id") or ""), "model": str(message.get("model") or "")}
            return self._chunk({"role": "assistant", "content": ""})
        if kind == "message_delta":
            delta = content.get("delta")
            reason = delta.get("stop_reason") if type(delta) is dict else None
            self._finish = reason if type(reason) is str else self._finish
        return []

    def end(self) -> Told:
        """The last chunks: how it finished, and its usage where that was asked for."""
        finish = self._chunk({}, completed_reason(self._finish))
        if not self._include_usage:
            return finish
        return [*finish, {**self._head, "choices": [], "usage": chat_usage(self._used())}]

    def _start_block(self, index: object, block: object) -> Told:
        if type(block) is not dict or type(index) is not int:
            return []
        if block.get("type") == "text":
            return self._say(block.get("text"))
        if block.get("type") != "tool_use":
            return []
        self._calls[index] = call = len(self._calls)
        self._unsaid[index] = compact(block.get("input") or {})
        function = {"name": str(block.get("name") or ""), "arguments": ""}
        identity = str(block.get("id") or "")
        return self._chunk({"tool_calls": [{"index": call, "id": identity, "type": "function", "function": function}]})

    def _delta(self, index: object, delta: object) -> Told:
        if type(delta) is not dict or type(index) is not int:
            return []
        kind = delta.get("type")
        if kind == "text_delta":
            return self._say(delta.get("text"))
        arguments = delta.get("partial_json")
        if kind == "input_json_delta" and index in self._calls and type(arguments) is str and arguments:
            self._unsaid.pop(index, None)
            return self._argue(index, arguments)
        return []

    def _stop_block(self, index: object) -> Told:
        if type(index) is not int or (arguments := self._unsaid.pop(index, None)) is None:
            return []
        return self._argue(index, arguments)

    def _say(self, text: object) -> Told:
        return self._chunk({"content": text}) if type(text) is str and text else []

    def _argue(self, index: int, arguments: str) -> Told:
        return self._chunk({"tool_calls": [{"index": self._calls[index], "function": {"arguments": arguments}}]})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> Told:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return [{**self._head, "choices": [choice]}]
