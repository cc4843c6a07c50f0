"""Opening the books: every counter rebuilt from the journal, at one instant, and compared with the live ones."""

import asyncio
from collections.abc import Collection, Sequence

from palyra.control.queries import (
    LedgerAnswer,
    LedgerDifference,
    LedgerOvershoot,
    LedgerQuery,
)
from palyra.engine import Engine
from palyra.engine.books import hold_rows
from palyra.governance.counters import CounterState
from palyra.governance.policy_set import PolicySet
from palyra.governance.verify import verify
from palyra.journal.readers import Readers
from palyra.journal.rows import GrantRow


async def check_ledger(engine: Engine, query: LedgerQuery) -> LedgerAnswer:
    """Compares the live counters with what the journal holds at exactly the same moment.

    Every move of memory is submitted to the journal in its own step, so a fence taken in the step that reads the
    counters sees neither less nor more.
    """
    if query.part == "sums":
        return await check_sums(engine.journal.readers, query.cursor)
    await engine.catch_up()
    now = engine.clock.now_ms()
    fence = engine.journal.fence()
    live = engine.ledger.counters(now)
    policies = engine.ledger.policies
    running = {run.attempt.hold.hold_id for run in engine.runner.live if run.attempt is not None}
    async with fence as readers:
        return await check_rows(readers, policies, now, sums=query.part == "all", live=live, running=running)


async def check_rows(
    readers: Readers,
    policies: PolicySet,
    now: int,
    *,
    sums: bool = True,
    live: Sequence[CounterState] | None = None,
    running: Collection[str] = (),
) -> LedgerAnswer:
    """Without live counters the rows are compared with themselves; `running` are the holds of live runs.

    Everything handed over is a value of one moment, so that the counting can be done off the loop.
    """
    grants: tuple[GrantRow, ...] = await readers.grants()
    corrected, rows = await readers.corrected_holds(), hold_rows(readers)
    report = await asyncio.to_thread(verify, rows, policies, now, live=live, grants=grants, corrected=corrected)
    orphans = tuple(row.hold_id for row in report.open_holds if row.hold_id not in running)
    differing = await readers.unmatched_holds()
    if sums:
        differing += await readers.rollup_differences()
    return LedgerAnswer(
        ok=report.ok and not orphans and not differing,
        live=live is not None,
        holds=report.holds,
        counters=report.counters,
        open_holds=len(report.open_holds) - len(orphans),
        orphan_holds=orphans,
        overshoot=tuple(
            LedgerOvershoot(item.policy_id, item.scope_value, item.window_start, item.metric, item.amount)
            for item in report.overshoot
        ),
        differences=tuple(
            LedgerDifference(
                item.policy_id, item.scope_value, item.window_start, item.metric, item.what, item.live, item.rebuilt
            )
            for item in report.differences
        ),
        rollup_differences=differing,
        sums_share=1.0 if sums else 0.0,
    )


async def check_sums(readers: Readers, cursor: str) -> LedgerAnswer:
    """A stretch of the sums of usage alone. Raises BadInputError for a cursor that no stretch gave."""
    check = await readers.check_sums(cursor)
    return LedgerAnswer(
        ok=not check.differences,
        live=False,
        holds=0,
        counters=0,
        open_holds=0,
        orphan_holds=(),
        overshoot=(),
        differences=(),
        rollup_differences=check.differences,
        sums_share=check.share,
        sums_cursor=check.cursor,
    )
