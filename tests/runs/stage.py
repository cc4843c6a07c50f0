"""Streams on a real ledger, with a journal that writes when it is told to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from palyra.config.choices import BoundEstimator
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import JournalUnavailableError
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import Change, HoldTaken
from palyra.journal.rows import HoldRow
from palyra.pricing.estimate import PricingEstimate, estimate_cost_for_model
from palyra.pricing.learn import Learned
from palyra.pricing.prompt_size import PromptSize
from palyra.providers.registry import ModelEntry
from palyra.providers.sse import sse_event
from palyra.providers.stream import ChatReader
from palyra.providers.wires import Wire
from palyra.runs.attempt import Attempt
from palyra.runs.meter import StreamMeter
from palyra.runs.relay import Relay, Relayed
from palyra.runs.request import GoneCallback, RunReport
from palyra.runs.slices import Slices
from tests.governance.policies import policy
from tests.governance.store import HoldChange, Store, request, taken
from tests.pricing.house import NOON, book, facts, row

PROMPT = PromptSize(prompt_bytes=400)
EXPECTED, BOUND = 100, 230
"""Input tokens of that prompt."""
CARD = book(row("openai", "m", input="1", output="4")).card("openai", "m", NOON)


def tokens_budget(hard: int, policy_id: str = "room", revision: int = 1) -> UsageBudgetPolicyRecord:
    return policy(policy_id, hard, revision=revision, metric_kind="total_tokens")


class SlowJournal:
    """Writes units in order, so many as it is told to; `instant` writes each at once."""

    def __init__(self, *, instant: bool = True) -> None:
        self.store = Store()
        self.instant = instant
        self.broken = False
        self.units: list[Sequence[Change]] = []
        """Everything that streams ever submitted."""
        self._waiting: deque[tuple[Sequence[Change], asyncio.Future[None]]] = deque()

    def submit(self, unit: Sequence[Change], *, patient: bool = False) -> "asyncio.Future[None]":
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.units.append(unit)
        self._waiting.append((unit, written))
        if self.instant:
            self.write()
        return written

    def now(self, change: HoldChange) -> None:
        """Writes a change, and everything before it."""
        self.write(self.waiting)
        self.store.submit(change)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def write(self, units: int = 1) -> None:
        for _ in range(min(units, len(self._waiting))):
            unit, written = self._waiting.popleft()
            if self.broken:
                written.set_exception(JournalUnavailableError("The journal cannot be written."))
                continue
            self.store.submit(*cast("Sequence[HoldChange]", unit))
            written.set_result(None)

    def covered(self, hold_id: str) -> int:
        """Output tokens that what was written covers."""
        return self.store.rows[hold_id].bound_tokens - BOUND


class House:
    """A ledger with its journal, both on a clock turned by hand."""

    def __init__(self, *policies: UsageBudgetPolicyRecord, instant: bool = True, **ledger: Any) -> None:
        self.clock = ManualClock(NOON)
        self.policies = PolicySet(policies)
        self.ledger = Ledger(self.policies, **ledger)
        self.journal = SlowJournal(instant=instant)
        self.told: list[tuple[str, ...]] = []

    def change(self, *policies: UsageBudgetPolicyRecord) -> None:
        """Puts other policies in force."""
        self.policies = PolicySet(policies)
        self.journal.store.change(self.ledger, self.policies, self.clock.now_ms())

    def against(self, evaluations: tuple[UsageBudgetEvaluation, ...], tokens: int) -> None:
        self.told.append(tuple(item.policy_id for item in evaluations))

    def hold(self, hold_id: str, first: int, **fields: object) -> tuple[HoldRow, PricingEstimate]:
        made = estimate_cost_for_model(
            CARD, PROMPT, facts("m"), NOON, output_bound=first, estimator=BoundEstimator.CALIBRATED
        )
        assert (made.expected_input, made.bound_input) == (EXPECTED, BOUND)
        wanted = request(hold_id, self.clock.now_ms(), made.bound_usd, BOUND + first, expected_input=EXPECTED, **fields)
        held = taken(self.ledger.hold(wanted))
        self.journal.now(HoldTaken(held))
        return held, made

    def stream(
        self,
        first: int = 100,
        *,
        hold_id: str = "h",
        ceiling: int | None = None,
        slice_tokens: int = 40,
        usual: int | None = None,
        q: Fraction = Fraction(1, 4),
        slice_q: Fraction = Fraction(1, 2),
        **fields: object,
    ) -> "Stream":
        held, made = self.hold(hold_id, first, **fields)
        entry = ModelEntry("openai/m", "openai", facts("m").kind, "m")
        learned = Learned(q=q, slice_q=slice_q)
        attempt = Attempt(
            held, entry, CARD, made, PROMPT, learned, Wire.CHAT, Wire.CHAT, True, self.clock.now_ms(), ceiling
        )
        cover = Slices(
            attempt,
            self.ledger,
            self.journal.submit,
            self.clock,
            first=first,
            ceiling=ceiling,
            slice_tokens=slice_tokens,
            against=self.against,
            usual=usual,
        )
        return Stream(self, attempt, cover)


class Listener:
    """A caller; what was written to it before its budget was durable is a fault."""

    gone = False
    streaming = True

    def __init__(self, house: House, hold_id: str, slice_q: Fraction) -> None:
        self._house = house
        self._hold_id = hold_id
        self._slice_q = slice_q
        self.data = b""

    def on_gone(self, callback: GoneCallback) -> None:
        pass

    async def parked(self, report: RunReport) -> None:
        pass

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        pass

    async def write(self, data: bytes) -> None:
        self.data += data
        await asyncio.sleep(0)

    @property
    def shown(self) -> int:
        """Visible bytes that have come."""
        return self.data.count(b"Z")


class Stream:
    """One streamed answer: fed with texts, held and metered as a run does it."""

    def __init__(self, house: House, attempt: Attempt, cover: Slices) -> None:
        self.house = house
        self.attempt = attempt
        self.cover = cover
        self.hold_id = attempt.hold.hold_id
        self.listener = Listener(house, self.hold_id, attempt.learned.slice_q)
        self._texts: asyncio.Queue[bytes | None] = asyncio.Queue()
        relay = Relay(ChatReader(), attempt.meter, cover, self.listener, lambda: None)
        self.done: asyncio.Task[Relayed] = asyncio.create_task(relay.run(self._chunks()))

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._texts.get()) is not None:
            yield chunk

    @property
    def meter(self) -> StreamMeter:
        return self.attempt.meter

    @property
    def held(self) -> int:
        """Output tokens held now."""
        hold = self.house.ledger.open_hold(self.hold_id)
        assert hold is not None
        return hold.bound_tokens - BOUND

    async def says(self, *sizes: int, usage: int | None = None) -> None:
        """Events that show so many bytes each arrive, the last with a usage of so many output tokens."""
        for number, size in enumerate(sizes, start=1):
            tail = None if usage is None or number < len(sizes) else {"prompt_tokens": 90, "completion_tokens": usage}
            self._texts.put_nowait(frame(size, tail))
        await settle_loop(30)

    async def reports(self, output_tokens: int) -> None:
        """A usage chunk arrives."""
        tail = {"prompt_tokens": 90, "completion_tokens": output_tokens}
        self._texts.put_nowait(sse_event({"id": "c", "choices": [], "usage": tail}))
        await settle_loop(30)

    async def ends(self) -> Relayed:
        self._texts.put_nowait(b"data: [DONE]\n\n")
        return await self.done

    def settle(self) -> int:
        """Ends the hold at the meter's reading. Tokens charged."""
        reading = self.meter.reading
        tokens = reading.input_tokens + reading.output_tokens
        usd = self.attempt.estimate.bound_at(reading.output_tokens)
        ending = self.house.ledger.settle(self.hold_id, at=self.house.clock.now_ms(), usd=usd, tokens=tokens)
        self.house.journal.now(ending.change)
        return tokens


def frame(size: int, usage: Mapping[str, int] | None = None) -> bytes:
    chunk: dict[str, object] = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Z" * size}}]}
    return sse_event(chunk if usage is None else {**chunk, "usage": dict(usage)})


def growths(units: Iterable[Sequence[Change]], first: int) -> list[int]:
    """By how many output tokens each unit changed what was held."""
    held, found = first, []
    for unit in units:
        for change in unit:
            bound = getattr(change, "bound_tokens", None)
            if bound is not None:
                found.append(bound - BOUND - held)
                held = bound - BOUND
    return found
