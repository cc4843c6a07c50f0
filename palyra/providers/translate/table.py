"""Which wires can stand in for which, and how.

Answers go by way of Anthropic messages, whose blocks and events any of them can be made of: each wire that a model
may speak is read into them, and each that a caller may speak is written from them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from palyra.core.values import value
from palyra.providers.request import ParsedRequest
from palyra.providers.stream import StreamReader, stream_reader
from palyra.providers.translate.chat_events import ChatEvents
from palyra.providers.translate.chat_request import messages_of_chat
from palyra.providers.translate.chunks import Chunks
from palyra.providers.translate.crossing import Crossing, UncarriedError, Used, written
from palyra.providers.translate.messages_request import chat_of_messages
from palyra.providers.translate.passage import Passage, StreamTranslator, Using
from palyra.providers.translate.replies import (
    Answered,
    completion_of,
    message_of,
    read_completion,
    read_message,
    response_of,
)
from palyra.providers.translate.response_events import ResponseEvents
from palyra.providers.translate.responses_request import chat_of_responses, messages_of_responses
from palyra.providers.wires import Wire

REQUESTS: Mapping[tuple[Wire, Wire], Callable[[dict[str, Any]], Crossing]] = {
    (Wire.CHAT, Wire.MESSAGES): messages_of_chat,
    (Wire.MESSAGES, Wire.CHAT): chat_of_messages,
    (Wire.RESPONSES, Wire.CHAT): chat_of_responses,
    (Wire.RESPONSES, Wire.MESSAGES): messages_of_responses,
}
"""How a caller's request is put on a model's wire. Each raises UncarriedError where it cannot be said there."""


@value
class Reading:
    """How answers of one wire are understood. Without `events` its streams consist of message events already."""

    whole: Callable[[Mapping[str, Any]], Answered]
    events: Callable[[Using], Chunks] | None = None


@value
class Writing:
    """How answers are told on one wire: a whole one with what it used, what was asked and the instant (unix ms)."""

    whole: Callable[[Answered, Used, ParsedRequest, int], dict[str, Any]]
    events: Callable[[Using, ParsedRequest, int], StreamTranslator]


class _AsTheyAre:
    """Message events for a caller who takes them so."""

    def event(self, content: dict[str, Any]) -> Iterable[dict[str, Any]]:
        return (content,)

    def end(self) -> Iterable[dict[str, Any]]:
        return ()


READINGS: Mapping[Wire, Reading] = {
    Wire.CHAT: Reading(read_completion, Chunks),
    Wire.MESSAGES: Reading(read_message),
}
"""By the model's wire."""

WRITINGS: Mapping[Wire, Writing] = {
    Wire.CHAT: Writing(completion_of, ChatEvents),
    Wire.MESSAGES: Writing(message_of, lambda used, asked, at_ms: _AsTheyAre()),
    Wire.RESPONSES: Writing(response_of, ResponseEvents),
}
"""By the caller's."""


def spoken(caller: Wire, wires: Collection[Wire]) -> Wire | None:
    """The wire to use with a model that speaks these: the caller's own where it can, else one that can stand in."""
    if caller in wires:
        return caller
    return next((wire for wire in Wire if wire in wires and (caller, wire) in REQUESTS), None)


class Crossings:
    """One request in the words of every wire that is asked for, each made once."""

    def __init__(self, parsed: ParsedRequest) -> None:
        self._parsed = parsed
        self._made: dict[Wire, Crossing | UncarriedError] = {}

    def to(self, upstream: Wire) -> Crossing | UncarriedError:
        """The request on another wire, or why it cannot be said there."""
        made = self._made.get(upstream)
        if made is None:
            try:
                made = REQUESTS[self._parsed.wire, upstream](self._parsed.data)
            except UncarriedError as error:
                made = error
            self._made[upstream] = made
        return made


def translated_reply(asked: ParsedRequest, upstream: Wire, data: Mapping[str, Any], used: Used, at_ms: int) -> bytes:
    """A whole answer of the upstream wire in the caller's dialect. Raises ProviderError where it makes no sense."""
    answered = READINGS[upstream].whole(data)
    return written(WRITINGS[asked.wire].whole(answered, used, asked, at_ms))


def passage(asked: ParsedRequest, reader: StreamReader, upstream: Wire, used: Using, at_ms: int) -> Passage:
    """The way of a streamed answer, read by `reader` on `upstream`, to the caller of `asked`."""
    events = READINGS[upstream].events
    into = WRITINGS[asked.wire].events(used, asked, at_ms)
    through = into if events is None else _Through(events(used), into)
    return Passage(reader, through, asked.wire, stream_reader(asked.wire, include_usage=True, choices=1))


class _Through:
    """Chunks that become message events on their way to another wire."""

    def __init__(self, chunks: Chunks, into: StreamTranslator) -> None:
        self._chunks = chunks
        self._into = into

    def event(self, content: dict[str, Any]) -> Iterable[dict[str, Any]]:
        return [told for one in self._chunks.heard(content) for told in self._into.event(one)]

    def end(self) -> Iterable[dict[str, Any]]:
        told = [told for one in self._chunks.ended() for told in self._into.event(one)]
        return [*told, *self._into.end()]
