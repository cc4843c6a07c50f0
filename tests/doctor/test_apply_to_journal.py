"""Repairs of the journal: nothing is lost on the way, also of what its WAL holds, and all of it is taken back."""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.doctor.applying import Terms
from palyra.doctor.carrying_out import carry_out, journal_works
from palyra.doctor.manifest import Outcome
from palyra.doctor.repairs.journal import NOTHING_LOST, SALVAGE
from palyra.journal.journal import Journal
from palyra.journal.schema import LATEST
from palyra.vault.access import AccessRegistry
from tests.doctor.patients import SOUND, WHO, Patient, ids, outcomes
from tests.journal.samples import a_hold, a_run, settled, taken
from tests.journal.test_migrating import older


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path).with_config(SOUND).with_state()


def lived(patient: Patient, *, killed: bool) -> None:
    """An engine has written; one that was killed leaves its WAL behind."""

    async def write() -> None:
        AccessRegistry.open(patient.state, ManualClock())
        journal = await Journal.open(patient.state, ManualClock())
        for _ in range(20):
            run = a_run()
            hold = a_hold(run)
            await journal.submit([*taken(run, hold), *settled(run, hold)])
        if killed:
            kept = {path: path.read_bytes() for path in patient.state.glob("journal.db*")}
        await journal.close()
        if killed:
            for path, data in kept.items():
                path.write_bytes(data)
                path.chmod(0o600)

    asyncio.run(write())


def lie(patient: Patient) -> None:
    with closing(sqlite3.connect(patient.state / "journal.db")) as database:
        database.execute("UPDATE usage_sums SET cost = cost + 7")
        database.commit()


def count(patient: Patient) -> int:
    with closing(sqlite3.connect(patient.state / "journal.db")) as database:
        return int(database.execute("SELECT count(*) FROM usage").fetchone()[0])


@pytest.mark.parametrize("killed", [False, True])
def test_sums_are_counted_anew_and_what_a_wal_held_stays(patient: Patient, killed: bool) -> None:
    lived(patient, killed=killed)
    if killed:
        # A connection that stays open keeps the WAL, as an engine does that is killed.
        keeper = sqlite3.connect(patient.state / "journal.db")
        keeper.execute("UPDATE usage_sums SET cost = cost + 7")
        keeper.commit()
        kept = {path: path.read_bytes() for path in patient.state.glob("journal.db*")}
        keeper.close()
        for path, data in kept.items():
            path.write_bytes(data)
            path.chmod(0o600)
        assert (patient.state / "journal.db-wal").stat().st_size > 0
    else:
        lie(patient)
    before = patient.tree()
    plan = patient.plan()
    assert ids(plan) == ["journal.rollups"]
    assert plan.steps[0].needs_stop
    assert len(plan.steps[0].changes) == (3 if killed else 1)

    result = patient.repair(plan)

    assert outcomes(result) == [("journal.rollups", Outcome.APPLIED)]
    assert ids(patient.plan()) == []
    assert not list(Path(result.manifest).parent.glob("made/*"))
    copy = patient.root / "copy.db"
    copy.write_bytes((patient.state / "journal.db").read_bytes())
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT count(*) FROM usage").fetchone() == (20,)
    copy.unlink()
    patient.roll_back(result.run_id)
    without_shm = {name: one for name, one in patient.tree().items() if not name.endswith("-shm")}
    assert without_shm == {name: one for name, one in before.items() if not name.endswith("-shm")}


def test_an_older_journal_is_migrated_and_given_back(patient: Patient) -> None:
    older(patient.state, LATEST - 1).close()
    os.chmod(patient.state / "journal.db", 0o600)
    AccessRegistry.open(patient.state, ManualClock())
    before = patient.tree()
    plan = patient.plan()
    assert ids(plan) == ["journal.migrate"]
    result = patient.repair(plan)
    assert result.steps[0].notes == (f"from schema version {LATEST - 1}",)
    with closing(sqlite3.connect(patient.state / "journal.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (LATEST,)
    patient.roll_back(result.run_id)
    assert patient.tree() == before


@pytest.mark.parametrize(
    ("place", "data", "note"),
    [
        (0, b"\xff" * 4096, "rows are lost, nobody knows how many, of runs, "),
        (18, b"\x01\x01", NOTHING_LOST),
    ],
    ids=["nothing can be read", "everything can"],
)
def test_a_salvage_tells_in_a_few_words_what_is_lost(patient: Patient, place: int, data: bytes, note: str) -> None:
    lived(patient, killed=False)
    with (patient.state / "journal.db").open("r+b") as file:
        file.seek(place)
        file.write(data)
    product = patient.root / "product.db"
    told = journal_works(patient.clock)[SALVAGE](patient.state / "journal.db", product)
    assert len(told.notes) == 1
    assert told.notes[0].startswith(note)


def test_the_journal_is_said_to_be_damaged_once(patient: Patient) -> None:
    lived(patient, killed=False)
    (patient.state / "journal.db").write_bytes(b"no database" * 500)
    (finding,) = [one for one in patient.look()[1] if one.check == "journal.open"]
    assert finding.message == "The journal cannot be opened: file is not a database."


def test_what_needs_the_engine_stopped_is_not_done_beside_one(patient: Patient) -> None:
    lived(patient, killed=False)
    lie(patient)
    before = patient.everything()
    result = carry_out(patient.plan(), Terms(live=True), patient.site(), WHO, patient.tools())
    assert outcomes(result) == [("journal.rollups", Outcome.NEEDS_STOP)]
    assert patient.everything() == before


def test_a_journal_that_was_written_since_the_plan_is_left_alone(patient: Patient) -> None:
    lived(patient, killed=False)
    lie(patient)
    plan = patient.plan()
    lie(patient)
    with pytest.raises(Exception, match="not what the plan was made from"):
        patient.repair(plan)
    assert count(patient) == 20


def test_an_engine_that_started_meanwhile_keeps_the_doctor_out(patient: Patient) -> None:
    from palyra.core.errors import ConflictError
    from palyra.journal.lock import EngineLock

    lived(patient, killed=False)
    lie(patient)
    plan = patient.plan()
    lock = EngineLock(patient.state)
    lock.acquire()
    with pytest.raises(ConflictError) as refused:
        patient.repair(plan)
    assert refused.value.code == "engine_running"
    lock.release()
