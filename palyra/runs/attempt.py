"""One attempt of a run: what was held for it, what came back, and what it is charged when it ends."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from palyra.core.values import value
from palyra.governance.candidates import Course
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Metered, UsageRecorded
from palyra.journal.rows import HoldRow, UsageRow, UsageSample
from palyra.pricing.book import PriceBook
from palyra.pricing.card import RateCard
from palyra.pricing.charge import cost_of_tokens
from palyra.pricing.dialect import Flavour
from palyra.pricing.estimate import PricingEstimate
from palyra.pricing.learn import NOT_COUNTED, Learned, Sample
from palyra.pricing.meter import Metered as MeterReading
from palyra.pricing.prompt_size import PromptSize, overhead
from palyra.pricing.rates import FLAT, lump
from palyra.pricing.settle import PricedUsage
from palyra.pricing.usage import UsageSource
from palyra.providers.registry import ModelEntry
from palyra.providers.upstream import Progress
from palyra.providers.ways import Way
from palyra.providers.wires import USAGE_NAMES, Wire
from palyra.runs.meter import StreamMeter

FLAVOURS: Mapping[Wire, Flavour] = {
    Wire.CHAT: Flavour.CHAT,
    Wire.MESSAGES: Flavour.MESSAGES,
    Wire.RESPONSES: Flavour.RESPONSES,
    Wire.EMBEDDINGS: Flavour.EMBEDDINGS,
}
UNCERTAIN = "uncertain"
CACHE = "cache"
"""The source of usage that an answer of ours had: none."""
IDENTITY = "identity_"
"""Begins the flags of a body that contradicts itself."""
PARTIAL = "usage_partial"
NOT_PLAIN = "media"
"""Flags usage whose prompt was more than text, so that nothing is learned from it about how bytes become tokens."""

RAW_LIMIT = 64 * 1024
"""Characters of JSON that are kept of a usage object that contradicts itself."""
RAW_DEPTH = 16

LONGEST_ID = 256
"""Characters of an answer's id; a longer one is not kept."""


@dataclass(slots=True)
class Attempt:
    """A durable hold on its way through a provider. Tokens and nano-dollars; instants are unix ms.

    The caller and the provider may speak different wires: what an answer used is told on `upstream_wire`, and whatever
    the caller gets is on `caller_wire`.
    """

    hold: HoldRow
    entry: ModelEntry
    card: RateCard | None
    estimate: PricingEstimate
    size: PromptSize
    learned: Learned
    caller_wire: Wire
    upstream_wire: Wire
    streaming: bool
    started_at: int
    ceiling: int | None = None
    """Output tokens the provider was told to stop at, over all choices; None where nobody told it."""
    progress: Progress = field(default_factory=Progress)
    meter: StreamMeter = field(init=False)
    answered: bool = False
    """Whether the head of a good answer arrived: from then on delivered output is charged."""
    answered_at: int | None = None
    status: int | None = None
    """What the provider answered with; None before it did."""
    shown: bool = False
    """Whether a byte of the answer went to the caller: from then on nothing else may answer."""
    course: Course = Course.FIRST
    way: Way | None = None
    journaled: MeterReading | None = None

    def __post_init__(self) -> None:
        known = self.learned
        self.meter = StreamMeter(
            self.upstream_wire, self.estimate.expected_input, known.q, known.slice_q, known.unseen, self.ceiling
        )

    @property
    def translated(self) -> bool:
        """Whether the caller is answered in another dialect than the provider speaks."""
        return self.caller_wire is not self.upstream_wire

    def reading(self, ledger: Ledger) -> Metered | None:
        """The meter as a change to journal, or None when nothing moved since the last one."""
        reading = self.meter.reading
        if reading == self.journaled:
            return None
        self.journaled = reading
        cost = cost_of_tokens(self.card, reading.input_tokens, reading.output_tokens, self.size.context)
        return ledger.meter(self.hold.hold_id, reading.input_tokens, reading.output_tokens, cost)


@value
class Charged:
    """What an attempt is charged: `usd` None when its price is unknown (then each budget's own rule decides)."""

    priced: PricedUsage
    usage_source: str
    flags: tuple[str, ...]
    reading: MeterReading
    answer_id: str = ""
    """By which a later request may go on from the answer; empty where none may."""

    @property
    def usd(self) -> int | None:
        """What it costs in nano-dollars; None where no price is known."""
        return self.priced.charge

    @property
    def tokens(self) -> int:
        """All tokens of it."""
        return self.priced.normalised.total


class Told(Protocol):
    """What an answer says of itself: the provider's own usage object, None without one, and names, empty if unsaid.

    `items` are the types of its output items where the wire has such: some are uses of tools that cost.
    """

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """The usage the provider told, as it came."""
        ...

    @property
    def model(self) -> str:
        """The model the provider says it used."""
        ...

    @property
    def service_tier(self) -> str:
        """The tier the provider says it served with."""
        ...

    @property
    def items(self) -> tuple[str, ...]:
        """Kinds of what the answer holds beside text, in the provider's words."""
        ...

    @property
    def id(self) -> str:
        """The provider's id of the answer."""
        ...


def charge_attempt(book: PriceBook, attempt: Attempt, told: Told | None, *, finished: bool = True) -> Charged:
    """Prices what an attempt used by what its answer told, None without one.

    An answer that did not finish is charged for what was delivered: the output is at least the meter's, whatever was
    reported before.
    """
    reading = attempt.meter.reading
    body: dict[str, Any] = {}
    flags: tuple[str, ...] = ()
    if told is not None:
        body = {"model": told.model, "service_tier": told.service_tier}
        if told.items:
            body["output"] = [{"type": kind} for kind in told.items]
    if told is not None and told.usage is not None:
        heard = dict(told.usage)
        if not finished:
            if (name := USAGE_NAMES[attempt.upstream_wire].output) is not None:
                reported = heard.get(name)
                heard[name] = max(reading.output_tokens, reported if type(reported) is int else 0)
            heard.pop("total_tokens", None)
            flags = (PARTIAL,)
        body["usage"] = heard
    priced = book.settle(
        attempt.card,
        attempt.entry.provider,
        attempt.entry.upstream,
        attempt.hold.created_at,
        FLAVOURS[attempt.upstream_wire],
        body,
        reading,
        attempt.size,
        attempt.estimate.bound_usd,
    )
    kept = told is not None and attempt.upstream_wire is Wire.RESPONSES
    return Charged(
        priced,
        priced.usage_source.value,
        tuple(dict.fromkeys((*priced.flags, *flags))),
        reading,
        told.id if told is not None and kept and len(told.id) <= LONGEST_ID else "",
    )


def charge_unanswered(book: PriceBook, attempt: Attempt) -> Charged:
    """An attempt that was written and never answered: the expected input, nobody knows better."""
    charged = charge_attempt(book, attempt, None)
    return Charged(charged.priced, UNCERTAIN, (UNCERTAIN,), charged.reading)


def usage_change(attempt: Attempt, charged: Charged, flat: int | None, at: int) -> UsageRecorded:
    """The usage row of a settled attempt. `flat` is what budgets charged where nobody knows the price."""
    priced, used = charged.priced, charged.priced.normalised
    unpriced = priced.charge is None
    state = "unknown_flat" if unpriced and flat is not None else priced.price_state.value
    contradictory = any(flag.startswith(IDENTITY) for flag in charged.flags)
    # What is true of a card whatever is charged by it is kept with the hold.
    told = (note for note in priced.notes if priced.card is None or note not in priced.card.notes)
    return UsageRecorded(
        UsageRow(
            hold_id=attempt.hold.hold_id,
            run_id=attempt.hold.run_id,
            attempt=attempt.hold.attempt,
            at=at,
            provider=attempt.hold.provider,
            model=attempt.hold.model,
            scope=attempt.hold.scope,
            input_total=used.input_total,
            cache_read=used.cache_read,
            write_5m=used.write_5m,
            write_1h=used.write_1h,
            output_total=used.output_total,
            reasoning=used.reasoning,
            audio_in=used.audio_in,
            audio_out=used.audio_out,
            tool_uses=used.tool_uses,
            metered_input=charged.reading.input_tokens,
            metered_output=charged.reading.output_tokens,
            usage_source=charged.usage_source,
            flags=(*charged.flags, *told, *(() if attempt.size.plain else (NOT_PLAIN,))),
            price_state=state,
            rates=priced.rates_json() if flat is None or not unpriced else (lump(FLAT, flat).to_json(),),
            charge=flat if unpriced else priced.charge,
            reported_cost=priced.reported_cost,
            raw=storable(priced.raw),
            latency_ms=max(0, at - attempt.started_at),
            visible_bytes=attempt.meter.visible_bytes,
            overhead=overhead(attempt.size, attempt.entry.kind),
            readings=tuple(reading.to_json() for reading in priced.readings) if contradictory else (),
            answer_id=charged.answer_id,
        )
    )


def storable(raw: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A provider's own object in JSON that can be written down: numbers JSON does not have become texts, and what is
    too deep or too long is cut."""
    if raw is None:
        return None
    if _is_plain(raw):
        return dict(raw)
    kept: dict[str, Any] = _plain(dict(raw), RAW_DEPTH)
    text = json.dumps(kept)
    return kept if len(text) <= RAW_LIMIT else {"cut": text[: RAW_LIMIT // 2]}


def _is_plain(raw: Mapping[str, Any]) -> bool:
    """Whether nothing needs to be cut or replaced, as of nearly every answer; what is short and has few brackets
    cannot be deep."""
    try:
        text = _strictly(raw)
    except (ValueError, RecursionError):
        return False
    return len(text) <= RAW_LIMIT and text.count("{") + text.count("[") <= RAW_DEPTH


_strictly = json.JSONEncoder(allow_nan=False, check_circular=False).encode


def _plain(value: object, depth: int) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list) and not depth:
        return "…"
    if isinstance(value, dict):
        return {str(name): _plain(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value]
    return value


def lesson(attempt: Attempt, charged: Charged, latency_ms: int) -> Sample:
    """What estimates learn from a settled attempt."""
    used = charged.priced.normalised
    return Sample(
        provider=attempt.entry.provider,
        model=attempt.entry.upstream,
        principal=attempt.hold.scope.principal,
        prompt_bytes=attempt.size.prompt_bytes,
        overhead=overhead(attempt.size, attempt.entry.kind),
        input_tokens=used.input_total,
        output_tokens=used.output_total,
        visible_bytes=attempt.meter.visible_bytes if attempt.streaming else 0,
        latency_ms=latency_ms,
        reported=_reported(charged.usage_source, charged.flags),
        plain=attempt.size.plain,
    )


def recalled(sample: UsageSample, upstream: str) -> Sample:
    """What `lesson` taught of an attempt, from what the journal kept of it."""
    return Sample(
        provider=sample.provider,
        model=upstream,
        principal=sample.principal,
        prompt_bytes=sample.input_bytes,
        overhead=sample.overhead,
        input_tokens=sample.input_total,
        output_tokens=sample.output_total,
        visible_bytes=sample.visible_bytes if sample.streaming else 0,
        latency_ms=sample.latency_ms,
        reported=_reported(sample.usage_source, sample.flags),
        plain=NOT_PLAIN not in sample.flags,
    )


_BY_PROVIDER = UsageSource.PROVIDER.value


def _reported(usage_source: str, flags: tuple[str, ...]) -> bool:
    """Whether every number came from the provider: what the meter stands for would teach the meter itself."""
    return usage_source == _BY_PROVIDER and NOT_COUNTED.isdisjoint(flags)
