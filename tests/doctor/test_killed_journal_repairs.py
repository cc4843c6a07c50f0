"""A repair of the journal that is killed anywhere, also while it makes the new one, leaves the old one or the new one.

The next doctor takes it back, with all that it had made, and can finish.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.doctor.manifest import Outcome
from palyra.journal.journal import Journal
from palyra.journal.schema import LATEST
from palyra.vault.access import AccessRegistry
from tests.doctor.cutting_short import JOURNAL
from tests.doctor.patients import SOUND, Patient, Snapshot, ids, in_memory, outcomes
from tests.doctor.remains import Standing, cut, is_old_or_new, without_run_ids
from tests.journal.samples import a_hold, a_run, settled, taken
from tests.journal.test_migrating import older


def of_an_older_palyra(patient: Patient) -> None:
    older(patient.state, LATEST - 1).close()
    os.chmod(patient.state / "journal.db", 0o600)
    AccessRegistry.open(patient.state, ManualClock())


def lived(patient: Patient) -> None:
    async def write() -> None:
        AccessRegistry.open(patient.state, ManualClock())
        journal = await Journal.open(patient.state, ManualClock())
        for _ in range(5):
            run = a_run()
            hold = a_hold(run)
            await journal.submit([*taken(run, hold), *settled(run, hold)])
        await journal.close()

    asyncio.run(write())


def with_wrong_sums_in_its_wal(patient: Patient) -> None:
    lived(patient)
    with closing(sqlite3.connect(patient.state / "journal.db")) as database:
        database.execute("UPDATE usage_sums SET cost = cost + 7")
        database.commit()
        kept = {path: path.read_bytes() for path in patient.state.glob("journal.db*") if path.suffix != ".db-shm"}
    for path, data in kept.items():
        path.write_bytes(data)
        path.chmod(0o600)


def cut_in_half(patient: Patient) -> None:
    lived(patient)
    journal = patient.state / "journal.db"
    os.truncate(journal, journal.stat().st_size // 2)


def said(patient: Patient) -> list[object]:
    """What the journal says by now, its WAL included, read from a copy; nothing where it is damaged."""
    copy = patient.root / "copy.db"
    for side in ("", "-wal"):
        here = patient.state / f"journal.db{side}"
        if here.exists():
            copy.with_name(f"copy.db{side}").write_bytes(here.read_bytes())
    told: list[object] = []
    with closing(sqlite3.connect(copy)) as database, suppress(sqlite3.DatabaseError):
        for table in ("usage", "audit", "usage_sums"):
            told.append(database.execute(f"SELECT * FROM {table}").fetchall())
    for path in patient.root.glob("copy.db*"):
        path.unlink()
    return told


@pytest.fixture
def place() -> Iterator[Path]:
    with in_memory() as directory:
        yield directory


def journals(tree: Snapshot) -> Snapshot:
    """What SQLite keeps beside a journal that somebody only looked at is not compared."""
    return {name: one for name, one in without_run_ids(tree).items() if not name.endswith("-shm")}


@pytest.mark.parametrize(
    ("ailment", "repair", "undone"),
    [
        (of_an_older_palyra, "journal.migrate", 3),
        (with_wrong_sums_in_its_wal, "journal.rollups", 8),
        (cut_in_half, "journal.salvage", 5),
    ],
)
def test_a_repair_of_the_journal_that_is_killed_anywhere_is_taken_back_or_finished(
    ailment: Callable[[Patient], None], repair: str, undone: int, place: Path
) -> None:
    (place / "patient").mkdir()
    patient = Patient(place / "patient").with_config(SOUND).with_state()
    ailment(patient)
    old, said_first = journals(patient.tree()), said(patient)
    assert ids(patient.plan()) == [repair]
    killed = cut(JOURNAL, patient, place / "remains")
    new = journals(next(killed).tree())
    assert ids(patient.plan()) == []
    said_last = said(patient)
    taken_back, standing = 0, Standing()
    for one in killed:
        tree = journals(one.tree())
        if said_first:
            # What its WAL holds is moved into the file first: then it is another file that says the same.
            assert said(one) in (said_first, said_last)
            del tree["state/journal.db"]
        is_old_or_new({"state/journal.db": old["state/journal.db"], **tree}, old, new)
        if not standing.is_new(one):
            continue
        plan = one.plan()
        if ids(plan) == ["recovery.undo"]:
            taken_back += 1
            assert outcomes(one.repair(plan)) == [("recovery.undo", Outcome.UNDONE)]
            assert journals(one.tree()) == old
            assert not list(one.state.glob("recovery/runs/*/made"))
            if not standing.is_new(one):
                continue
            plan = one.plan()
        assert ids(plan) in ([repair], [])
        one.repair(plan, force=True)
        assert ids(one.plan()) == []
        assert said(one) == said_last
    assert taken_back >= undone
