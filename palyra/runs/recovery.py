"""Starting after a death: counters rebuilt, the dead engine's holds and runs ended, in the order the rules say.

A second pass finds nothing and changes nothing.
"""

from typing import Any

from palyra.config.choices import OrphanHolds
from palyra.core.clock import Clock
from palyra.core.values import altered, value
from palyra.governance.holds import Ending
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import Change, RunNoted, RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from palyra.journal.rows import HoldRow, RunRow, UsageRow
from palyra.pricing.card import RateCard
from palyra.pricing.charge import charge
from palyra.pricing.rates import BOUND, FLAT, METER, lump
from palyra.pricing.usage import NormalisedUsage
from palyra.runs.states import RunState

RECOVERED_FLAG = "hold_recovered"


@value
class Recovered:
    """What a start found: runs of a dead engine, and how many of its holds were charged or released."""

    runs: int = 0
    charged: int = 0
    released: int = 0


async def rebuild(ledger: Ledger, policies: PolicySet, journal: Journal, at: int) -> None:
    """Counts every hold the policies' windows need at `at` (UTC unix ms); open ones of a dead engine are the ledger's
    afterwards. Raises JournalUnavailableError."""
    recount = ledger.begin(policies, at, restoring=True)
    async with journal.fence() as readers:
        async for rows in readers.holds_for_rebuild(recount.since):
            for row in rows:
                recount.add(row)
    grown = ledger.apply(recount, at)
    if grown:
        await journal.submit(grown)


async def end_interrupted(
    ledger: Ledger, journal: Journal, clock: Clock, boot_id: str, orphans: OrphanHolds
) -> Recovered:
    """Ends what another boot left open. To be called before the gateway opens, after `rebuild`. Raises
    JournalUnavailableError."""
    holds: dict[str, list[HoldRow]] = {}
    for hold in ledger.open_holds():
        holds.setdefault(hold.run_id, []).append(hold)
    runs = charged = released = 0
    unit: list[Change] = []
    written = journal.submit(unit)
    async for rows in journal.readers.orphan_runs(boot_id):
        for row in rows:
            now = clock.now_ms()
            endings = [(hold, _end(ledger, hold, now, orphans)) for hold in holds.pop(row.run_id, [])]
            unit += _interrupted(row, endings, now)
            runs += 1
            charged += sum(ending.change.state != "released" for _, ending in endings)
            released += sum(ending.change.state == "released" for _, ending in endings)
        # One chunk is written while the next is worked out.
        await written
        written, unit = journal.submit(unit), []
    await written
    for left in holds.values():
        for hold in left:
            now = clock.now_ms()
            ending = _end(ledger, hold, now, orphans)
            unit += _ended(hold, ending, now)[0]
            charged += ending.change.state != "released"
            released += ending.change.state == "released"
    if unit:
        await journal.submit(unit)
    return Recovered(runs, charged, released)


def _end(ledger: Ledger, hold: HoldRow, at: int, orphans: OrphanHolds) -> Ending:
    return ledger.recover(hold.hold_id, at=at, orphans=orphans)


def _ended(hold: HoldRow, ending: Ending, at: int) -> tuple[list[Change], UsageRow | None]:
    """What ends a hold, with what it is charged for."""
    if ending.change.state == "released":
        return [ending.change], None
    usage = _usage(hold, ending, at)
    return [ending.change, UsageRecorded(usage)], usage


def _interrupted(row: RunRow, endings: list[tuple[HoldRow, Ending]], at: int) -> list[Change]:
    changes: list[Change] = []
    cost, input_tokens, output_tokens = row.cost, row.input_tokens, row.output_tokens
    for hold, ending in endings:
        unit, usage = _ended(hold, ending, at)
        changes += unit
        if usage is not None:
            cost = None if usage.charge is None or cost is None else cost + usage.charge
            input_tokens += usage.input_total
            output_tokens += usage.output_total
    ended = altered(
        row,
        {
            "version": row.version + 1,
            "state": RunState.FAILED.value,
            "reason": "interrupted",
            "message": "The engine died while this ran.",
            "finished_at": at,
            "cost": cost,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "flags": (*row.flags, RECOVERED_FLAG) if endings else row.flags,
        },
    )
    note = {"state": ended.state, "reason": ended.reason}
    return [*changes, RunSaved(ended), RunNoted(row.run_id, at, "run_terminal", note)]


def _rates(
    hold: HoldRow, ending: Ending, input_tokens: int, output_tokens: int, *, flat: bool, metered: bool
) -> tuple[dict[str, Any], ...]:
    """The parts of a charge: those of its tokens at the rates of the hold's card, where these make it up."""
    if flat and ending.flat is not None:
        return (lump(FLAT, ending.flat).to_json(),)
    amount = ending.change.actual_usd
    if amount is None:
        return ()
    if metered and hold.card is not None:
        charged = charge(RateCard.from_json(hold.card), NormalisedUsage(input_tokens, output_tokens))
        if charged.amount == amount:
            return tuple(part.to_json() for part in charged.parts)
    return (lump(METER if metered else BOUND, amount).to_json(),)


def _usage(hold: HoldRow, ending: Ending, at: int) -> UsageRow:
    """The last meter reading where there was one, else the bound."""
    change = ending.change
    metered = change.usage_source == "metered"
    input_tokens = (hold.metered_input or 0) if metered else min(hold.expected_input, change.actual_tokens)
    output_tokens = change.actual_tokens - input_tokens
    unpriced = change.actual_usd is None
    flat = unpriced and ending.flat is not None
    return UsageRow(
        hold_id=hold.hold_id,
        run_id=hold.run_id,
        attempt=hold.attempt,
        at=at,
        provider=hold.provider,
        model=hold.model,
        scope=hold.scope,
        input_total=input_tokens,
        cache_read=0,
        write_5m=0,
        write_1h=0,
        output_total=output_tokens,
        reasoning=0,
        audio_in=0,
        audio_out=0,
        tool_uses=0,
        metered_input=hold.metered_input or 0,
        metered_output=hold.metered_output or 0,
        usage_source=change.usage_source,
        flags=(RECOVERED_FLAG,),
        price_state="unknown_flat" if flat else hold.price_state,
        rates=_rates(hold, ending, input_tokens, output_tokens, flat=flat, metered=metered),
        charge=ending.flat if unpriced else change.actual_usd,
        latency_ms=max(0, at - hold.created_at),
    )
