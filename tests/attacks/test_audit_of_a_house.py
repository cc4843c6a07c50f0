"""Somebody changes the audit where an engine is to use it: while it runs, before an upgrade, or in a copy that is put
back. It is found, the row is named, and the engine goes on."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from palyra.config.operations import Maintenance
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.queries import AuditQuery
from palyra.core.clock import ManualClock
from palyra.diagnostics.reasons import ReasonCode
from palyra.engine.upkeep import AUDIT, upkeep
from palyra.journal.audit import AuditReport, HeadStatus, verify
from palyra.journal.journal import Journal
from palyra.journal.schema import LATEST
from tests.end_to_end.premises import Premises, chat, premises
from tests.journal.test_audit import tamper
from tests.support.upstream import Upstream
from tests.upgrading.places import installation, newest_time


async def told(here: Premises) -> tuple[bool, set[str], bool]:
    """What those say that look by themselves: diagnostics, the conditions of the health check, and its own line."""
    await here.advance(1)
    journal = (await here.control.ask(DiagnosticsQuery(("journal",), fresh=True))).sections.journal
    assert journal is not None
    conditions: set[str] = set()
    works = upkeep(here.engine, lambda condition: conditions.add(condition.key), lambda key: None)
    line = await works[Maintenance.HEALTH_CHECK]()
    return ReasonCode.AUDIT_BROKEN in {one.code for one in journal.reasons}, conditions & {AUDIT}, line["audit_ok"] == 1


async def by_command(state_dir: Path) -> tuple[int | None, str]:
    """What `palyra audit verify` says beside the engine."""
    program = "from palyra.entry import cli; cli()"
    command = [sys.executable, "-c", program, "audit", "verify", "--state-dir", str(state_dir)]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-2, cwd=state_dir)
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_a_row_changed_under_a_running_engine_is_named_by_whoever_looks(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream, premises(upstream, tmp_path / "state") as here:
        for _ in range(3):
            assert (await here.ask(chat())).status == 200
        await here.rest()
        assert (await here.control.ask(AuditQuery())).ok
        row, actor = 2, "mallory"
        tamper(here.state_dir, f"UPDATE audit SET actor = actor || '{actor}' WHERE seq = {row}")
        answer = await here.control.ask(AuditQuery())
        assert (answer.ok, answer.first_bad) == (False, row), answer
        assert await told(here) == (True, {AUDIT}, False)
        assert (await here.ask(chat())).status == 200
        code, printed = await by_command(here.state_dir)
        assert (code, f"row {row} " in printed) == (1, True), printed
        assert here.engine.phase == "ready"
        # Put back, it is whole again with what was added meanwhile, and everybody says so.
        tamper(here.state_dir, f"UPDATE audit SET actor = replace(actor, '{actor}', '') WHERE seq = {row}")
        assert (await here.control.ask(AuditQuery())).ok
        assert await told(here) == (False, set(), True)
        assert len(upstream.seen) == 4


@pytest.mark.parametrize(
    "deed",
    [
        "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
        "INSERT INTO audit SELECT seq + 1, at, kind, 'more', actor, payload, digest FROM audit"
        " ORDER BY seq DESC LIMIT 1",
    ],
    ids=["cut", "added"],
)
async def test_a_chain_whose_end_somebody_moves_stops_no_engine_and_its_head_still_tells(
    tmp_path: Path, deed: str
) -> None:
    async with Upstream().serving() as upstream, premises(upstream, tmp_path / "state") as here:
        for _ in range(3):
            assert (await here.ask(chat())).status == 200
        await here.rest()
        whole = await here.control.ask(AuditQuery())
        assert whole.ok
        head = (here.state_dir / "audit.head").read_bytes()
        tamper(here.state_dir, deed)
        assert [(await here.ask(chat())).status for _ in range(2)] == [200, 200]
        assert len(upstream.seen) == 5
        assert (here.engine.phase, list(here.engine.ready_problems())) == ("ready", [])
        await here.rest()
        assert await told(here) == (True, {AUDIT}, False)
        answer = await here.control.ask(AuditQuery())
        assert (answer.ok, answer.first_bad) == (False, whole.rows + ("INSERT" in deed)), answer
        assert (here.state_dir / "audit.head").read_bytes() == head
        books = await here.ledger()
        assert (books.ok, books.open_holds) == (True, 0)
        here.abandoned = True


def found(state_dir: Path) -> AuditReport:
    return verify(state_dir / "journal.db", state_dir / "audit.head")


async def opened(state_dir: Path, clock: ManualClock) -> bool:
    """Opens and closes the journal, which brings it up to date; whether the end of its chain fitted its head."""
    journal = await Journal.open(state_dir, clock)
    await journal.close()
    return journal.audit_intact


@pytest.mark.parametrize("schema", [1, 9, LATEST - 1])
async def test_a_journal_changed_before_its_upgrade_is_found_after_it_and_so_is_its_copy_put_back(
    tmp_path: Path, schema: int
) -> None:
    _, state_dir = installation(tmp_path, schema)
    journal, head = state_dir / "journal.db", state_dir / "audit.head"
    clock = ManualClock(newest_time(journal) + 1_000)
    with closing(sqlite3.connect(journal)) as database:
        (rows,) = database.execute("SELECT count(*) FROM audit").fetchone()
    row = rows // 2
    old_head = head.read_bytes()
    tamper(state_dir, f"UPDATE audit SET payload = json_set(payload, '$.forged', 1) WHERE seq = {row}")
    # Its end fits its head: only following the chain tells.
    assert await opened(state_dir, clock)
    assert (found(state_dir).ok, found(state_dir).first_bad) == (False, row)

    # The copy from before the upgrade has the same row; somebody cuts off its end, too, and puts it back.
    (copy,) = state_dir.glob("backups/*.db")
    for path in state_dir.glob("journal.db*"):
        path.unlink()
    copy.rename(journal)
    head.write_bytes(copy.with_suffix(".head").read_bytes())
    assert head.read_bytes() == old_head
    tamper(state_dir, f"DELETE FROM audit WHERE seq > {rows - 2}")
    clock.tick(60)
    assert not await opened(state_dir, clock)
    report = found(state_dir)
    assert (report.ok, report.first_bad, report.head_status) == (False, row, HeadStatus.ROWS_MISSING)
    assert head.read_bytes() == old_head
