"""Old runs go with all that is told of them, but for those of which something is still open; sums stay as they are."""

import sqlite3
from contextlib import closing
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.journal import tables
from palyra.journal.audit import HEAD_FILE, HeadFile, verify_chain
from palyra.journal.changes import ApprovalSaved, DecisionMade, GrantSaved, HoldTaken, RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from palyra.journal.rows import HoldRow
from palyra.journal.text_rows import ANSWER, PROMPT, RUN_TEXTS, RunText
from tests.journal.samples import DAY, T0, a_decision, a_grant, a_hold, a_run, a_usage, an_approval, settled, taken
from tests.journal.test_migrating import insert, older

NEXT_YEAR = T0 + 400 * DAY


async def rebuilt(journal: Journal, since: int = 0) -> list[HoldRow]:
    async with journal.fence() as readers:
        return [row async for rows in readers.holds_for_rebuild(since) for row in rows]


async def left(journal: Journal) -> list[str]:
    return sorted(run.run_id for run in (await journal.readers.runs(limit=500)).runs)


async def test_runs_go_but_for_what_is_still_open(journal: Journal) -> None:
    approval = an_approval("a1")
    old = [a_run(f"old-{number:02d}", accepted_at=T0 + number) for number in range(60)]
    for number, run in enumerate(old):
        hold = a_hold(run, f"hold-{number}", moves=() if number else a_hold(run).moves)
        await journal.submit([*taken(run, hold), *settled(run, hold)])
    await journal.submit([RunSaved(a_run("live", accepted_at=T0))])
    drew = a_run("drew", accepted_at=T0)
    late, corrected = a_run("late", accepted_at=NEXT_YEAR - 5), a_run("corrected", accepted_at=T0)
    for run in (drew, late, corrected):
        hold = a_hold(run, f"hold-{run.run_id}")
        await journal.submit([*taken(run, hold), *settled(run, hold)])
    again = a_usage(a_hold(corrected, "hold-corrected"), hold_id="", corrects="hold-corrected", at=NEXT_YEAR + 5)
    await journal.submit([UsageRecorded(again)])
    newest = a_run("newest", accepted_at=T0)
    hold = a_hold(newest)
    await journal.submit([*taken(newest, hold), *settled(newest, hold)])
    rows = await journal.readers.usage_totals(0, NEXT_YEAR + DAY)
    before = NEXT_YEAR // DAY * DAY
    await journal.submit([ApprovalSaved(approval), GrantSaved(a_grant(approval, "g1", state="active"))])
    folded = await journal.fold_old_runs(before)
    assert folded.runs == 59
    assert await left(journal) == ["corrected", "drew", "late", "live", "newest", "old-00"]
    await journal.submit([GrantSaved(a_grant(approval, "g1", version=2, state="exhausted"))])
    assert (await journal.fold_old_runs(before)).runs == 2
    assert await left(journal) == ["corrected", "late", "live", "newest"]
    assert (await journal.fold_old_runs(before)).runs == 0
    assert await journal.readers.folded_until() == before
    assert await journal.readers.usage_totals(0, NEXT_YEAR + DAY) == rows
    assert await journal.readers.rollup_differences() == ()
    with closing(sqlite3.connect(journal.path)) as database:
        assert verify_chain(database, HeadFile(journal.path.parent / HEAD_FILE), live=True).first_bad is None
    opening = [row for row in await rebuilt(journal) if row.hold_id.startswith("folded:")]
    assert sum(row.folded for row in opening) == 61
    assert sum(row.actual_tokens or 0 for row in opening) == 61 * 1_500
    assert len(opening) == 2
    assert [row.hold_id for row in await rebuilt(journal, before)] == ["hold-late"]


async def test_a_decision_that_is_gone_before_its_time_is_missed(journal: Journal) -> None:
    for number, at in enumerate((T0, NEXT_YEAR)):
        run = a_run(f"run-{number}", accepted_at=at)
        await journal.submit([RunSaved(run), DecisionMade(a_decision(run, f"d{number}"))])
        hold = a_hold(run, f"h{number}")
        await journal.submit([HoldTaken(hold), *settled(run, hold)])
    assert (await journal.fold_old_runs(NEXT_YEAR // DAY * DAY)).runs == 1
    head = HeadFile(journal.path.parent / HEAD_FILE)
    with closing(sqlite3.connect(journal.path)) as database:
        assert verify_chain(database, head, live=True).first_bad is None
        database.execute("DELETE FROM decisions WHERE decision_id = 'd1'")
        assert verify_chain(database, head, live=True).message == "decision d1 is missing"
        database.rollback()


async def test_a_journal_of_before_folding_is_folded(tmp_path: Path, clock: ManualClock) -> None:
    runs = [a_run(f"run-{number}") for number in range(3)]
    with closing(older(tmp_path, 18)) as database:
        for run in runs:
            insert(database, tables.RUNS, tables.run_values(run))
    journal = await Journal.open(tmp_path, clock)
    try:
        for run in runs:
            hold = a_hold(run)
            await journal.submit([HoldTaken(hold), *settled(run, hold)])
        assert (await journal.fold_old_runs(NEXT_YEAR)).runs == 2
        assert await left(journal) == ["run-2"]
    finally:
        await journal.close()


async def test_what_was_said_goes_with_its_run_also_in_a_journal_of_before_words_were_kept(
    tmp_path: Path, clock: ManualClock
) -> None:
    old, newest = a_run("old", accepted_at=T0), a_run("newest", accepted_at=NEXT_YEAR)
    with closing(older(tmp_path, 20)) as database:
        insert(database, tables.RUNS, tables.run_values(old))
    journal = await Journal.open(tmp_path, clock)
    try:
        for run in (old, newest):
            hold = a_hold(run)
            texts = [RunText(run.run_id, part, False, False, part, 6) for part in (ANSWER, PROMPT)]
            await journal.submit([*taken(run, hold), *settled(run, hold), *map(RUN_TEXTS.saved, texts)])
        # Said once, it stays as it was said.
        await journal.submit([RUN_TEXTS.saved(RunText("newest", PROMPT, True, True, "other", 9))])
        assert [one.text for one in await journal.readers.run_texts("old")] == [PROMPT, ANSWER]
        assert (await journal.fold_old_runs(NEXT_YEAR // DAY * DAY)).runs == 1
        assert await journal.readers.run_texts("old") == ()
        assert [one.text for one in await journal.readers.run_texts("newest")] == [PROMPT, ANSWER]
    finally:
        await journal.close()
