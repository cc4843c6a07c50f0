"""A streamed answer that changes its dialect on the way: read as its provider sends it, passed on in the caller's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from palyra.providers.closing import DONE
from palyra.providers.sse import sse_event
from palyra.providers.stream import AnswerReader, StreamEvent, StreamReader
from palyra.providers.translate.crossing import Used
from palyra.providers.wires import Wire

Using = Callable[[], Used]
"""What the answer has used so far, as it would be charged now."""

STILL_THERE = b": ping\n\n"
"""A comment, which clients skip: what keeps a connection alive there keeps it alive here."""


class StreamTranslator(Protocol):
    """Turns the events of one answer, one by one, into those of another wire."""

    def event(self, content: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """What one event becomes; often nothing."""
        ...

    def end(self) -> Iterable[dict[str, Any]]:
        """What follows once the provider's answer has ended."""
        ...


class Passage:
    """One answer on its way. `shown` has read exactly what was passed on, in the caller's dialect.

    Events come as the upstream reader makes them, with what they show and what they used, but with the caller's bytes.
    """

    def __init__(self, upstream: StreamReader, translator: StreamTranslator, caller: Wire, shown: AnswerReader) -> None:
        self._upstream = upstream
        self._translator = translator
        self._chat = caller is Wire.CHAT
        self._pings = caller is Wire.MESSAGES
        self.shown = shown
        self.said: Sequence[dict[str, Any]] = ()
        """What the event that came last says to the caller, in JSON."""

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
            self.said = told = self._told(event)
            raw = self._written(event, told)
            yield StreamEvent(
                raw,
                visible_bytes=event.visible_bytes,
                usage=event.usage,
                finish=event.finish,
                terminal=event.terminal,
                withheld=not raw,
            )
            for content in told:
                self.shown.told(content)

    def _told(self, event: StreamEvent) -> list[dict[str, Any]]:
        content = self._upstream.content
        told = [] if content is None else list(self._translator.event(content))
        if event.terminal:
            told += self._translator.end()
        return told

    def _written(self, event: StreamEvent, told: list[dict[str, Any]]) -> bytes:
        content = self._upstream.content
        if content is None and event.raw.startswith(b":"):
            return event.raw
        if content is not None and content.get("type") == "ping" and not self._pings:
            return STILL_THERE
        if not self._chat:
            return b"".join([sse_event(one, one["type"]) for one in told])
        raw = b"".join([sse_event(one) for one in told])
        return raw + DONE if event.terminal else raw
