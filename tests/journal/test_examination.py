"""A journal tells of itself, part by part, and stays as it is."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.journal import examination
from palyra.journal.changes import Change
from palyra.journal.examination import Asking, Examined, NoRoomError, NotAJournalError, examine
from palyra.journal.journal import Journal
from palyra.journal.schema import LATEST
from tests.doctor.ailments import NOBODY
from tests.journal.samples import DAY, T0, a_hold, a_run, new_id, settled, taken


async def used(state: Path, runs: int, *, at: int = T0, open_holds: int = 0) -> Journal:
    journal = await Journal.open(state, ManualClock(at))
    changes: list[Change] = []
    for number in range(runs):
        run = a_run(new_id(), accepted_at=at)
        hold = a_hold(run)
        changes += taken(run, hold)
        if number >= open_holds:
            changes += settled(run, hold)
    await journal.submit(changes)
    return journal


def facts(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in directory.iterdir()
        if path.is_file()
    }


async def test_a_sound_journal_has_nothing_to_complain_of_and_stays_as_it_is(tmp_path: Path) -> None:
    await (await used(tmp_path, 30)).close()
    before = facts(tmp_path)
    found = await examine(tmp_path, ManualClock(T0), Asking())
    assert facts(tmp_path) == before
    assert found.version == LATEST
    assert found.current
    assert found.size is not None
    assert found.newest_at is not None
    assert (found.size.page_size, found.size.wal_bytes) == (4096, 0)
    assert found.newest_at >= T0
    assert found.audit is not None
    assert (found.audit.ok, found.audit.count) == (True, 30)
    assert (found.audit_whole, found.sums_whole) == (True, True)
    assert (found.integrity, found.foreign_keys, found.sums, found.holds, found.jobs, found.tasks) == ((),) * 6
    assert found.problems == {}


async def test_what_is_in_the_wal_alone_is_seen_and_the_wal_stays(tmp_path: Path) -> None:
    state, running = tmp_path / "state", tmp_path / "running"
    journal = await used(state, 5, open_holds=2)
    await journal.keep_head()
    shutil.copytree(state, running)
    await journal.close()
    before = facts(running)
    assert before["journal.db-wal"][2]
    found = await examine(running, ManualClock(T0), Asking())
    assert facts(running) == before
    assert [hold.boot_id for hold in found.holds] == ["boot-1", "boot-1"]
    assert found.size is not None
    assert found.size.wal_bytes == len(before["journal.db-wal"][2])


async def test_without_room_for_a_copy_a_wal_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, running = tmp_path / "state", tmp_path / "running"
    journal = await used(state, 1)
    shutil.copytree(state, running)
    await journal.close()
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(NoRoomError, match="no room"):
        await examine(running, ManualClock(T0), Asking())
    assert not list(tmp_path.glob("palyra-doctor-*"))


async def test_copies_of_those_who_were_killed_are_removed_and_those_of_the_living_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, running, place = tmp_path / "state", tmp_path / "running", tmp_path / "place"
    journal = await used(state, 1)
    shutil.copytree(state, running)
    await journal.close()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    for pid in (NOBODY, os.getpid()):
        (place / f"palyra-doctor-{pid}-x").mkdir(parents=True)
    await examine(running, ManualClock(T0), Asking())
    assert [path.name for path in place.iterdir()] == [f"palyra-doctor-{os.getpid()}-x"]


async def test_beside_a_live_engine_rows_behind_the_head_are_as_they_should_be(tmp_path: Path) -> None:
    journal = await used(tmp_path, 4, open_holds=1)
    found = await examine(tmp_path, ManualClock(T0), Asking(live=True))
    await journal.close()
    assert found.audit is not None
    assert found.audit.ok
    assert len(found.holds) == 1


async def test_of_a_long_chain_only_the_newest_links_are_followed_unless_all_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await used(tmp_path, 30)).close()
    monkeypatch.setattr(examination, "NEWEST_LINKS", 10)
    monkeypatch.setattr(examination, "WHOLE_ROWS", 10)
    found = await examine(tmp_path, ManualClock(T0), Asking())
    assert found.audit is not None
    assert (found.audit.ok, found.audit.count, found.audit_whole, found.sums_whole) == (True, 10, False, False)
    deep = await examine(tmp_path, ManualClock(T0), Asking(deep=True))
    assert deep.audit is not None
    assert (deep.audit.ok, deep.audit.count, deep.audit_whole, deep.sums_whole) == (True, 30, True, True)


OLD, NEW = f"< {T0 + 2 * DAY}", f">= {T0 + 2 * DAY}"


@pytest.mark.parametrize(
    ("spoilt", "seen"),
    [
        (f"usage_days SET cost = cost + 1 WHERE day {OLD}", False),
        (f"usage_days SET cost = cost + 1 WHERE day {NEW}", True),
        (f"usage_sums SET cost = cost + 1 WHERE start {NEW}", True),
        (f"decision_reasons SET decisions = decisions + 1 WHERE start {OLD}", False),
        (f"decision_reasons SET decisions = decisions + 1 WHERE start {NEW}", True),
    ],
)
async def test_of_many_rows_the_sums_of_the_newest_are_checked_however_long_ago_that_is(
    spoilt: str, seen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in (T0, T0 + 3 * DAY):
        await (await used(tmp_path, 12, at=at)).close()
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as database:
        assert database.execute(f"UPDATE {spoilt}").rowcount > 0
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    monkeypatch.setattr(examination, "WHOLE_ROWS", 10)
    monkeypatch.setattr(examination, "NEWEST_ROWS", 6)
    recent = await examine(tmp_path, ManualClock(T0 + 30 * DAY), Asking())
    assert (recent.problems, bool(recent.sums), recent.sums_whole) == ({}, seen, False)
    assert (await examine(tmp_path, ManualClock(T0 + 30 * DAY), Asking(deep=True))).sums


async def test_a_part_that_takes_too_long_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await used(tmp_path, 3)).close()
    clock = ManualClock(T0)
    begun, others_done = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(database: object) -> tuple[str, ...]:
        loop.call_soon_threadsafe(begun.set)
        counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        database.execute(counting).fetchone()  # type: ignore[attr-defined]
        return ()

    rows_of = examination._rows_of

    async def until_others_are_done(*given: Any, **named: Any) -> Examined:
        found = await rows_of(*given, **named)
        others_done.set()
        return found

    monkeypatch.setattr(examination, "_integrity", endless)
    monkeypatch.setattr(examination, "_rows_of", until_others_are_done)
    work = asyncio.create_task(examine(tmp_path, clock, Asking()))
    await begun.wait()
    await others_done.wait()
    clock.tick(30)
    found = await work
    assert found.problems == {"integrity": "it took longer than 30 s"}
    assert found.audit is not None
    assert found.audit.ok


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is a database, but no journal of Palyra"),
        (b"no database" * 999, "file is not a database"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "file is not a database"),
    ],
    ids=["empty", "text", "nonsense"],
)
async def test_what_is_no_journal_is_refused(data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(data)
    with pytest.raises(NotAJournalError, match=why):
        await examine(tmp_path, ManualClock(T0), Asking())
    assert os.listdir(tmp_path) == ["journal.db"]


def test_only_a_journal_of_this_version_is_current() -> None:
    assert Examined(LATEST).current
    assert not Examined(LATEST - 1).current
    assert not Examined(LATEST + 1).current
