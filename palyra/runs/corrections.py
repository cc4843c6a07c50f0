"""Putting right what an attempt is charged: a further row of usage with the differences; the first stays as it was.

Counters move by the difference in the windows the attempt was taken in, roll-ups at the time it settled, and the run's
row tells the new numbers. What was decided meanwhile stays decided.
"""

from dataclasses import replace
from typing import Any

from palyra.core.clock import Clock
from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.core.events import Event, EventHub
from palyra.core.ids import IdSource
from palyra.core.money import format_usd
from palyra.core.plural import plural
from palyra.core.values import value
from palyra.governance.four_eyes import Decider
from palyra.governance.ledger import EXPIRED, SETTLED, Ledger
from palyra.journal.changes import AuditAdded, Change, HoldCorrected, UsageRecorded
from palyra.journal.corrections import Rates, as_corrected, rates_between
from palyra.journal.journal import Journal
from palyra.journal.rows import HoldRow, RunRow, UsageRow
from palyra.pricing.card import RateCard
from palyra.pricing.charge import ANSWER_AT_MOST, charge
from palyra.pricing.rates import lump
from palyra.pricing.usage import NormalisedUsage
from palyra.providers.request import MAX_TOKENS
from palyra.runs.durable import Durable
from palyra.runs.policies import PolicyKeeper

LUMPS = frozenset({"bound", "flat", "reported_cost", "corrected"})
"""Units of charges that no count of tokens comes to."""
REASON_MOST = 500


@value
class Correction:
    """What one attempt really used. `what` is its hold, or its run where only one attempt was charged; None leaves a
    number as it is. Without `cost` (nano-dollars) the tokens are priced by the card of the hold."""

    what: str
    reason: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost: int | None = None


@value
class Corrected:
    """`before` and `after` are the attempt's usage; `run` its run as it is told now."""

    correction_id: str
    before: UsageRow
    after: UsageRow
    run: RunRow


class Corrections:
    """Corrects one attempt at a time, while nobody counts counters again."""

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        policies: PolicyKeeper,
        durable: Durable,
        clock: Clock,
        events: EventHub,
        ids: IdSource,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._policies = policies
        self._durable = durable
        self._clock = clock
        self._events = events
        self._ids = ids

    async def correct(self, asked: Correction, by: Decider) -> Corrected:
        """Returns once the correction is durable.

        Raises BadInputError, NotFoundError, ConflictError (it says what the attempt says already, or it is open yet),
        JournalUnavailableError (it is in force, and written as soon as that is possible).
        """
        _check(asked)
        async with self._policies.counting:
            await self._journal.submit(())
            hold, run, before = await self._found(asked.what)
            wanted = _with(before, asked)
            if wanted == before:
                raise ConflictError(
                    f"The attempt {hold.hold_id} says so already: {usage_text(before)}.", code="already_corrected"
                )
            correction_id = self._ids.new()
            difference = _difference(before, wanted, hold, correction_id, priced=asked.cost is None)
            after = as_corrected(before, [difference])
            now = self._clock.now_ms()
            usd = hold.actual_usd if _is_flat(before) else after.charge
            stored = self._ledger.correct(hold, usd, after.input_total + after.output_total, now)
            run = replace(
                run,
                version=run.version + 1,
                input_tokens=run.input_tokens + difference.input_total,
                output_tokens=run.output_tokens + difference.output_total,
                cost=None if run.cost is None else run.cost + (difference.charge or 0),
            )
            changes: list[Change] = [
                HoldCorrected(
                    hold.hold_id,
                    stored.actual_usd,
                    stored.actual_tokens or 0,
                    stored.overrun,
                    stored.moves,
                    run.input_tokens,
                    run.output_tokens,
                    run.cost,
                ),
                UsageRecorded(difference),
                AuditAdded(now, "usage", hold.hold_id, by.name, _payload(correction_id, asked, before, after, by)),
            ]
            told = {"row": run, "difference": difference.charge or 0, "at": difference.at}
            self._events.publish(Event("run.corrected", now, run.run_id, told))
            await self._durable.wait(changes)
        return Corrected(correction_id, before, after, run)

    async def _found(self, what: str) -> tuple[HoldRow, RunRow, UsageRow]:
        """The hold, its run, and its usage with earlier corrections."""
        readers = self._journal.readers
        hold = await readers.hold(what)
        run_id = what if hold is None else hold.run_id
        rows = await readers.usage_of_run(run_id)
        firsts = {row.hold_id: row for row in rows if row.hold_id}
        run = await readers.run(run_id)
        if run is None:
            raise NotFoundError(f"No run or hold {what!r} is known.", fix="Look it up with `palyra usage runs`.")
        if hold is None:
            if len(firsts) > 1:
                holds = ", ".join(firsts)
                raise BadInputError(f"The run {run_id} was charged for several attempts.", fix=f"Name one of {holds}.")
            hold = await readers.hold(next(iter(firsts), ""))
        if hold is None or hold.hold_id not in firsts or run.finished_at is None:
            raise ConflictError(f"Nothing was charged yet for {what}.", fix="Correct it once it has ended.")
        if hold.state not in (SETTLED, EXPIRED):
            raise ConflictError(f"The hold {hold.hold_id} is {hold.state}, and charged nothing.")
        first = firsts[hold.hold_id]
        return hold, run, as_corrected(first, [row for row in rows if row.corrects == hold.hold_id])


def _check(asked: Correction) -> None:
    faults: list[str] = []
    for name in ("input_tokens", "output_tokens", "cached_tokens"):
        number = getattr(asked, name)
        if number is not None and not 0 <= number <= MAX_TOKENS:
            faults.append(f"{name}: it must be from 0 to {MAX_TOKENS:,}.")
    if asked.cost is not None and not 0 <= asked.cost <= ANSWER_AT_MOST:
        faults.append(f"cost: it must not be negative, nor more than {format_usd(ANSWER_AT_MOST)}.")
    if not asked.reason.strip() or len(asked.reason) > REASON_MOST:
        faults.append(f"reason: say why, in at most {REASON_MOST} characters.")
    if asked.input_tokens is asked.output_tokens is asked.cached_tokens is asked.cost is None:
        faults.append("Nothing is named that it should be; give tokens or a cost.")
    if faults:
        raise BadInputError(" ".join(faults))


def _with(before: UsageRow, asked: Correction) -> UsageRow:
    """The attempt's usage as it should be, but for its price. Raises BadInputError."""
    wanted = replace(
        before,
        input_total=before.input_total if asked.input_tokens is None else asked.input_tokens,
        output_total=before.output_total if asked.output_tokens is None else asked.output_tokens,
        cache_read=before.cache_read if asked.cached_tokens is None else asked.cached_tokens,
        charge=before.charge if asked.cost is None else asked.cost,
    )
    if asked.cost is not None and _is_flat(before):
        raise BadInputError("Nobody knew the price of this attempt: what budgets counted does not follow from its use.")
    parts_in = wanted.cache_read + wanted.write_5m + wanted.write_1h
    parts_out = max(wanted.reasoning, wanted.audio_out)
    for name, whole, part in (("input", wanted.input_total, parts_in), ("output", wanted.output_total, parts_out)):
        if part > whole:
            raise BadInputError(f"Of {name}, {plural(part, 'token')} lie within it, and it is {whole:,}.")
    return wanted


def _is_flat(row: UsageRow) -> bool:
    """Nobody knows its price: dollars do not follow from what it used."""
    return row.charge is None or row.price_state == "unknown_flat"


def _difference(before: UsageRow, wanted: UsageRow, hold: HoldRow, correction_id: str, *, priced: bool) -> UsageRow:
    """The row that brings an attempt's usage to what it should be; `priced`: by the card of the hold.

    Raises BadInputError where only a cost can.
    """
    cost: int = 0
    rates: Rates = ()
    if priced and not _is_flat(before):
        cost, rates = _priced_difference(before, wanted, hold)
    elif wanted.charge is not None and before.charge is not None and not priced:
        cost = wanted.charge - before.charge
        rates = rates_between(before.rates, (lump("corrected", wanted.charge).to_json(),))
    return replace(
        before,
        hold_id="",
        corrects=hold.hold_id,
        input_total=wanted.input_total - before.input_total,
        output_total=wanted.output_total - before.output_total,
        cache_read=wanted.cache_read - before.cache_read,
        write_5m=0,
        write_1h=0,
        reasoning=0,
        audio_in=0,
        audio_out=0,
        tool_uses=0,
        metered_input=0,
        metered_output=0,
        usage_source="corrected",
        flags=(f"correction:{correction_id}",),
        rates=rates,
        charge=cost,
        reported_cost=None,
        raw=None,
        latency_ms=0,
        visible_bytes=0,
        readings=(),
    )


def _priced_difference(before: UsageRow, wanted: UsageRow, hold: HoldRow) -> tuple[int, Rates]:
    card = None if hold.card is None else RateCard.from_json(hold.card)
    now, then = (charge(card, _normalised(row)) for row in (wanted, before))
    lumped = any(part["unit"] in LUMPS for part in before.rates)
    if now.amount is None or before.charge is None or not (lumped or then.amount == before.charge):
        raise BadInputError(
            "What this attempt was charged does not follow from its tokens alone (a service tier, a tool, or another"
            " model's price).",
            fix="Name the cost as well.",
        )
    parts = tuple(part.to_json() for part in now.parts)
    return now.amount - before.charge, rates_between(before.rates, parts)


def _normalised(row: UsageRow) -> NormalisedUsage:
    return NormalisedUsage(
        row.input_total,
        row.output_total,
        row.cache_read,
        row.write_5m,
        row.write_1h,
        row.reasoning,
        audio_in=row.audio_in,
        audio_out=row.audio_out,
    )


def usage_text(row: UsageRow) -> str:
    """`1,200 tokens in, 300 out, $0.0042`."""
    cost = "at no known price" if row.charge is None else format_usd(row.charge)
    return f"{plural(row.input_total, 'token')} in, {row.output_total:,} out, {cost}"


def _payload(correction_id: str, asked: Correction, before: UsageRow, after: UsageRow, by: Decider) -> dict[str, Any]:
    def told(row: UsageRow) -> dict[str, int | None]:
        return {"input": row.input_total, "output": row.output_total, "cached": row.cache_read, "nano_usd": row.charge}

    return {
        "verb": "corrected",
        "correction_id": correction_id,
        "run_id": before.run_id,
        "before": told(before),
        "after": told(after),
        "reason": asked.reason.strip(),
        "attestation": by.attestation,
    }
