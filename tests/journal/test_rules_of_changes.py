"""What each kind of change does to a row that is there already."""

import asyncio
from dataclasses import replace

import pytest

from palyra.core.scope import Scope
from palyra.journal.changes import (
    ApprovalSaved,
    Change,
    GrantSaved,
    HoldEnded,
    HoldGrown,
    HoldTaken,
    Metered,
    PolicySaved,
    RunNoted,
    RunSaved,
    UsageRecorded,
)
from palyra.journal.journal import Journal
from palyra.journal.rows import HoldRow, RunRow
from palyra.journal.writer import UnitRefusedError
from tests.journal.samples import (
    T0,
    a_grant,
    a_hold,
    a_move,
    a_policy,
    a_run,
    a_usage,
    an_approval,
    an_end,
    ended,
)


@pytest.fixture(params=["one unit", "one batch", "one by one"])
def together(request: pytest.FixtureRequest) -> str:
    """The rules are the same whether changes share a unit, a transaction, or nothing."""
    return str(request.param)


async def write(journal: Journal, how: str, changes: list[Change]) -> None:
    if how == "one unit":
        await journal.submit(changes)
    elif how == "one batch":
        await asyncio.gather(*[journal.submit([change]) for change in changes])
    else:
        for change in changes:
            await journal.submit([change])


def at(run: RunRow, version: int, state: str, reason: str = "") -> RunRow:
    finished = T0 + version if state in ("completed", "failed", "cancelled", "refused") else None
    return replace(run, version=version, state=state, reason=reason, finished_at=finished)


RUN = a_run()
RUN_TABLE = [
    ("a higher version replaces", [at(RUN, 1, "pending"), at(RUN, 2, "running")], (2, "running")),
    ("the same version changes nothing", [at(RUN, 2, "running"), at(RUN, 2, "parked")], (2, "running")),
    ("a lower version changes nothing", [at(RUN, 3, "running"), at(RUN, 2, "parked")], (3, "running")),
    ("the first terminal wins", [at(RUN, 2, "completed"), at(RUN, 3, "failed")], (2, "completed")),
    ("terminal stays terminal", [at(RUN, 2, "cancelled"), at(RUN, 9, "running")], (2, "cancelled")),
    ("versions may be skipped", [at(RUN, 1, "pending"), at(RUN, 7, "refused")], (7, "refused")),
    (
        "a whole life in one go",
        [
            at(RUN, 1, "pending"),
            at(RUN, 2, "parked"),
            at(RUN, 3, "pending"),
            at(RUN, 4, "running"),
            at(RUN, 5, "failed"),
        ],
        (5, "failed"),
    ),
]


@pytest.mark.parametrize(("rows", "expected"), [row[1:] for row in RUN_TABLE], ids=[row[0] for row in RUN_TABLE])
async def test_runs(journal: Journal, together: str, rows: list[RunRow], expected: tuple[int, str]) -> None:
    await write(journal, together, [RunSaved(row) for row in rows])
    stored = await journal.readers.run(RUN.run_id)
    assert stored is not None
    assert (stored.version, stored.state) == expected


async def test_everything_of_a_run_is_replaced_but_who_it_is_for_and_when_it_came(journal: Journal) -> None:
    run = a_run(model="", decision_id="")
    other = Scope("bob", "s2", "k2", "web", "coder2", "job2", {"team": "red"})
    newer = ended(run, "failed", model="m2", provider="p2", decision_id="d1", attempts=3, message="no", scope=other)
    await journal.submit([RunSaved(run), RunSaved(newer)])
    stored = await journal.readers.run(run.run_id)
    identity = replace(other, principal=run.scope.principal, session=run.scope.session, job=run.scope.job)
    assert stored == replace(newer, scope=identity)


async def stored_hold(journal: Journal, hold: HoldRow) -> HoldRow:
    stored = await journal.readers.hold(hold.hold_id)
    assert stored is not None
    return stored


async def test_a_hold_grows_while_it_is_held(journal: Journal, together: str) -> None:
    run = a_run()
    hold = a_hold(run)
    grown = [HoldGrown(hold.hold_id, 2_000_000 * n, 3072 * n, (a_move(held=n),)) for n in (1, 2)]
    await write(journal, together, [RunSaved(run), HoldTaken(hold), *grown])
    assert await stored_hold(journal, hold) == hold._replace(
        bound_usd=4_000_000, bound_tokens=6144, moves=(a_move(held=2),)
    )


async def test_the_newest_meter_reading_is_kept(journal: Journal, together: str) -> None:
    run = a_run()
    hold = a_hold(run)
    readings = [Metered(hold.hold_id, 512, 100, 130_000), Metered(hold.hold_id, 512, 640, None)]
    await write(journal, together, [RunSaved(run), HoldTaken(hold), *readings])
    assert await stored_hold(journal, hold) == hold._replace(metered_input=512, metered_output=640, metered_usd=None)


async def test_a_hold_ends_once_and_is_touched_no_more(journal: Journal, together: str) -> None:
    run = a_run()
    hold = a_hold(run)
    end = an_end(hold, overrun=5, recovered=True)
    late: list[Change] = [
        an_end(hold, "released", actual_usd=0),
        HoldGrown(hold.hold_id, 1, 1, ()),
        Metered(hold.hold_id, 1, 1, 1),
    ]
    await write(journal, together, [RunSaved(run), HoldTaken(hold), end, *late])
    assert await stored_hold(journal, hold) == hold._replace(
        state="settled",
        terminal_at=end.terminal_at,
        actual_usd=end.actual_usd,
        actual_tokens=end.actual_tokens,
        requests=1,
        usage_source="provider",
        overrun=5,
        recovered=True,
        moves=end.moves,
    )


async def test_ending_a_hold_that_nobody_took_changes_nothing(journal: Journal) -> None:
    hold = a_hold(a_run())
    await journal.submit([an_end(hold)])
    assert await journal.readers.hold(hold.hold_id) is None


async def test_a_hold_is_taken_once(journal: Journal) -> None:
    run = a_run()
    hold = a_hold(run)
    await journal.submit([RunSaved(run), HoldTaken(hold)])
    with pytest.raises(UnitRefusedError):
        await journal.submit([HoldTaken(hold._replace(bound_usd=5))])
    assert await stored_hold(journal, hold) == hold


async def test_one_usage_row_for_a_hold(journal: Journal, together: str) -> None:
    run = a_run()
    hold = a_hold(run)
    usage = a_usage(hold)
    again = replace(usage, charge=1, output_total=9)
    await write(journal, together, [RunSaved(run), HoldTaken(hold), UsageRecorded(usage), UsageRecorded(again)])
    assert await journal.readers.usage_of_run(run.run_id) == (usage,)
    totals = await journal.readers.usage_totals(T0, T0 + 10_000)
    assert (totals.attempts, totals.cost, totals.output_tokens) == (1, usage.charge, 500)


async def test_approvals_and_grants_only_move_to_higher_versions(journal: Journal, together: str) -> None:
    approval = an_approval()
    allowed = replace(approval, version=2, status="resolved", decision="allow", decided_by="olga", resolved_at=T0)
    denied = replace(approval, version=2, status="resolved", decision="deny", decided_by="bob", resolved_at=T0)
    grant = a_grant(approval)
    used = replace(grant, version=2, state="used", uses=1, run_ids=("r1", "r2"))
    changes: list[Change] = [
        ApprovalSaved(approval),
        GrantSaved(grant),
        ApprovalSaved(allowed),
        ApprovalSaved(denied),
        GrantSaved(used),
        GrantSaved(replace(grant, state="void")),
    ]
    await write(journal, together, changes)
    assert await journal.readers.approval(approval.approval_id) == allowed
    assert await journal.readers.grants() == (used,)


async def test_every_revision_of_a_policy_is_kept_and_the_newest_is_read(journal: Journal, together: str) -> None:
    first, second = a_policy(), a_policy(revision=2, body={"hard_limit": "7"})
    other = a_policy("zz", revision=4, removed=True)
    await write(journal, together, [PolicySaved(first), PolicySaved(second), PolicySaved(other)])
    assert await journal.readers.policies() == (second, other)


async def test_a_second_writer_of_the_same_revision_is_refused(journal: Journal) -> None:
    await journal.submit([PolicySaved(a_policy())])
    with pytest.raises(UnitRefusedError, match="UNIQUE"):
        await journal.submit([PolicySaved(a_policy(updated_by="eve"))])
    (kept,) = await journal.readers.policies()
    assert kept.updated_by == "olga"


async def test_ended_holds_keep_their_end_when_it_is_resubmitted_after_a_failure(journal: Journal) -> None:
    run = a_run()
    hold = a_hold(run)
    end = an_end(hold)
    unit: list[Change] = [end, UsageRecorded(a_usage(hold)), RunSaved(ended(run))]
    await journal.submit([RunSaved(run), HoldTaken(hold)])
    await journal.submit(unit)
    before = (await stored_hold(journal, hold), await journal.readers.usage_totals(T0, T0 + 10_000))
    await journal.submit(unit)
    assert (await stored_hold(journal, hold), await journal.readers.usage_totals(T0, T0 + 10_000)) == before
    assert isinstance(end, HoldEnded)


async def test_how_a_run_ended_is_told_once_however_often_it_is_written(journal: Journal, together: str) -> None:
    """A commit that is reported as failed may have happened; what is written again then is there already."""
    run = a_run()
    end: list[Change] = [RunSaved(ended(run)), RunNoted(run.run_id, T0, "run_terminal", {"state": "completed"})]
    await journal.submit([RunSaved(run), RunNoted(run.run_id, T0, "attempt")])
    await write(journal, together, [*end, *end, RunNoted(run.run_id, T0 + 1, "late_usage")])
    await journal.submit(end)
    notes = await journal.readers.run_notes(run.run_id)
    assert [note.kind for note in notes] == ["attempt", "run_terminal", "late_usage"]
