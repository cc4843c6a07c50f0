"""An upgrade that dies, or runs out of room, anywhere: the journal is the old one, to the last row, or the new one."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from unittest.mock import patch

import pytest

from palyra.core.clock import ManualClock
from palyra.core.errors import StateError
from palyra.journal import backups
from palyra.journal.audit import HeadStatus, verify
from palyra.journal.journal import Journal
from palyra.journal.migrations import migrate, version_of
from palyra.journal.schema import LATEST, MIGRATIONS
from tests.upgrading.places import Content, content, installation, kept, newest_time

FIRST = 1
SOME = 12
"""Of the statements of all steps every so many-th is one to die at; of what is done about the backup each is."""


def upgrade(
    journal: Path, now_ms: int, before: Callable[[str], None] = lambda _: None, room: int | None = None
) -> None:
    """Brings it up to date; `before` each statement and each call that puts the backup in its place. `room`: pages that
    the database may have."""

    def watched(name: str, call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*given: object) -> None:
            before(name)
            call(*given)

        return wrapped

    with (
        patch.object(backups, "_sync", watched("fsync", backups._sync)),
        patch("os.replace", watched("os.replace", os.replace)),
        closing(sqlite3.connect(journal, isolation_level=None)) as database,
    ):
        database.execute("PRAGMA journal_mode = WAL")
        if room is not None:
            database.execute(f"PRAGMA max_page_count = {room}")
        database.set_trace_callback(before)
        migrate(database, journal, now_ms, 3)
        database.set_trace_callback(None)


def killed_at(place: int, journal: Path, now_ms: int) -> bool:
    """Upgrades in a process of its own, which dies at the call of that number; whether there was one."""
    child = os.fork()
    if child == 0:
        numbers = count(1)

        def die(_: str) -> None:
            if next(numbers) == place:
                os.kill(os.getpid(), signal.SIGKILL)

        upgrade(journal, now_ms, die)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def put_back(state_dir: Path, old: dict[str, bytes]) -> None:
    for path in state_dir.glob("journal.db*"):
        path.unlink()
    for name, data in old.items():
        (state_dir / name).write_bytes(data)


async def test_killed_anywhere_it_is_the_old_journal_or_the_new_one(tmp_path: Path) -> None:
    _, state_dir = installation(tmp_path, FIRST)
    journal = state_dir / "journal.db"
    before, now_ms = content(journal), newest_time(journal) + 1_000
    old = {path.name: path.read_bytes() for path in state_dir.glob("journal.db*") if not path.name.endswith("-shm")}
    calls: list[str] = []
    upgrade(journal, now_ms, calls.append)
    first = next(place for place, call in enumerate(calls) if call.startswith("BEGIN IMMEDIATE"))
    assert calls[:first].count("fsync") == 4
    assert [call.strip("; \n") for call in calls].count("COMMIT") == 1
    places = [*range(1, first + 2), *range(first + 2, len(calls), SOME), len(calls), len(calls) + 1]
    ends = []
    for place in places:
        put_back(state_dir, old)
        assert killed_at(place, journal, now_ms) == (place <= len(calls))
        found = content(journal)
        with closing(sqlite3.connect(journal)) as database:
            version = version_of(database)
        ends.append(version)
        assert (found == before) if version == FIRST else (kept(before, found) == []), calls[place - 1]
    assert (ends[0], ends[-1], set(ends)) == (FIRST, LATEST, {FIRST, LATEST})
    put_back(state_dir, old)
    killed_at(first + 1, journal, now_ms)
    opened = await Journal.open(state_dir, ManualClock(now_ms + 1_000))
    assert await opened.readers.rollup_differences() == ()
    await opened.close()
    assert kept(before, content(journal)) == []
    assert not list(state_dir.glob("backups/*.tmp.*"))


def test_without_room_for_the_change_the_journal_and_the_older_backups_stay(tmp_path: Path) -> None:
    _, state_dir = installation(tmp_path, FIRST)
    journal = state_dir / "journal.db"
    before, now_ms = content(journal), newest_time(journal)
    with closing(sqlite3.connect(journal)) as database:
        pages = database.execute("PRAGMA page_count").fetchone()[0]
    for _ in range(5):
        with pytest.raises(StateError, match=f"from schema version 1 to {LATEST}: database or disk is full") as told:
            upgrade(journal, now_ms, room=pages + 3)
        assert told.value.code == "journal_not_migrated"
        assert "MiB" in told.value.fix
    assert content(journal) == before
    assert list(state_dir.glob("backups/*")) == []


def test_without_room_for_the_backup_nothing_is_begun(tmp_path: Path) -> None:
    _, state_dir = installation(tmp_path, FIRST)
    journal = state_dir / "journal.db"
    before, now_ms = content(journal), newest_time(journal)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
        try:
            upgrade(journal, now_ms)
        except StateError as error:
            os._exit(3 if error.code == "journal_not_migrated" else 4)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert content(journal) == before
    assert list(state_dir.glob("backups/*")) == []


async def test_a_journal_of_a_newer_palyra_is_left_alone_and_its_copy_is_named_and_fits(tmp_path: Path) -> None:
    _, state_dir = installation(tmp_path, FIRST)
    journal, head = state_dir / "journal.db", state_dir / "audit.head"
    clock = ManualClock(newest_time(journal) + 1_000)
    await (await Journal.open(state_dir, clock)).close()
    before: Content = content(journal)
    clock.tick(60)
    newer = (*MIGRATIONS, (LATEST + 1, "CREATE TABLE colours (name TEXT) STRICT"))
    await (await Journal.open(state_dir, clock, migrations=newer)).close()
    copy = f"backups/journal-v{LATEST}-{clock.now_ms()}"
    data = journal.read_bytes()
    with pytest.raises(StateError, match=f"knows versions up to {LATEST}") as told:
        await Journal.open(state_dir, clock)
    assert (told.value.code, f"put back the copy from before its upgrade ({copy}.db)" in told.value.fix) == (
        "journal_newer",
        True,
    )
    assert journal.read_bytes() == data

    # As the README says it.
    (state_dir / "replaced").mkdir()
    for path in (*state_dir.glob("journal.db*"), head):
        path.rename(state_dir / "replaced" / path.name)
    journal.write_bytes((state_dir / f"{copy}.db").read_bytes())
    head.write_bytes((state_dir / f"{copy}.head").read_bytes())

    opened = await Journal.open(state_dir, clock)
    assert opened.audit_intact
    await opened.close()
    assert content(journal) == before
    assert verify(journal, head).head_status in (HeadStatus.OK, HeadStatus.BEHIND)
