"""Whatever is done to the audit's rows, its decisions and its head, in any order: it is found where it can be, and what
cannot be found is exactly what is said here."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.journal.audit import AuditReport, HeadFile, verify_chain
from palyra.journal.audit_chain import Link
from tests.attacks.depth import attacks
from tests.journal.test_audit import ROWS, written

LINKS = "SELECT seq, at, kind, subject, actor, payload, digest FROM audit ORDER BY seq"
DECISIONS = (
    "SELECT decision_id, run_id, at, mode, outcome, action, reason_codes, body FROM decisions ORDER BY decision_id"
)
TEXTS = ("kind", "subject", "actor", "payload", "digest")
OF_A_DECISION = ("mode", "outcome", "action", "reason_codes", "body", "run_id")

Row = tuple[Any, ...]


class Books:
    """A journal of twelve links and its head, as they were and as somebody left them."""

    def __init__(self, honest: sqlite3.Connection, head: Link, place: Path) -> None:
        self.rows: list[Row] = honest.execute(LINKS).fetchall()
        self.decisions: list[Row] = honest.execute(DECISIONS).fetchall()
        self.head = head
        self.file = HeadFile(place / "tampered.head")
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        honest.backup(self.database)
        self.database.execute("PRAGMA foreign_keys = OFF")
        self.file.write(head)

    def links(self) -> list[Row]:
        return self.database.execute(LINKS).fetchall()

    def rechain(self) -> None:
        """Makes every digest fit again, from the first row on."""
        digest = "0" * 64
        rows = self.links()
        self.database.execute("DELETE FROM audit")
        for number, (_, at, kind, subject, actor, payload, _) in enumerate(rows, start=1):
            digest = fitting(digest, number, at, kind, subject, actor, payload)
            row = (number, at, kind, subject, actor, payload, digest)
            self.database.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def report(self) -> AuditReport:
        return verify_chain(self.database, self.file)


def fitting(before: str, seq: int, at: int, kind: str, subject: str, actor: str, payload: str) -> str:
    """The digest of a row, worked out from what is promised of it."""
    row = {"actor": actor, "at": at, "kind": kind, "payload": [], "seq": seq, "subject": subject}
    told = json.dumps(row, sort_keys=True, separators=(",", ":")).replace('"payload":[]', f'"payload":{payload}', 1)
    return sha256((before + told).encode()).hexdigest()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[sqlite3.Connection, Link, Path]]:
    state = tmp_path_factory.mktemp("audited")
    asyncio.run(written(state, ManualClock()))
    head = HeadFile(state / "audit.head").read()
    assert head is not None
    with closing(sqlite3.connect(state / "journal.db")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        yield database, head, state


PLACE = st.integers(1, ROWS)
STEPS = st.one_of(
    st.tuples(st.just("change"), PLACE, st.sampled_from(TEXTS)),
    st.tuples(st.just("retime"), PLACE, st.integers(-5, 5)),
    st.tuples(st.just("delete"), PLACE, PLACE),
    st.tuples(st.just("cut"), PLACE, st.just(0)),
    st.tuples(st.just("swap"), PLACE, PLACE),
    st.tuples(st.just("copy in"), PLACE, PLACE),
    st.tuples(st.just("append"), PLACE, st.just(0)),
    st.tuples(st.just("rechain"), st.just(0), st.just(0)),
    st.tuples(st.just("decide otherwise"), PLACE, st.sampled_from(OF_A_DECISION)),
    st.tuples(st.just("undecide"), PLACE, st.just(0)),
    st.tuples(st.just("head back"), PLACE, st.just(0)),
    st.tuples(st.just("head gone"), st.just(0), st.just(0)),
    st.tuples(st.just("head broken"), st.just(0), st.sampled_from((b"", b"{}", b'{"seq": "1", "digest": 1}', b"\xff"))),
    st.tuples(st.just("head made to fit"), st.just(0), st.just(0)),
    st.tuples(st.just("all gone"), st.just(0), st.just(0)),
)


def tamper(books: Books, step: tuple[str, Any, Any]) -> None:
    """One deed. Those of a row that is not there do nothing."""
    way, place, more = step
    database = books.database
    rows = {row[0]: row for row in books.links()}
    if way == "change":
        spoilt = "json_set(payload, '$.forged', 1)" if more == "payload" else f"{more} || 'x'"
        database.execute(f"UPDATE audit SET {more} = {spoilt} WHERE seq = ?", (place,))
    elif way == "retime":
        database.execute("UPDATE audit SET at = at + ? WHERE seq = ?", (more, place))
    elif way == "delete":
        database.execute("DELETE FROM audit WHERE seq BETWEEN ? AND ?", (min(place, more), max(place, more)))
    elif way == "cut":
        database.execute("DELETE FROM audit WHERE seq >= ?", (place,))
    elif way == "swap" and place in rows and more in rows:
        database.execute("DELETE FROM audit WHERE seq IN (?, ?)", (place, more))
        for seq, row in {place: rows[more], more: rows[place]}.items():
            database.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (seq, *row[1:]))
    elif way == "copy in" and place in rows:
        database.execute("UPDATE audit SET seq = -seq WHERE seq > ?", (more,))
        database.execute("UPDATE audit SET seq = 1 - seq WHERE seq < 0")
        database.execute("INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (more + 1, *rows[place][1:]))
    elif way == "append":
        last = max(rows, default=0)
        database.execute("INSERT INTO audit VALUES (?, 1, 'policy', 'p', 'mallory', '{}', 'x')", (last + 1,))
    elif way == "rechain":
        books.rechain()
    elif way in ("decide otherwise", "undecide"):
        ids = [row[0] for row in database.execute(DECISIONS)]
        if place <= len(ids) and way == "undecide":
            database.execute("DELETE FROM decisions WHERE decision_id = ?", (ids[place - 1],))
        elif place <= len(ids):
            spoilt = (
                f"json_insert({more}, '$[99]', 'x', '$.x', 1)" if more in ("body", "reason_codes") else f"{more} || 'x'"
            )
            database.execute(f"UPDATE decisions SET {more} = {spoilt} WHERE decision_id = ?", (ids[place - 1],))
    elif way == "head back":
        books.file.write(Link(books.rows[place - 1][0], books.rows[place - 1][6]))
    elif way == "head gone":
        books.file.path.unlink(missing_ok=True)
    elif way == "head broken":
        books.file.path.write_bytes(more)
    elif way == "head made to fit" and rows:
        last = max(rows)
        books.file.write(Link(last, rows[last][6]))
    elif way == "all gone":
        database.execute("DELETE FROM audit")
        database.execute("DELETE FROM decisions")


def first_unfit(books: Books) -> int | None:
    """The first row whose place, digest or decision does not fit, by what is promised of them."""
    decisions = {row[0]: row[1:] for row in books.database.execute(DECISIONS)}
    before, last = "0" * 64, 0
    for seq, at, kind, subject, actor, payload, digest in books.links():
        if seq != last + 1 or digest != fitting(before, seq, at, kind, subject, actor, payload):
            return int(seq)
        if kind == "decision":
            run_id, decided_at, mode, outcome, action, codes, body = decisions.get(subject, (None,) * 7)
            if decided_at != at:
                return int(seq)
            seen = {"run_id": run_id or "", "mode": mode, "outcome": outcome, "action": action}
            seen |= {"reason_codes": json.loads(codes), "body_sha256": sha256(body.encode()).hexdigest()}
            if json.loads(payload) != seen:
                return int(seq)
        before, last = digest, seq
    return None


@attacks(150)
def test_any_row_of_deeds_is_found_unless_the_head_was_made_to_fit(
    honest: tuple[sqlite3.Connection, Link, Path], depth: settings
) -> None:
    """What cannot be found: rows cut off together with a head put back to one before them, rows added after the head
    with digests that fit, and a chain made anew with its head."""

    @depth
    @given(st.lists(STEPS, min_size=1, max_size=6))
    def play(steps: list[tuple[str, Any, Any]]) -> None:
        books = Books(*honest)
        with closing(books.database):
            for step in steps:
                tamper(books, step)
            report = books.report()
            rows, decisions = books.links(), books.database.execute(DECISIONS).fetchall()
            try:
                head = books.file.read()
            except Exception:
                head = None
            unfit = first_unfit(books)
            if unfit is not None:
                assert (report.ok, report.first_bad) == (False, unfit), report
            if head == books.head:
                # The head is what it was: whatever came before it is, too, or it is found.
                same = rows[:ROWS] == books.rows and set(books.decisions) <= set(decisions)
                assert report.ok <= same, report
                if rows == books.rows and decisions == books.decisions:
                    assert report.ok, report
            if report.ok:
                assert head is not None
                assert rows[head.seq - 1][6] == head.digest
            if head is not None and (head.seq, head.digest) in {(row[0], row[6]) for row in books.rows}:
                # A head put back still vouches for what came before it.
                assert report.ok <= (rows[: head.seq] == books.rows[: head.seq]), report
            if not report.ok:
                assert report.message

    play()


def test_what_a_chain_and_its_head_put_back_together_hide_is_nothing_but_the_newest_rows(
    honest: tuple[sqlite3.Connection, Link, Path],
) -> None:
    """Nobody can tell it from a journal of an hour ago: keep copies of the head elsewhere where that matters."""
    books = Books(*honest)
    with closing(books.database):
        tamper(books, ("cut", 9, 0))
        assert (books.report().ok, books.report().first_bad) == (False, 9)
        tamper(books, ("head back", 8, 0))
        report = books.report()
        # The decisions of the rows that went are still there, and tell of them.
        assert (report.ok, report.unlinked) == (False, 2)
        kept = [row[3] for row in books.links()]
        books.database.execute(f"DELETE FROM decisions WHERE decision_id NOT IN ({', '.join('?' * len(kept))})", kept)
        assert books.report().ok
