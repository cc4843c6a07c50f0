"""Which wires can stand in for which, and how."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from palyra.core.values import value
from palyra.providers.request import ParsedRequest
from palyra.providers.stream import StreamReader, stream_reader
from palyra.providers.translate.chat_events import ChatEvents
from palyra.providers.translate.chat_request import messages_of_chat
from palyra.providers.translate.crossing import Crossing, UncarriedError, Used
from palyra.providers.translate.message_events import MessageEvents
from palyra.providers.translate.messages_request import chat_of_messages
from palyra.providers.translate.passage import Passage, StreamTranslator, Using
from palyra.providers.translate.replies import completion_of_message, message_of_completion
from palyra.providers.wires import Wire


@value
class Translation:
    """How callers of one wire are served by models of another.

    `request` gives a body in the upstream wire's words, or raises UncarriedError. `reply` puts a parsed whole answer
    into the caller's dialect, with what it used, at an instant (unix ms); it raises ProviderError for an answer that
    makes no sense. `stream` makes a translator for one streamed answer; it is told whether the caller wants the usage
    at the end, and the instant.
    """

    request: Callable[[dict[str, Any]], Crossing]
    reply: Callable[[Mapping[str, Any], Used, int], bytes]
    stream: Callable[[Using, bool, int], StreamTranslator]


TRANSLATIONS: Mapping[tuple[Wire, Wire], Translation] = {
    (Wire.CHAT, Wire.MESSAGES): Translation(
        request=messages_of_chat,
        reply=completion_of_message,
        stream=lambda used, include_usage, at_ms: ChatEvents(used, include_usage=include_usage, at_ms=at_ms),
    ),
    (Wire.MESSAGES, Wire.CHAT): Translation(
        request=chat_of_messages,
        reply=message_of_completion,
        stream=lambda used, include_usage, at_ms: MessageEvents(used),
    ),
}
"""By the caller's wire and the model's."""


def spoken(caller: Wire, wires: Collection[Wire]) -> Wire | None:
    """The wire to use with a model that speaks these: the caller's own where it can, else one that can stand in."""
    if caller in wires:
        return caller
    return next((wire for wire in Wire if wire in wires and (caller, wire) in TRANSLATIONS), None)


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
                made = TRANSLATIONS[self._parsed.wire, upstream].request(self._parsed.data)
            except UncarriedError as error:
                made = error
            self._made[upstream] = made
        return made


def passage(parsed: ParsedRequest, upstream: StreamReader, wire: Wire, used: Using, at_ms: int) -> Passage:
    """The way of a streamed answer, read by `upstream` on `wire`, to the caller of `parsed`."""
    translator = TRANSLATIONS[parsed.wire, wire].stream(used, parsed.include_usage, at_ms)
    return Passage(upstream, translator, stream_reader(parsed.wire, include_usage=True, choices=1))


def translated_reply(caller: Wire, upstream: Wire, data: Mapping[str, Any], used: Used, at_ms: int) -> bytes:
    """A whole answer of the upstream wire in the caller's dialect. Raises ProviderError."""
    return TRANSLATIONS[caller, upstream].reply(data, used, at_ms)
