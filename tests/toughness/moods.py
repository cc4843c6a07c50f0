"""Providers with moods: good for a while, then failing, silent, slow or full, then good again, as a seed says.

Each remembers what it was asked and what it told, so that the books of whoever asked can be held against it.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.faults import DROPS, ERROR_EVENT, MALFORMED, status
from tests.support.upstream import Reply, Seen, Upstream
from tests.toughness.told import most_tokens, tool_calls, tool_frames, tool_plain, wants_tools

REF = re.compile(rb"ref-(\d+)\b")
"""Stands in the last message of every call, whatever dialect it arrives in."""

COUNTING = "/v1/messages/count_tokens"

WORDS = ("word ",) * 900

FAULTS: dict[str, Callable[[random.Random], Reply]] = {
    "500": lambda dice: status(dice.choice((500, 502))),
    "503": lambda dice: status(503),
    "529": lambda dice: status(529),
    "429 soon": lambda dice: status(429, retry_after_ms=str(dice.choice((5, 50, 200)))),
    "429 later": lambda dice: status(429, retry_after="1"),
    "429 far": lambda dice: status(429, retry_after="12"),
    "drops": lambda dice: DROPS,
    "malformed": lambda dice: MALFORMED,
    "error event": lambda dice: ERROR_EVENT,
    "hangs": lambda dice: Reply(gate=asyncio.Event()),
    "breaks": lambda dice: Reply(pieces=WORDS[:60], break_at=dice.randint(1, 50)),
    "stalls": lambda dice: Reply(pieces=WORDS[:60], gate=asyncio.Event(), gate_at=dice.randint(1, 50)),
}
DECK = (*FAULTS, "500", "503", "503", "429 soon", "429 later", "drops", "breaks", "breaks", "stalls")
ONLY_STREAMED = ("error event", "stalls")
LENGTHS = (1, 5, 20, 60, 200, 900)
BADNESS = (0.03, 0.03, 0.25, 0.9)
SLOW = 0.3
"""Share of good answers that come in two parts, with a pause between."""
LONGEST_PAUSE_S = 0.6


@dataclass(slots=True)
class Asked:
    """One request as a provider met it. `usage` is the input and output it tells of once it has answered."""

    ref: int
    seen: Seen
    fate: str
    usage: tuple[int, int] | None = None

    @property
    def told(self) -> tuple[int, int] | None:
        """The usage that was sent to the end of the answer."""
        return self.usage if self.seen.finished else None


class Moods:
    """All providers of a run, from one source of chance."""

    def __init__(self, seed: int) -> None:
        self.asked: list[Asked] = []
        self.fates: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._calm = False
        self._badness: dict[str, tuple[int, float]] = {}
        self._deck: list[str] = []
        self._gates: list[asyncio.Event] = []
        self._arrivals: dict[int, asyncio.Event] = {}

    @asynccontextmanager
    async def provider(self, name: str) -> AsyncIterator[Upstream]:
        """One provider, on an address of its own."""
        upstream = Upstream()
        upstream.choose = lambda seen: self._choose(name, seen)
        async with upstream.serving():
            yield upstream

    def arrival(self, ref: int) -> asyncio.Event:
        """Set once a call has reached a provider."""
        return self._arrivals.setdefault(ref, asyncio.Event())

    def calm(self) -> None:
        """From now on everything is answered, also what hangs."""
        self._calm = True
        for gate in self._gates:
            gate.set()

    def missing(self) -> set[str]:
        """Faults that nobody has met."""
        return set(FAULTS) - set(self.fates)

    def _choose(self, name: str, seen: Seen) -> Reply:
        if seen.path == COUNTING:
            return Reply(input_tokens=len(seen.body) // 6)
        ref = int(REF.findall(seen.body)[-1])
        fate = self._fate(name)
        if fate in ONLY_STREAMED and not seen.json.get("stream"):
            fate = "500"
        self.fates[fate or "good"] += 1
        asked = Asked(ref, seen, fate)
        self.asked.append(asked)
        reply = FAULTS[fate](self._dice) if fate else self._good(asked)
        if reply.gate is not None and fate:
            # Whoever still waits when all is calm again is answered.
            self._gates.append(reply.gate)
            asked.usage = reply.input_tokens, 0 if seen.path.endswith("/embeddings") else reply.output_tokens
        self.arrival(ref).set()
        return reply

    def _fate(self, name: str) -> str:
        """The fault that is due, or an empty text."""
        dice = self._dice
        left, badness = self._badness.get(name, (0, 0.0))
        if not left:
            left, badness = dice.randint(5, 40), dice.choice(BADNESS)
        self._badness[name] = left - 1, badness
        if self._calm or dice.random() >= badness:
            return ""
        if not self._deck:
            self._deck = dice.sample(DECK, len(DECK))
        return self._deck.pop()

    def _good(self, asked: Asked) -> Reply:
        dice, wants, path = self._dice, asked.seen.json, asked.seen.path
        used = len(asked.seen.body) // 6
        reply = Reply(input_tokens=used, output_tokens=0)
        if path.endswith("/embeddings"):
            asked.usage = used, 0
            return reply
        if wants_tools(wants):
            calls = tool_calls(asked.ref, dice.randint(1, 6))
            reply.output_tokens = 20 * len(calls)
            if wants.get("stream"):
                reply.frames = tool_frames(path, wants, calls, reply)
            else:
                reply.raw = tool_plain(path, wants, calls, reply)
        else:
            length = dice.choice(LENGTHS)
            cut = most_tokens(wants) < length
            reply.pieces = WORDS[: min(length, most_tokens(wants))]
            reply.output_tokens = len(reply.pieces)
            if cut and not path.endswith("/responses"):
                reply.finish = "max_tokens" if path.endswith("/messages") else "length"
        if not self._calm and dice.random() < SLOW:
            reply.gate = asyncio.Event()
            reply.gate_at = dice.randrange(len(reply.frames or reply.pieces))
            asyncio.get_running_loop().call_later(dice.random() * LONGEST_PAUSE_S, reply.gate.set)
        asked.usage = reply.input_tokens, reply.output_tokens
        return reply
