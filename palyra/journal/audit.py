"""Watching over the audit chain: its head kept outside the database, and the check of both against each other."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from palyra.core.errors import StateError
from palyra.core.plural import plural
from palyra.core.private_files import sync_dir
from palyra.core.regular_files import read_regular
from palyra.core.values import value
from palyra.journal.audit_chain import GENESIS, Link, LinkDraft, append
from palyra.journal.folding import folded_until

HEAD_FILE = "audit.head"
LONGEST = 4096
"""Bytes that are read of it: a head takes about a hundred."""


class HeadStatus(StrEnum):
    """How the head outside the database stands to the chain inside it."""

    OK = "ok"
    BEHIND = "behind"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    ROWS_MISSING = "rows_missing"
    DIFFERS = "differs"


@value
class AuditReport:
    """`count` rows were read. `first_bad` is the first row that is not what it was, if any: its digest, place or
    decision does not fit, or it is missing; of a chain whose digests were all made to fit again, the row that the head
    was taken from.

    A head that is `behind` is fine: the process may have died between a commit and the head's next writing.
    `unlinked` counts decisions that no link vouches for.
    """

    ok: bool
    count: int
    first_bad: int | None
    head: Link
    head_status: HeadStatus
    unlinked: int
    message: str


class HeadFile:
    """`audit.head` in the state directory: the newest durable link, replaced atomically, mode 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Link | None:
        """None when there is no file. Raises StateError when it is no head."""
        try:
            data = json.loads(read_regular(self.path, LONGEST))
            seq, digest = data["seq"], data["digest"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise _unreadable(self.path) from error
        if type(seq) is not int or not isinstance(digest, str):
            raise _unreadable(self.path)
        return Link(seq, digest)

    def write(self, head: Link) -> None:
        """Raises OSError. Blocks on the disk: never call it on the event loop."""
        fresh = self.path.with_name(f"{self.path.name}.tmp.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps({"seq": head.seq, "digest": head.digest}).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(fresh, self.path)
        sync_dir(self.path.parent)


def _unreadable(path: Path) -> StateError:
    return StateError(
        f"{path} does not hold the head of the audit chain.",
        fix="Restore it from a backup; without it nobody can tell whether the newest audit rows were cut off.",
    )


def newest_link(database: sqlite3.Connection) -> Link:
    """The last link of the chain: its number and digest."""
    return _link(database, "ORDER BY seq DESC LIMIT 1") or GENESIS


def _link(database: sqlite3.Connection, which: str, *given: int) -> Link | None:
    """A digest that somebody wrote over with bytes that are no text fits nothing, but can be gone on from."""
    row = database.execute(f"SELECT seq, CAST(digest AS BLOB) FROM audit {which}", given).fetchone()
    return None if row is None else Link(row[0], row[1].decode("utf-8", "replace"))


def head_fits(database: sqlite3.Connection, head: Link) -> bool:
    """Whether the chain in the database passes through `head`: a quick check of its end, not of every row."""
    if head == GENESIS:
        return True
    return _link(database, "WHERE seq = ?", head.seq) == head


CHUNK = 500
_LINKS = """
SELECT CAST(json_group_array(json_array(l.seq, l.at, l.kind, l.subject, l.actor, l.payload, l.digest,
  d.decision_id, d.run_id, d.at, d.mode, d.outcome, d.action, d.reason_codes, d.body)) AS BLOB)
FROM (SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?) l
LEFT JOIN decisions d ON l.kind = 'decision' AND d.decision_id = l.subject
"""
_BEFORE_ALL = -(1 << 63)


Watch = Callable[[int, int], None]
"""Told after every chunk how many links were followed, and of how many; what it raises ends the check."""


def unwatched(done: int, total: int) -> None:
    """Nobody wants to know how far it has come."""


def verify(journal: Path, head_file: Path, *, live: bool = False, watch: Watch = unwatched) -> AuditReport:
    """Reads the whole chain in chunks, beside a running engine or without one. Blocks: call it on a thread.

    Raises StateError when the journal cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("BEGIN")
            return verify_chain(database, HeadFile(head_file), live, watch=watch)
    except sqlite3.Error as error:
        raise StateError(
            f"The journal {journal} cannot be read: {error}.",
            fix="Restore it from backups/, or choose another --state-dir.",
        ) from error


def verify_chain(
    database: sqlite3.Connection,
    head_file: HeadFile,
    live: bool = False,
    newest: int | None = None,
    watch: Watch = unwatched,
) -> AuditReport:
    """Follows the chain in an open database: all of it, or its `newest` links from the digest before them on.

    While an engine is `live`, it adds rows between its head and now, and that is as it should be. Raises sqlite3.Error.
    """
    head: Link | None = None
    unreadable = False
    try:
        head = head_file.read()
    except StateError:
        unreadable = True
    start = None if newest is None else _link_before(database, newest)
    walk = _Walk(head, start or GENESIS, folded_until(database))
    total = newest_link(database).seq - (start or GENESIS).seq
    for row in _rows(database, _BEFORE_ALL if start is None else start.seq):
        walk.step(row)
        if walk.count % CHUNK == 0:
            watch(walk.count, total)
    status = HeadStatus.UNREADABLE if unreadable else walk.head_status()
    if live and status is HeadStatus.BEHIND:
        status = HeadStatus.OK
    first_bad, message, unlinked = walk.first_bad, walk.fault, 0
    if first_bad is None and start is None:
        stored = database.execute("SELECT count(*) FROM decisions").fetchone()[0]
        unlinked = max(0, stored - walk.decisions)
        if unlinked:
            message = f"{plural(unlinked, 'decision')} outside the chain, the first is {_first_unlinked(database)}"
    if first_bad is None and head is not None and head.seq > 0:
        if status is HeadStatus.ROWS_MISSING:
            first_bad, message = walk.link.seq + 1, message or _missing(walk.link.seq + 1, head.seq)
        elif status is HeadStatus.DIFFERS:
            first_bad, message = head.seq, message or f"row {head.seq} is not the one that {_FORGED}"
    ok = first_bad is None and unlinked == 0 and status in (HeadStatus.OK, HeadStatus.BEHIND)
    return AuditReport(ok, walk.count, first_bad, walk.link, status, unlinked, message or _VERDICTS[status])


def _missing(first: int, last: int) -> str:
    rows = f"row {first} is" if first == last else f"rows {first} to {last} are"
    return f"{rows} missing: the head of the chain knows of them"


_FORGED = "the head of the chain was taken from: it or a row before it was changed, and the digests made to fit again"


def _first_unlinked(database: sqlite3.Connection) -> str:
    """The id of a decision that no link names, as it can be shown."""
    sql = """
SELECT CAST(decision_id AS BLOB) FROM decisions
WHERE decision_id NOT IN (SELECT subject FROM audit WHERE kind = 'decision') ORDER BY seq LIMIT 1
"""
    found = database.execute(sql).fetchone()
    return "not to be told" if found is None else found[0].decode("utf-8", "replace")


def _link_before(database: sqlite3.Connection, newest: int) -> Link | None:
    """The link that the `newest` ones follow; None where there are no more than these."""
    return _link(database, "ORDER BY seq DESC LIMIT 1 OFFSET ?", newest)


_VERDICTS = {
    HeadStatus.OK: "the chain is whole up to its head",
    HeadStatus.BEHIND: "the chain is whole and goes on past its head, as after a crash",
    HeadStatus.MISSING: "the file with the head of the chain is missing: rows may have been cut off",
    HeadStatus.UNREADABLE: "the file with the head of the chain is damaged: rows may have been cut off",
    HeadStatus.ROWS_MISSING: "rows up to the head of the chain are missing",
    HeadStatus.DIFFERS: "the chain is not the one its head was taken from",
}


def _rows(database: sqlite3.Connection, last: int) -> Iterator[list[Any]]:
    """Links past `last`."""
    while chunk := json.loads(_text(database.execute(_LINKS, (last, CHUNK)).fetchone()[0])):
        yield from chunk
        last = chunk[-1][0]


def _text(data: bytes) -> str:
    """Whoever tampers with a row may write bytes that are no text: they stay what they are."""
    return data.decode("utf-8", "surrogateescape")


class _Walk:
    """Follows the chain row by row up to the first that is bad; those after it are only counted."""

    def __init__(self, head: Link | None, start: Link, folded_until: int) -> None:
        self._head = head
        self._folded_until = folded_until
        self._start = start
        self._met_head = head in (GENESIS, start)
        self.link = start
        self.count = 0
        self.decisions = 0
        self.first_bad: int | None = None
        self.fault = ""

    def step(self, row: list[Any]) -> None:
        seq, at, kind, subject, actor, payload, digest, *decision = row
        self.count += 1
        if self.first_bad is None:
            self.fault = self._fault(seq, at, kind, subject, actor, payload, digest, decision)
            self.first_bad = seq if self.fault else None
        self.link = Link(seq, digest)
        self._met_head = self._met_head or self.link == self._head

    def _fault(
        self,
        seq: int,
        at: int,
        kind: str,
        subject: str,
        actor: str,
        payload: str,
        digest: str,
        decision: list[Any],
    ) -> str:
        """What is wrong with a row that follows good ones; empty when nothing is."""
        if seq != self.link.seq + 1:
            return f"row {seq} follows row {self.link.seq}"
        if not payload.isascii() or digest != append(self.link, LinkDraft(at, kind, subject, actor, payload)).digest:
            return f"row {seq} does not fit its digest and the row before it"
        if kind == "decision" and (decision[0] is not None or at >= self._folded_until):
            self.decisions += 1
            return _decision_fault(subject, at, payload, decision)
        return ""

    def head_status(self) -> HeadStatus:
        if self._head is None:
            return HeadStatus.MISSING
        if self._head.seq > self.link.seq:
            return HeadStatus.ROWS_MISSING
        if not self._met_head and self._head.seq >= self._start.seq:
            return HeadStatus.DIFFERS
        return HeadStatus.OK if self._head == self.link else HeadStatus.BEHIND


def _decision_fault(subject: str, linked_at: int, payload: str, stored: list[Any]) -> str:
    """What is wrong with the decision this link vouches for; empty when nothing is."""
    decision_id, run_id, at, mode, outcome, action, reason_codes, body = stored
    if decision_id is None:
        return f"decision {subject} is missing"
    try:
        reasons = json.loads(reason_codes)
    except ValueError:
        reasons = None
    seen = {
        "action": action,
        "body_sha256": sha256(body.encode("utf-8", "surrogateescape")).hexdigest(),
        "mode": mode,
        "outcome": outcome,
        "reason_codes": reasons,
        "run_id": run_id or "",
    }
    if at != linked_at or seen != json.loads(payload):
        return f"decision {subject} is not the one that was made"
    return ""
