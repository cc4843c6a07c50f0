"""Whatever somebody does to the chain with the file in hand is found, and the first row that differs is named."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.journal.audit import AuditReport, HeadFile, HeadStatus, verify_chain
from palyra.journal.audit_chain import GENESIS, LinkDraft, append
from palyra.journal.journal import Journal
from tests.journal.test_audit import ROWS, written

COLUMNS = ("at", "kind", "subject", "actor", "payload", "digest")


class Chain:
    """A journal of twelve links in memory, of which every second vouches for a decision."""

    def __init__(self, honest: sqlite3.Connection, head: Path) -> None:
        self.honest, self.head = honest, head

    def check(self, database: sqlite3.Connection) -> AuditReport:
        return verify_chain(database, HeadFile(self.head))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    state = tmp_path_factory.mktemp("forged")
    asyncio.run(written(state, ManualClock()))
    with closing(sqlite3.connect(state / "journal.db")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        yield Chain(database, state / "audit.head")


def copied(chain: Chain) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", isolation_level=None)
    chain.honest.backup(database)
    database.execute("PRAGMA foreign_keys = OFF")
    return database


places = st.integers(1, ROWS)


@given(seq=places, column=st.sampled_from(COLUMNS), noise=st.binary(max_size=12))
def test_bytes_of_a_row_changed(chain: Chain, seq: int, column: str, noise: bytes) -> None:
    with closing(copied(chain)) as database:
        if column == "at":
            database.execute("UPDATE audit SET at = at + ? WHERE seq = ?", (1 + len(noise), seq))
        else:
            database.execute(
                f"UPDATE audit SET {column} = CAST(CAST({column} AS BLOB) || ? AS TEXT) WHERE seq = ?",
                (noise + b"\xff", seq),
            )
        report = chain.check(database)
        assert (report.ok, report.first_bad) == (False, seq), report


@given(number=st.integers(1, ROWS // 2), column=st.sampled_from(("mode", "outcome", "action", "reason_codes", "body")))
def test_bytes_of_a_decision_changed(chain: Chain, number: int, column: str) -> None:
    with closing(copied(chain)) as database:
        sql = f"UPDATE decisions SET {column} = CAST(x'ff' || CAST({column} AS BLOB) AS TEXT) WHERE seq = ?"
        database.execute(sql, (number,))
        report = chain.check(database)
        assert (report.ok, report.first_bad) == (False, 2 * number), report


@given(st.sets(places, min_size=1))
def test_rows_dropped(chain: Chain, gone: set[int]) -> None:
    with closing(copied(chain)) as database:
        database.executemany("DELETE FROM audit WHERE seq = ?", [(seq,) for seq in gone])
        report = chain.check(database)
        left = sorted(set(range(1, ROWS + 1)) - gone)
        first_gone = min(gone)
        after = [seq for seq in left if seq > first_gone]
        assert report.ok is False
        assert report.first_bad == (after[0] if after else first_gone), report


@given(st.permutations(range(1, ROWS + 1)))
def test_rows_moved(chain: Chain, order: list[int]) -> None:
    with closing(copied(chain)) as database:
        rows = database.execute("SELECT at, kind, subject, actor, payload, digest FROM audit ORDER BY seq").fetchall()
        database.execute("DELETE FROM audit")
        for seq, place in enumerate(order, start=1):
            database.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (seq, *rows[place - 1]))
        report = chain.check(database)
        moved = next((seq for seq, place in enumerate(order, start=1) if seq != place), None)
        assert (report.ok, report.first_bad) == (moved is None, moved), report


@given(after=st.integers(0, ROWS), like=places)
def test_a_row_put_between(chain: Chain, after: int, like: int) -> None:
    with closing(copied(chain)) as database:
        copy = database.execute("SELECT at, kind, subject, actor, payload, digest FROM audit WHERE seq = ?", (like,))
        row = copy.fetchone()
        database.execute("UPDATE audit SET seq = -seq WHERE seq > ?", (after,))
        database.execute("UPDATE audit SET seq = 1 - seq WHERE seq < 0")
        database.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (after + 1, *row))
        report = chain.check(database)
        same = after + 1 == like
        assert (report.ok, report.first_bad) == (False, after + 1 + same), report


@given(seq=places, column=st.sampled_from(("kind", "subject", "actor")), longer=st.integers(0, 2))
def test_digests_made_to_fit_again(chain: Chain, seq: int, column: str, longer: int) -> None:
    """The head outside the database is all that tells of it: the row it was taken from is another one now."""
    with closing(copied(chain)) as database:
        database.execute(f"UPDATE audit SET {column} = {column} || 'x' WHERE seq = ?", (seq,))
        rows = database.execute("SELECT at, kind, subject, actor, payload FROM audit ORDER BY seq").fetchall()
        rows += [(rows[0][0], "policy", "more", "mallory", "{}")] * longer
        database.execute("DELETE FROM audit")
        head = GENESIS
        for row in rows:
            head = append(head, LinkDraft(*row))
            database.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (head.seq, *row, head.digest))
        report = chain.check(database)
        assert report.ok is False
        assert report.first_bad is not None
        if report.unlinked == 0 and report.head_status is HeadStatus.DIFFERS:
            assert report.first_bad in (ROWS, seq), report


def test_a_decision_that_was_slipped_in_is_named(chain: Chain) -> None:
    with closing(copied(chain)) as database:
        database.execute(
            "INSERT INTO decisions SELECT 99, 'slipped', run_id, at, mode, outcome, action, reason_codes, body"
            " FROM decisions LIMIT 1"
        )
        report = chain.check(database)
        assert (report.ok, report.unlinked) == (False, 1)
        assert report.message == "1 decision outside the chain, the first is slipped"


async def test_a_chain_that_is_gone_with_its_head_is_not_begun_anew(tmp_path: Path, clock: ManualClock) -> None:
    await written(tmp_path, clock)
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("DELETE FROM audit")
        database.execute("DELETE FROM decisions")
    (tmp_path / "audit.head").unlink()
    journal = await Journal.open(tmp_path, clock)
    assert not journal.audit_intact
    await journal.close()
    assert not (tmp_path / "audit.head").exists()
