"""Lists, pages and filters; reads that are cancelled; and what recovery at start asks for."""

import asyncio
import sqlite3
import threading
from typing import Any

import pytest

from palyra.core.errors import BadInputError, JournalUnavailableError
from palyra.core.scope import Scope
from palyra.core.terms import Term
from palyra.journal.changes import ApprovalSaved, AuditAdded, DecisionMade, GrantSaved, HoldTaken, RunSaved
from palyra.journal.connection import ReaderConnection
from palyra.journal.journal import READERS, Journal
from palyra.journal.readers.query import CHUNK
from palyra.journal.rows import RunFilter, RunRow
from tests.journal.samples import T0, a_decision, a_grant, a_hold, a_run, an_approval, an_end, ended

BOB = Scope("bob", "s2", job="nightly")
RUNS = {
    "ann": a_run("R-ann", accepted_at=T0),
    "bob": ended(a_run("R-bob", scope=BOB, accepted_at=T0 + 1), "failed", reason="timeout", message="100% lost_it"),
    "claude": a_run("R-claude", model="claude", model_asked="best", accepted_at=T0 + 2, state="running"),
    "done": ended(a_run("R-done", accepted_at=T0 + 3), message="lostXit"),
    "refused": ended(a_run("R-refused", model="", accepted_at=T0 + 4), "refused"),
}
FILTERS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("nothing asked", {}, ["refused", "done", "claude", "bob", "ann"]),
    ("one state", {"states": ("failed",)}, ["bob"]),
    ("several states", {"states": ("completed", "pending")}, ["done", "ann"]),
    ("live states", {"states": ("pending", "parked", "running")}, ["claude", "ann"]),
    ("principal", {"principal": "bob"}, ["bob"]),
    ("session", {"session": "s2"}, ["bob"]),
    ("job", {"job": "nightly"}, ["bob"]),
    ("model used", {"model": "claude"}, ["claude"]),
    ("model asked for", {"model": "best"}, ["claude"]),
    ("since", {"since": T0 + 3}, ["refused", "done"]),
    ("until", {"until": T0 + 1}, ["ann"]),
    ("text in an id", {"text": "r-DONE"}, ["done"]),
    ("text in a reason", {"text": "timeo"}, ["bob"]),
    ("a percent sign is only itself", {"text": "100%"}, ["bob"]),
    ("an underscore is only itself", {"text": "t_i"}, ["bob"]),
    ("a percent sign alone", {"text": "%"}, ["bob"]),
    ("everything at once", {"states": ("failed",), "principal": "bob", "session": "s2", "text": "lost"}, ["bob"]),
    ("a word anywhere", {"terms": (Term("", "BOB"),)}, ["bob"]),
    ("a word not there", {"terms": (Term("", "bob", inverted=True), Term("state", "e", inverted=True))}, ["claude"]),
    ("a word of one field", {"terms": (Term("why", "time"), Term("state", "fail"))}, ["bob"]),
    ("signs of patterns are themselves", {"terms": (Term("id", "_"),)}, []),
    ("nothing fits", {"principal": "bob", "model": "claude"}, []),
]


@pytest.mark.parametrize(("wanted", "expected"), [row[1:] for row in FILTERS], ids=[row[0] for row in FILTERS])
async def test_runs_are_listed_newest_first(journal: Journal, wanted: dict[str, Any], expected: list[str]) -> None:
    await journal.submit([RunSaved(run) for run in RUNS.values()])
    page = await journal.readers.runs(RunFilter(**wanted))
    assert list(page.runs) == [RUNS[name] for name in expected]
    assert page.cursor == ""


async def test_pages_meet_without_gap_or_repeat_while_runs_arrive(journal: Journal) -> None:
    runs = [a_run(accepted_at=T0 + number // 3) for number in range(10)]
    await journal.submit([RunSaved(run) for run in runs])
    found: list[RunRow] = []
    cursor = ""
    while True:
        page = await journal.readers.runs(cursor=cursor, limit=4)
        found += page.runs
        cursor = page.cursor
        await journal.submit([RunSaved(a_run(accepted_at=T0 + 1000))])
        if not cursor:
            break
    assert found == runs[::-1]


async def test_pages_go_up_from_the_oldest_as_they_come_down_from_the_newest(journal: Journal) -> None:
    runs = [a_run(accepted_at=T0 + number // 3, model="even" if number % 2 == 0 else "odd") for number in range(20)]
    await journal.submit([RunSaved(run) for run in runs])
    wanted = RunFilter(terms=(Term("model", "even"),))
    even = runs[::-2] if runs[-1].model == "even" else runs[-2::-2]
    assert await journal.readers.count_runs(wanted) == len(even)
    found: list[RunRow] = []
    page = await journal.readers.runs(wanted, limit=4, upward=True)
    assert (page.cursor, len(page.runs)) == ("", 4)
    below = page
    while True:
        found = [*page.runs, *found]
        if not page.newer:
            break
        below, page = page, await journal.readers.runs(wanted, cursor=page.newer, limit=4, upward=True)
        assert (await journal.readers.runs(wanted, cursor=page.cursor, limit=4)).runs[:4] == below.runs, "back again"
    assert found == even


async def test_a_field_that_runs_do_not_have_is_refused(journal: Journal) -> None:
    with pytest.raises(BadInputError, match="There is no field 'colour'"):
        await journal.readers.runs(RunFilter(terms=(Term("colour", "red"),)))


@pytest.mark.parametrize("cursor", ["x", "1", "1.", "1.2.3", "a.b"])
async def test_a_made_up_cursor_is_refused(journal: Journal, cursor: str) -> None:
    with pytest.raises(BadInputError):
        await journal.readers.runs(cursor=cursor)


async def test_approvals_pending_oldest_first_others_newest_first(journal: Journal) -> None:
    approvals = [
        an_approval(f"a{n}", requested_at=T0 + n, principal="ann" if n % 2 else "bob", status=status)
        for n, status in enumerate(["pending", "resolved", "pending", "resolved"])
    ]
    await journal.submit([ApprovalSaved(approval) for approval in approvals])
    readers = journal.readers
    assert [row.approval_id for row in await readers.pending_approvals()] == ["a0", "a2"]
    assert [row.approval_id for row in await readers.approvals()] == ["a3", "a2", "a1", "a0"]
    assert [row.approval_id for row in await readers.approvals("resolved")] == ["a3", "a1"]
    assert [row.approval_id for row in await readers.approvals("resolved", principal="bob")] == []
    assert [row.approval_id for row in await readers.approvals(principal="ann", limit=1)] == ["a3"]


async def test_approvals_are_paged_upward_too(journal: Journal) -> None:
    rows = [an_approval(f"a{n}", requested_at=T0 + n // 2, status="resolved") for n in range(6)]
    await journal.submit([ApprovalSaved(row) for row in rows])
    up = await journal.readers.approvals("resolved", after=(T0, "a1"), limit=3)
    assert [row.approval_id for row in up] == ["a4", "a3", "a2"]
    assert [row.approval_id for row in await journal.readers.approvals(after=(-1, ""), limit=2)] == ["a1", "a0"]


async def test_grants_by_state_and_by_approval(journal: Journal) -> None:
    first, second = an_approval(), an_approval()
    grants = [a_grant(first), a_grant(first, state="used"), a_grant(second)]
    await journal.submit([ApprovalSaved(first), ApprovalSaved(second), *map(GrantSaved, grants)])
    assert await journal.readers.grants(state="live") == (grants[0], grants[2])
    assert await journal.readers.grants(approval_id=first.approval_id) == tuple(grants[:2])
    assert await journal.readers.grants(approval_id=first.approval_id, state="used") == (grants[1],)


async def test_decisions_and_audit_rows_newest_first(journal: Journal) -> None:
    run = a_run()
    decisions = [a_decision(run) for _ in range(3)]
    await journal.submit([RunSaved(run), *map(DecisionMade, decisions), AuditAdded(T0, "engine", "boot", "engine", {})])
    assert await journal.readers.decisions(limit=2) == (decisions[2], decisions[1])
    assert [row.kind for row in await journal.readers.audit()] == ["engine", "decision", "decision", "decision"]
    assert [row.seq for row in await journal.readers.audit(2, before=4)] == [3, 2]


async def test_recovery_sees_live_runs_and_open_holds_of_other_boots_only(journal: Journal) -> None:
    old = [a_run(boot_id="old", state=state) for state in ("pending", "parked", "running")]
    mine = a_run(boot_id="new")
    over = ended(a_run(boot_id="old"))
    holds = [a_hold(run) for run in (*old, mine, over)]
    await journal.submit(
        [*map(RunSaved, (*old, mine, over)), *map(HoldTaken, holds), an_end(holds[4]), an_end(holds[0], "released")]
    )
    runs = [run async for chunk in journal.readers.orphan_runs("new") for run in chunk]
    assert runs == old
    orphans = [hold.hold_id async for chunk in journal.readers.orphan_holds("new") for hold in chunk]
    assert orphans == [holds[1].hold_id, holds[2].hold_id]
    assert [hold.hold_id for hold in await journal.readers.open_holds()] == [holds[n].hold_id for n in (1, 2, 3)]


async def test_long_lists_come_in_chunks_and_whole(journal: Journal) -> None:
    runs = [a_run(boot_id="old") for _ in range(CHUNK + 3)]
    await asyncio.gather(*[journal.submit([RunSaved(run)]) for run in runs])
    chunks = [chunk async for chunk in journal.readers.orphan_runs("new")]
    assert [len(chunk) for chunk in chunks] == [CHUNK, 3]
    assert [run.run_id for chunk in chunks for run in chunk] == [run.run_id for run in runs]


ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n {}"


async def test_cancelling_a_read_stops_the_query_and_frees_the_connection(journal: Journal) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(3 * READERS):
        running = asyncio.Event()

        def endless(database: sqlite3.Connection, running: asyncio.Event = running) -> Any:
            def under_way(x: int) -> bool:
                if x == 10:
                    loop.call_soon_threadsafe(running.set)
                return True

            database.create_function("under_way", 1, under_way)
            return database.execute(ENDLESS.format("WHERE under_way(x)")).fetchone()

        reading = asyncio.create_task(journal._pool.run(endless))
        await running.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await journal.submit([RunSaved(RUNS["ann"])])
    answers = await asyncio.gather(*[journal.readers.run("R-ann") for _ in range(3 * READERS)])
    assert answers == [RUNS["ann"]] * (3 * READERS)


async def test_a_cancel_between_two_statements_is_not_lost(journal: Journal) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(READERS):
        between, go_on = asyncio.Event(), threading.Event()

        def endless(
            database: sqlite3.Connection, between: asyncio.Event = between, go_on: threading.Event = go_on
        ) -> Any:
            loop.call_soon_threadsafe(between.set)
            go_on.wait()
            return database.execute(ENDLESS.format("")).fetchone()

        reading = asyncio.create_task(journal._pool.run(endless))
        await between.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        go_on.set()
    assert await journal.readers.run("nobody") is None


async def test_a_read_cancelled_while_it_waits_for_its_turn_leaves_the_others_alone(journal: Journal) -> None:
    go_on = threading.Event()
    busy = [asyncio.create_task(journal._pool.run(lambda _: go_on.wait())) for _ in range(READERS)]
    waiting = [asyncio.create_task(journal.readers.run("nobody")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    go_on.set()
    assert await asyncio.gather(*busy) == [True] * READERS
    assert await waiting[0] is None
    assert await waiting[2] is None


async def test_closing_stops_a_query_that_would_never_end(tmp_path: Any, clock: Any) -> None:
    journal = await Journal.open(tmp_path, clock)
    loop = asyncio.get_running_loop()
    running = asyncio.Event()

    def endless(database: sqlite3.Connection) -> Any:
        loop.call_soon_threadsafe(running.set)
        return database.execute(ENDLESS.format("")).fetchone()

    reading = asyncio.create_task(journal._pool.run(endless))
    await running.wait()
    await journal.close()
    with pytest.raises(JournalUnavailableError):
        await reading


async def test_readers_cannot_write(journal: Journal) -> None:
    with pytest.raises(JournalUnavailableError, match="readonly"):
        await journal._pool.run(lambda database: database.execute("DELETE FROM runs"))
    assert isinstance(journal._pool._all[0], ReaderConnection)
