"""A streamed answer that changes its dialect on the way: read as its provider sends it, passed on in the caller's."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from palyra.providers.sse import event_data
from palyra.providers.stream import AnswerReader, StreamEvent, StreamReader
from palyra.providers.translate.crossing import Used

Using = Callable[[], Used]
"""What the answer has used so far, as it would be charged now."""


class StreamTranslator(Protocol):
    """Turns the events of one answer, one by one, into those of another wire."""

    def event(self, content: dict[str, Any]) -> bytes:
        """What one event becomes; often nothing."""
        ...

    def end(self) -> bytes:
        """What follows once the provider's answer has ended."""
        ...


class Passage:
    """One answer on its way. `shown` has read exactly what was passed on, in the caller's dialect.

    Events come as the upstream reader makes them, with what they show and what they used, but with the caller's bytes.
    """

    def __init__(self, upstream: StreamReader, translator: StreamTranslator, shown: AnswerReader) -> None:
        self._upstream = upstream
        self._translator = translator
        self.shown = shown

    @property
    def ended(self) -> bool:
        """Whether the provider's answer has ended."""
        return self._upstream.ended

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """The events this chunk completed, in order."""
        return self._translated(self._upstream.feed(chunk))

    def end(self) -> Iterator[StreamEvent]:
        """What is left when the connection has ended."""
        return self._translated(self._upstream.end())

    def _translated(self, events: Iterator[StreamEvent]) -> Iterator[StreamEvent]:
        for event in events:
            if event.error is not None:
                yield event
                return
            raw = self._in_other_words(event)
            yield StreamEvent(
                raw,
                visible_bytes=event.visible_bytes,
                usage=event.usage,
                finish=event.finish,
                terminal=event.terminal,
                withheld=not raw,
            )
            for _ in self.shown.feed(raw):
                pass

    def _in_other_words(self, event: StreamEvent) -> bytes:
        data, _ = event_data(event.raw)
        if data is None:
            # A comment means the same on every wire: somebody is still there.
            return event.raw if event.raw.startswith(b":") else b""
        raw = b""
        if data != b"[DONE]":
            content = json.loads(data.decode("utf-8", "replace"))
            raw = self._translator.event(content)
        return raw + self._translator.end() if event.terminal else raw
