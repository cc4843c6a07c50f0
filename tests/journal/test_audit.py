"""Nobody can change, drop, move or add an audited row without being found out."""

import hashlib
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import StateError
from palyra.journal import audit
from palyra.journal.audit import AuditReport, HeadFile, HeadStatus, verify
from palyra.journal.audit_chain import GENESIS, Link, LinkDraft, append
from palyra.journal.changes import AuditAdded, DecisionMade, RunSaved
from palyra.journal.journal import Journal
from tests.journal.samples import T0, a_decision, a_run

ROWS = 12


async def written(state_dir: Path, clock: ManualClock, rows: int = ROWS) -> None:
    """Decisions and operators' acts by turns: odd rows are acts."""
    journal = await Journal.open(state_dir, clock)
    for number in range(rows // 2):
        run = a_run()
        await journal.submit(
            [
                AuditAdded(T0 + number, "policy", f"p{number}", "olga", {"limit": number, "note": "ñ"}),
                RunSaved(run),
                DecisionMade(a_decision(run)),
            ]
        )
    await journal.close()


def check(state_dir: Path) -> AuditReport:
    return verify(state_dir / "journal.db", state_dir / "audit.head")


def tamper(state_dir: Path, sql: str) -> None:
    """As somebody with the file in hand would: the triggers are no obstacle."""
    with closing(sqlite3.connect(state_dir / "journal.db")) as database:
        triggers = database.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'"
        ).fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        database.executescript(sql)
        for _, made in triggers:
            database.execute(made)
        database.commit()


async def test_an_honest_chain_is_whole(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock)
    report = check(tmp_path)
    assert (report.ok, report.count, report.first_bad, report.unlinked) == (True, ROWS, None, 0)
    assert report.head_status is HeadStatus.OK
    assert report.head == HeadFile(tmp_path / "audit.head").read()


async def test_an_empty_chain_is_whole(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock, 0)
    assert check(tmp_path).ok


def test_a_link_covers_the_digest_before_it_and_the_canonical_row() -> None:
    row = '{"actor":"olga","at":5,"kind":"policy","payload":{"a":1},"seq":1,"subject":"p\\u00e9"}'
    link = append(GENESIS, LinkDraft(5, "policy", "pé", "olga", '{"a":1}'))
    assert link == Link(1, hashlib.sha256(("0" * 64 + row).encode()).hexdigest())


SWAPPED = """
CREATE TEMP TABLE t AS SELECT * FROM audit WHERE seq IN ({0}, {1});
DELETE FROM audit WHERE seq IN ({0}, {1});
INSERT INTO audit SELECT {0} + {1} - seq, at, kind, subject, actor, payload, digest FROM t;
"""
TAMPERING: list[tuple[str, str, int]] = [
    ("a payload edited", "UPDATE audit SET payload = replace(payload, '\"limit\":2', '\"limit\":3') WHERE seq = 5", 5),
    ("a time edited", "UPDATE audit SET at = at + 1 WHERE seq = 1", 1),
    ("an actor edited", "UPDATE audit SET actor = 'bob' WHERE seq = 7", 7),
    ("a subject edited", "UPDATE audit SET subject = 'other' WHERE seq = 3", 3),
    ("a kind edited", "UPDATE audit SET kind = 'grant' WHERE seq = 4", 4),
    ("a digest edited", f"UPDATE audit SET digest = '{'0' * 64}' WHERE seq = 6", 6),
    ("the last row edited", f"UPDATE audit SET actor = 'bob' WHERE seq = {ROWS}", ROWS),
    ("a row deleted", "DELETE FROM audit WHERE seq = 6", 7),
    ("the first row deleted", "DELETE FROM audit WHERE seq = 1", 2),
    ("two rows swapped", SWAPPED.format(3, 5), 3),
    ("two decisions' rows swapped", SWAPPED.format(4, 6), 4),
    (
        "a row added in front",
        "INSERT INTO audit SELECT -1, at, kind, subject, actor, payload, digest FROM audit LIMIT 1",
        -1,
    ),
    ("a gap", f"UPDATE audit SET seq = {ROWS + 1} WHERE seq = {ROWS}", ROWS + 1),
    ("a decision's body edited", "UPDATE decisions SET body = replace(body, 'cheapest', 'dearest') WHERE seq = 2", 4),
    ("a decision's outcome edited", "UPDATE decisions SET outcome = 'blocked' WHERE seq = 3", 6),
    ("a decision's reasons edited", "UPDATE decisions SET reason_codes = '[]' WHERE seq = 1", 2),
    ("a decision's run edited", "UPDATE decisions SET run_id = NULL WHERE seq = 1", 2),
    ("a decision's time edited", "UPDATE decisions SET at = at + 1 WHERE seq = 1", 2),
    ("a decision deleted", "DELETE FROM decisions WHERE seq = 4", 8),
    (
        "two decisions' bodies swapped",
        "UPDATE decisions SET body = '{}' WHERE seq = 5; UPDATE decisions SET body ="
        " (SELECT body FROM decisions WHERE seq = 6) WHERE seq = 5; UPDATE decisions SET body = '{}' WHERE seq = 6",
        12,
    ),
]


@pytest.mark.parametrize("chunk", [1, 5, 500])
@pytest.mark.parametrize(("sql", "first_bad"), [row[1:] for row in TAMPERING], ids=[row[0] for row in TAMPERING])
async def test_tampering_is_found_at_its_first_row(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, sql: str, first_bad: int, chunk: int
) -> None:
    await written(tmp_path, clock)
    monkeypatch.setattr(audit, "CHUNK", chunk)
    tamper(tmp_path, sql)
    report = check(tmp_path)
    assert (report.ok, report.first_bad) == (False, first_bad)
    assert report.message


def rechain(state_dir: Path) -> None:
    """What a careful forger does: every digest made to fit again."""
    with closing(sqlite3.connect(state_dir / "journal.db")) as database:
        rows = database.execute("SELECT at, kind, subject, actor, payload FROM audit ORDER BY seq").fetchall()
    head, sql = GENESIS, "DELETE FROM audit;"
    for row in rows:
        head = append(head, LinkDraft(*row))
        quoted = ", ".join("'" + str(value).replace("'", "''") + "'" for value in row[1:])
        sql += f"INSERT INTO audit VALUES ({head.seq}, {row[0]}, {quoted}, '{head.digest}');"
    tamper(state_dir, sql)


async def test_a_forged_chain_that_fits_in_itself_does_not_fit_the_head(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock)
    tamper(tmp_path, "UPDATE audit SET actor = 'bob' WHERE seq = 3")
    rechain(tmp_path)
    report = check(tmp_path)
    assert (report.ok, report.first_bad, report.head_status) == (False, ROWS, HeadStatus.DIFFERS)


async def test_cutting_off_the_newest_rows_is_found(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock)
    tamper(tmp_path, f"DELETE FROM audit WHERE seq = {ROWS}; DELETE FROM decisions WHERE seq = {ROWS // 2}")
    report = check(tmp_path)
    assert (report.ok, report.first_bad, report.head_status) == (False, ROWS, HeadStatus.ROWS_MISSING)


async def test_cutting_off_everything_is_found(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock)
    tamper(tmp_path, "DELETE FROM audit; DELETE FROM decisions")
    assert check(tmp_path).head_status is HeadStatus.ROWS_MISSING


async def test_a_decision_slipped_in_beside_the_chain_is_found(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock)
    tamper(
        tmp_path,
        "INSERT INTO decisions SELECT 99, 'slipped', run_id, at, mode, outcome, action, reason_codes, body"
        " FROM decisions LIMIT 1",
    )
    report = check(tmp_path)
    assert (report.ok, report.unlinked) == (False, 1)


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda head: head.unlink(), HeadStatus.MISSING),
        (lambda head: head.write_text("nonsense"), HeadStatus.UNREADABLE),
        (lambda head: head.write_text('{"seq": "1", "digest": 2}'), HeadStatus.UNREADABLE),
        (lambda head: head.write_text('{"seq": 0, "digest": "11"}'), HeadStatus.DIFFERS),
    ],
)
async def test_a_head_that_tells_nothing_is_a_failure(
    tmp_path: Path, clock: ManualClock, spoil: Callable[[Path], None], status: HeadStatus
) -> None:
    await written(tmp_path, clock)
    spoil(tmp_path / "audit.head")
    report = check(tmp_path)
    assert (report.ok, report.head_status) == (False, status)


async def test_rows_after_the_head_are_fine_as_after_a_crash(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock, 6)
    old = (tmp_path / "audit.head").read_bytes()
    await written(tmp_path, clock, 6)
    (tmp_path / "audit.head").write_bytes(old)
    report = check(tmp_path)
    assert (report.ok, report.count, report.head_status) == (True, 12, HeadStatus.BEHIND)
    live = verify(tmp_path / "journal.db", tmp_path / "audit.head", live=True)
    assert (live.ok, live.head_status, live.message) == (True, HeadStatus.OK, "the chain is whole up to its head")


async def test_rows_up_to_the_head_must_still_fit_when_more_follow(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock, 6)
    old = (tmp_path / "audit.head").read_bytes()
    await written(tmp_path, clock, 6)
    (tmp_path / "audit.head").write_bytes(old)
    tamper(tmp_path, "UPDATE audit SET actor = 'bob' WHERE seq = 3")
    rechain(tmp_path)
    assert check(tmp_path).head_status is HeadStatus.DIFFERS


async def test_an_engine_that_finds_rows_cut_off_keeps_the_head_that_proves_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    await written(tmp_path, clock)
    head = (tmp_path / "audit.head").read_bytes()
    tamper(tmp_path, f"DELETE FROM audit WHERE seq = {ROWS}")
    journal = await Journal.open(tmp_path, clock)
    assert not journal.audit_intact
    await journal.submit([AuditAdded(T0, "engine", "boot", "engine", {})])
    await journal.close()
    assert (tmp_path / "audit.head").read_bytes() == head
    assert not check(tmp_path).ok


@pytest.mark.parametrize("sql", ["UPDATE audit SET actor = 'bob'", "DELETE FROM audit"])
async def test_the_journal_itself_refuses_to_change_the_chain(journal: Journal, sql: str) -> None:
    await journal.submit([AuditAdded(T0, "engine", "boot", "engine", {})])
    with pytest.raises(sqlite3.IntegrityError, match="audit rows are never"):
        await journal._connection.run(lambda database: database.execute(sql))


async def test_the_chain_can_only_grow_at_its_end(journal: Journal) -> None:
    await journal.submit([AuditAdded(T0, "engine", "boot", "engine", {})])
    for seq in (0, 1, 3):
        with pytest.raises(sqlite3.IntegrityError, match="grows at its end"):
            await journal._connection.run(
                lambda database, seq=seq: database.execute(  # type: ignore[misc]
                    "INSERT OR REPLACE INTO audit VALUES (?, 1, 'k', 's', 'a', '{}', 'd')", (seq,)
                )
            )


async def test_the_chain_goes_on_over_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock, 4)
    await written(tmp_path, clock, 4)
    report = check(tmp_path)
    assert (report.ok, report.count) == (True, 8)


async def test_the_head_is_written_at_most_once_a_second_and_at_the_end(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock)
    file = HeadFile(tmp_path / "audit.head")
    assert file.read() == GENESIS

    async def act(number: int) -> None:
        await journal.submit([AuditAdded(T0 + number, "engine", "boot", "engine", {})])

    async def written_seq() -> int:
        await settle_loop()
        writing = journal._head_keeper._writing
        if writing is not None:
            await writing
        head = file.read()
        assert head is not None
        return head.seq

    await act(1)
    await act(2)
    assert await written_seq() == 0
    clock.tick(1)
    assert await written_seq() == 2
    await act(3)
    assert await written_seq() == 2
    clock.tick(0.999)
    assert await written_seq() == 2
    clock.tick(0.001)
    assert await written_seq() == 3
    await act(4)
    await journal.close()
    assert await written_seq() == 4
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert check(tmp_path).ok


async def test_verification_runs_beside_a_writing_engine(journal: Journal) -> None:
    run = a_run()
    await journal.submit([RunSaved(run), DecisionMade(a_decision(run))])
    report = verify(journal.path, journal.path.with_name("audit.head"))
    assert (report.ok, report.count, report.head_status) == (True, 1, HeadStatus.BEHIND)


def test_a_journal_that_cannot_be_read_is_an_error_not_a_verdict(tmp_path: Path) -> None:
    with pytest.raises(StateError):
        check(tmp_path)


async def test_a_check_tells_how_far_it_is_and_ends_when_nobody_waits(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await written(tmp_path, clock)
    monkeypatch.setattr(audit, "CHUNK", 5)
    told: list[tuple[int, int]] = []
    files = tmp_path / "journal.db", tmp_path / "audit.head"
    assert verify(*files, watch=lambda done, total: told.append((done, total))).ok
    assert told == [(5, ROWS), (10, ROWS)]

    def enough(done: int, total: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        verify(*files, watch=enough)
