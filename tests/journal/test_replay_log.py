"""What replays are made from: events in the order in which they were submitted, whatever the journal's age."""

from contextlib import closing
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.journal import tables
from palyra.journal.changes import (
    GrantSaved,
    HoldCorrected,
    HoldGrown,
    HoldTaken,
    NameKept,
    PlanKept,
    RunNoted,
    RunSaved,
    TermsKept,
)
from palyra.journal.journal import Journal
from palyra.journal.replay_log import CORRECTION, END, GRANT, PLAN, REFUSED_SLICE, SLICE, TERMS, ReplayLog
from palyra.journal.rows import GrantRow
from tests.journal.samples import a_hold, a_run, a_usage, settled
from tests.journal.test_migrating import insert, older

GRANT_ROW = GrantRow("g1", 1, "", "session", "day", "*", "ann", "main", 5, "requests", 7, None, None, "active")


async def test_events_lie_in_the_order_they_were_submitted_in(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock)
    run = a_run("r1")
    hold = a_hold(run)
    plan = PlanKept("r1", 11, 5, 6, None, 30, 4096, "[1]")
    try:
        await journal.submit([TermsKept(10, {"policies": []})])
        await journal.submit([RunSaved(run), NameKept(5, "whom"), NameKept(5, "another"), HoldTaken(hold), plan])
        await journal.submit(
            [HoldGrown(hold.hold_id, (hold.bound_usd or 0) + 9, hold.bound_tokens + 3, hold.moves, 12)]
        )
        await journal.submit(
            [HoldGrown(hold.hold_id, (hold.bound_usd or 0) + 9, hold.bound_tokens + 3, hold.moves, 13)]
        )
        await journal.submit([RunNoted("r1", 14, "slice_refused", {"policies": ["day"], "tokens": 64})])
        await journal.submit([GrantSaved(GRANT_ROW)])
        await journal.submit(settled(run, hold))
    finally:
        await journal.close()
    with ReplayLog.of(tmp_path) as log:
        (events,) = log.chunks(1)
        assert [event[2] for event in events] == [TERMS, PLAN, SLICE, REFUSED_SLICE, GRANT, END]
        assert [event[1] for event in events][:5] == [10, 11, 12, 14, 7]
        assert events[1][3:] == (1, 5, 6, None, 30, 4096)
        assert events[2][3:] == (1, None, None, 9, 3, None)
        assert events[3][7] == 64
        assert (log.body(2), log.name(5), log.body(5)) == ("[1]", "whom", "active")
        assert log.grant(events[4][3]) == GRANT_ROW
        assert log.refs(["r1", "r2"]) == {"r1": 1}
        assert log.terms() == [(1, '{"policies":[]}')]
        assert (log.first_plan_at(), log.last) == (11, 6)
        assert [log.seq_at(at) for at in (0, 11, 12, 13)] == [1, 2, 3, 4]


async def test_a_journal_of_before_goes_on_being_recorded(tmp_path: Path, clock: ManualClock) -> None:
    run = a_run("old")
    hold = a_hold(run)
    with closing(older(tmp_path, 3)) as database:
        insert(database, tables.RUNS, tables.run_values(run))
        insert(database, tables.HOLDS, tables.hold_values(hold))
        insert(database, tables.GRANTS, tables.grant_values(GRANT_ROW))
    journal = await Journal.open(tmp_path, clock)
    try:
        await journal.submit(settled(run, hold))
    finally:
        await journal.close()
    with ReplayLog.of(tmp_path) as log:
        (events,) = log.chunks(1)
        assert [event[2] for event in events] == [GRANT, END]
        assert log.body(1) == "active"
        assert log.first_plan_at() is None


async def test_corrections_are_told_as_what_they_add_and_once(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock)
    run = a_run("r1")
    hold = a_hold(run)
    other = a_hold(a_run("r2"))
    try:
        await journal.submit([RunSaved(run), HoldTaken(hold), PlanKept("r1", hold.created_at, 5, 6, None, 30, 0, "[]")])
        await journal.submit([RunSaved(a_run("r2")), HoldTaken(other)])
        await journal.submit(settled(run, hold))
        before = await journal.readers.hold(hold.hold_id)
        assert before is not None
        usd, tokens = (before.actual_usd or 0) + 5, (before.actual_tokens or 0) - 3
        for _ in range(2):
            await journal.submit([HoldCorrected(hold.hold_id, usd, tokens, 0, hold.moves, 1, 2, 3)])
        await journal.submit([HoldCorrected(other.hold_id, 9, 9, 0, other.moves, 1, 2, 3)])
    finally:
        await journal.close()
    with ReplayLog.of(tmp_path) as log:
        (events,) = log.chunks(1)
        assert [event[2] for event in events] == [PLAN, END, CORRECTION]
        assert events[2][1:] == (hold.created_at, CORRECTION, 1, None, None, 5, -3, None)
        assert log.body(3) == hold.hold_id
        assert log.hold(hold.hold_id).actual_usd == usd
        assert log.corrections() == {hold.hold_id: (1, 5, -3)}
        assert log.last_at() == events[1][1]


async def test_what_was_corrected_before_is_told_from_now_on(tmp_path: Path, clock: ManualClock) -> None:
    run = a_run("old")
    hold = a_hold(run)._replace(state="settled", terminal_at=9, actual_usd=12, actual_tokens=30)
    first = a_usage(hold, charge=5)
    more = [
        a_usage(hold, hold_id="", corrects=hold.hold_id, charge=usd, input_total=tokens, output_total=1)
        for usd, tokens in ((4, 10), (3, -2))
    ]
    with closing(older(tmp_path, 9)) as database:
        insert(database, tables.RUNS, tables.run_values(run))
        insert(database, tables.HOLDS, tables.hold_values(hold))
        for usage in (first, *more):
            insert(database, tables.USAGE, tables.usage_values(usage))
        database.execute("INSERT INTO replay_log (at, kind, ref, scope, shape, tokens, outcome) VALUES (1,0,1,2,3,4,0)")
    await (await Journal.open(tmp_path, clock)).close()
    with ReplayLog.of(tmp_path) as log:
        (events,) = log.chunks(1)
        assert events[1][1:] == (hold.created_at, CORRECTION, 1, None, None, 7, 10, None)
        assert log.body(2) == hold.hold_id
