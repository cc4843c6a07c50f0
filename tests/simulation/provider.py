"""Providers as they are on bad days, beneath the seam at which the engine sends."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.upstream import MAX_REPLY, Progress, UpstreamCall
from tests.simulation import answers
from tests.simulation.loop import SimClock
from tests.simulation.prices import BY_UPSTREAM

JSON, EVENTS = {"content-type": "application/json"}, {"content-type": "text/event-stream"}

WEATHER: Mapping[str, int] = {
    "well": 700,
    "refused": 15,
    "reset_before_head": 15,
    "never": 8,
    "status": 60,
    "malformed": 10,
    "error_inside": 6,
    "broken": 30,
    "stalls": 12,
    "ends_early": 12,
    "error_event": 12,
}
"""What becomes of a call, and how often."""


class Network:
    """Takes the place of the transport of an engine."""

    def __init__(
        self,
        clock: SimClock,
        dice: random.Random,
        sent: Callable[[], None],
        seen: Callable[[str], None],
        weather: Mapping[str, int] = WEATHER,
    ) -> None:
        self._clock = clock
        self._dice = dice
        self._sent = sent
        self._seen = seen
        self._weather = weather

    async def close(self) -> None:
        """Nothing is open."""

    async def send(self, call: UpstreamCall, progress: Progress | None = None) -> "Reply":
        dice, clock = self._dice, self._clock
        progress = progress or Progress()
        fate = dice.choices(list(self._weather), list(self._weather.values()))[0]
        self._seen(f"fate:{fate}")
        await clock.sleep(dice.expovariate(1 / 0.02))
        if fate == "refused":
            raise ProviderError(ErrorClass.NETWORK_UNAVAILABLE, f"{call.provider} cannot be reached", written=False)
        if call.method == "GET":
            self._seen("asked whether a provider lives")
            status = 503 if fate == "status" else 200
            return Reply(clock, dice, status, JSON, [b'{"object": "list", "data": []}'])
        self._sent()
        progress.written = True
        if fate == "never":
            wait = call.timeouts.first_byte if call.stream else call.timeouts.total
            await clock.sleep(wait or 600)
            raise ProviderError(ErrorClass.PROVIDER_TIMEOUT, f"{call.provider} sent nothing")
        await clock.sleep(dice.expovariate(1 / 0.6))
        if fate == "reset_before_head":
            raise ProviderError(ErrorClass.NETWORK_UNAVAILABLE, f"{call.provider} broke the connection")
        body = json.loads(call.body)
        answer = answers.make(body, BY_UPSTREAM.get(body["model"]), call.wire.value, dice)
        self._seen(f"usage object:{answer.usage_kind}")
        if fate == "status":
            status = dice.choice((400, 401, 404, 413, 422, 429, 429, 500, 502, 503, 529))
            return Reply(clock, dice, status, JSON, [answers.error_body(status, answer, dice)])
        if fate == "malformed":
            return Reply(clock, dice, 200, JSON, [b'{"choices": [{"mess', b"\xff\xfe"])
        if fate == "error_inside" and not call.stream:
            return Reply(clock, dice, 200, JSON, [b'{"error": {"message": "overloaded", "type": "server_error"}}'])
        pieces = answer.events(body) if call.stream else [answer.body()]
        headers = EVENTS if call.stream else JSON
        if fate == "error_event" and call.stream:
            pieces = [*pieces[: dice.randint(0, len(pieces) - 1)], answer.error_event()]
        end = None
        if fate in ("broken", "stalls", "ends_early"):
            pieces = (
                pieces[: dice.randint(0, max(0, len(pieces) - 2))]
                if call.stream
                else [pieces[0][: dice.randint(0, 80)]]
            )
            end = fate
        return Reply(clock, dice, 200, headers, _shuffled(pieces, dice), end, call.timeouts.idle or 60)


def _shuffled(pieces: list[bytes], dice: random.Random) -> list[bytes]:
    """The same bytes, cut where nobody expects it."""
    if dice.random() < 0.6:
        return pieces
    data = b"".join(pieces)
    found: list[bytes] = []
    while data:
        length = dice.choice((1, 7, 60, 400, 3000))
        found.append(data[:length])
        data = data[length:]
    return found


class Reply:
    """One answer on its way. `end`: broken, stalls (until the idle time-out) or ends_early; None for a whole one."""

    def __init__(
        self,
        clock: SimClock,
        dice: random.Random,
        status: int,
        headers: Mapping[str, str],
        pieces: list[bytes],
        end: str | None = None,
        idle: float = 60,
    ) -> None:
        self.status = status
        self.headers = headers
        self._clock = clock
        self._pieces = pieces
        self._end = end
        self._idle = idle
        self._pace = dice.choice((0.0, 0.0, 0.002, 0.02, 0.2))
        self._closed = False

    async def read(self, limit: int = MAX_REPLY) -> bytes:
        return b"".join([piece async for piece in self.chunks()])[:limit]

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if self._closed:
                return
            if self._pace:
                await self._clock.sleep(self._pace)
            else:
                await asyncio.sleep(0)
            yield piece
        if self._end == "broken":
            raise ProviderError(ErrorClass.NETWORK_UNAVAILABLE, "the connection broke")
        if self._end == "stalls":
            await self._clock.sleep(self._idle)
            raise ProviderError(ErrorClass.PROVIDER_TIMEOUT, "nothing more came")

    def close(self) -> None:
        self._closed = True


Json = dict[str, Any]
