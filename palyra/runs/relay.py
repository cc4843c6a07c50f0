"""Passing a streamed answer on: event by event and in order, none before a durable slice of budget covers it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from palyra.providers.errors import ProviderError
from palyra.providers.stream import StreamEvent
from palyra.runs.meter import StreamMeter
from palyra.runs.request import Client


class Events(Protocol):
    """One answer as the events its caller gets."""

    @property
    def ended(self) -> bool:
        """Whether the stream has told its end."""
        ...

    @property
    def said(self) -> Sequence[Mapping[str, Any]]:
        """What the event that came last says to the caller, in JSON."""
        ...

    def feed(self, chunk: bytes) -> Iterable[StreamEvent]:
        """The events this chunk completed; nothing comes after one with an error."""
        ...

    def end(self) -> Iterable[StreamEvent]:
        """What is left when the connection has ended."""
        ...


class Cover(Protocol):
    """How far the durable budget of one answer reaches, in output tokens."""

    def begins(self) -> None:
        """Called once, before the first event."""
        ...

    def covers(self, needed: int) -> bool:
        """Whether a durable slice covers that many tokens already; takes the next slice ahead where it is due."""
        ...

    async def reaches(self, needed: int) -> bool:
        """Waits until a durable slice covers that many tokens; False when there is no budget left for it."""
        ...


class Unlimited:
    """Cover that never ends: the whole answer was held before it was asked for."""

    def begins(self) -> None:
        """Nothing has to be held."""

    def covers(self, needed: int) -> bool:
        """Everything is covered."""
        return True

    async def reaches(self, needed: int) -> bool:
        """Everything is within reach."""
        return True


@dataclass(slots=True)
class Relayed:
    """How a relay ended: `cut` by the budget, broken by `error`, or neither when the provider finished."""

    cut: bool = False
    error: ProviderError | None = None


class Relay:
    """One streamed answer on its way from a provider to a caller."""

    def __init__(
        self,
        answer: Events,
        meter: StreamMeter,
        cover: Cover,
        client: Client,
        heard: Callable[[], None],
        said: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """`heard` is called with each chunk, `said` with what each event says that is passed on."""
        self._answer = answer
        self._meter = meter
        self._cover = cover
        self._client = client
        self._heard = heard
        self._said = said
        self._ready: list[bytes] = []
        self.done = Relayed()

    async def run(self, chunks: AsyncIterator[bytes]) -> Relayed:
        """Reads an answer to its end or to where it must stop. Raises ClientGoneError from the caller's side.

        An event that no slice covers is not sent, and nothing after it or after the end of the answer is read.
        """
        self._cover.begins()
        try:
            async for chunk in chunks:
                self._heard()
                if not await self._pass(self._answer.feed(chunk)):
                    return self.done
        except ProviderError as error:
            await self._flush()
            self.done.error = error
            return self.done
        await self._pass(self._answer.end())
        return self.done

    async def _pass(self, events: Iterable[StreamEvent]) -> bool:
        """Sends what may be sent; False when the answer ends or stops here."""
        for event in events:
            if event.error is not None:
                self.done.error = event.error
                break
            if (event.visible_bytes or event.usage is not None) and not await self._covered(event):
                self.done.cut = True
                break
            self._meter.see(event.visible_bytes, event.usage)
            if not event.withheld:
                self._ready.append(event.raw)
                if self._said is not None:
                    for content in self._answer.said:
                        self._said(content)
            if event.terminal:
                break
        await self._flush()
        return not (self._answer.ended or self.done.cut or self.done.error)

    async def _covered(self, event: StreamEvent) -> bool:
        """Whether an event may pass. One that shows nothing always may: it only tells what was used already, and is
        covered as far as there is room."""
        needed = self._meter.needed_for(event.visible_bytes, event.usage)
        if self._cover.covers(needed):
            return True
        await self._flush()
        if await self._cover.reaches(needed) or not event.visible_bytes:
            return True
        self._meter.see(0, event.usage)
        return False

    async def _flush(self) -> None:
        if self._ready:
            data = b"".join(self._ready)
            self._ready.clear()
            await self._client.write(data)
