"""What the doctor would do: planned from what was found alone, without a trace, and empty once it was done."""

import os
from pathlib import Path

import pytest

from palyra.doctor.checks.catalogue import ANSWERS
from palyra.doctor.manifest import Outcome
from palyra.doctor.planning import REPAIRS
from tests.doctor.patients import BROKEN, SOUND, Patient, ids, outcomes


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path)


def test_every_repair_answers_a_check_and_every_answer_is_a_repair() -> None:
    assert set(ANSWERS) == set(REPAIRS)


def test_where_there_is_nothing_an_installation_is_begun_and_then_nothing_is_left_to_do(patient: Patient) -> None:
    plan = patient.plan()
    assert ids(plan) == ["state.create", "config.initialize"]

    result = patient.repair(plan)

    assert outcomes(result) == [("state.create", Outcome.APPLIED), ("config.initialize", Outcome.APPLIED)]
    assert patient.config.stat().st_mode & 0o777 == 0o600
    assert patient.state.stat().st_mode & 0o777 == 0o700
    assert ids(patient.plan()) == []


def test_a_truncated_configuration_is_restored_from_the_newest_good_backup(patient: Patient) -> None:
    patient.with_config(BROKEN, BROKEN + b"[", b'[runs]\nmax_duration = "soon"\n', SOUND, b"version = 1\n").with_state()
    plan = patient.plan()
    assert ids(plan) == ["config.restore_backup"]
    (step,) = plan.steps
    assert [note.partition(":")[0] for note in step.notes] == ["palyra.toml.bak.1", "palyra.toml.bak.2"]

    result = patient.repair(plan)

    assert patient.config.read_bytes() == SOUND
    assert patient.config.with_name(f"palyra.toml.quarantine-{result.run_id}").read_bytes() == BROKEN
    assert ids(patient.plan()) == []


def test_without_a_good_backup_a_configuration_is_begun_anew_only_by_force(patient: Patient) -> None:
    patient.with_config(BROKEN, mode=0o640).with_state()
    plan = patient.plan("config.reinitialize")
    before = patient.everything()

    assert outcomes(patient.repair(plan)) == [("config.reinitialize", Outcome.BLOCKED)]
    assert patient.everything() == before

    result = patient.repair(plan, force=True)
    assert outcomes(result) == [("config.reinitialize", Outcome.APPLIED)]
    kept = patient.config.with_name(f"palyra.toml.quarantine-{result.run_id}")
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (BROKEN, 0o640)
    assert patient.config.stat().st_mode & 0o777 == 0o600
    assert ids(patient.plan()) == []


def test_no_repair_touches_a_file_of_a_newer_version(patient: Patient) -> None:
    patient.with_config(b"version = 99\n", SOUND).with_state()
    assert [one.target for step in patient.plan().steps for one in step.changes] == []


def test_a_migrated_configuration_keeps_its_comments_and_its_last_five_backups(patient: Patient) -> None:
    old = [b'# %d\n[runs]\nmax_duration = "2h"\n' % number for number in range(6)]
    patient.with_config(*old).with_state()
    plan = patient.plan()
    assert ids(plan) == ["config.migrate"]
    patient.repair(plan)
    assert patient.config.read_bytes() == b"version = 1\n\n" + old[0]
    assert [patient.config.with_name(f"palyra.toml.bak.{n}").read_bytes() for n in range(1, 6)] == old[:5]


def test_a_linked_configuration_is_repaired_where_the_link_leads(patient: Patient) -> None:
    patient.with_config(b"[runs]\n").with_state()
    real = patient.root / "dotfiles" / "mine.toml"
    real.parent.mkdir()
    patient.config.rename(real)
    patient.config.symlink_to(real)

    patient.repair(patient.plan())

    assert patient.config.is_symlink()
    assert real.read_bytes().startswith(b"version = 1\n")
    assert (real.parent / "mine.toml.bak.1").read_bytes() == b"[runs]\n"


def test_a_plan_writes_nothing_at_all(patient: Patient) -> None:
    patient.with_config(BROKEN, SOUND).with_state(gateway_key__txt=b"x")
    os.chmod(patient.state / "gateway_key.txt", 0o644)
    os.chmod(patient.state, 0o500)
    try:
        before = patient.everything(), {path: path.lstat().st_mtime_ns for path in patient.root.rglob("*")}
        first, second = patient.plan(), patient.plan()
        assert (patient.everything(), {path: path.lstat().st_mtime_ns for path in patient.root.rglob("*")}) == before
    finally:
        os.chmod(patient.state, 0o700)
    assert first == second
    assert first.digest == second.digest


def test_a_digest_stands_for_every_byte_that_is_read_and_written(patient: Patient) -> None:
    patient.with_config(BROKEN, SOUND).with_state()
    seen = {patient.plan().digest}
    for name, data in (("palyra.toml", BROKEN + b"#"), ("palyra.toml.bak.1", SOUND + b"#")):
        patient.config.with_name(name).write_bytes(data)
        seen.add(patient.plan().digest)
    patient.config.chmod(0o640)
    seen.add(patient.plan("config.restore_backup").digest)
    assert len(seen) == 4


@pytest.mark.parametrize(("mode", "wanted"), [(0o644, 0o600), (0o400, 0o600), (0o666, 0o600)])
def test_modes_are_put_right_and_nothing_else(patient: Patient, mode: int, wanted: int) -> None:
    patient.with_config(SOUND).with_state(access_registry__json=b"{}")
    path = patient.state / "access_registry.json"
    path.chmod(mode)
    plan = patient.plan("state.permissions")
    assert [step.security for step in plan.steps] == [True]
    patient.repair(plan)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"{}", wanted)
    assert ids(patient.plan("state.permissions")) == []
