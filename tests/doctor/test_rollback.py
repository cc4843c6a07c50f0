"""Taking a run back: to the byte, as a whole or not at all, and only where a repair may have been."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from palyra.doctor.change import Action
from palyra.doctor.manifest import ManifestError, Outcome, RunKind, RunState
from palyra.doctor.rolling_back import ChangedSinceError, NotOursError
from palyra.doctor.runs import UnknownRunError, load_run
from tests.doctor.ailments import ACCESS, AUTH, CONFIG, STATE
from tests.doctor.patients import BROKEN, SOUND, Patient, ids, in_memory, outcomes
from tests.doctor.test_killed_repairs import ill


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return ill(tmp_path)


def with_ailments(root: Path, config: str, access: str, auth: str, others: Iterable[str]) -> Patient:
    patient = Patient(root).with_state()
    for make in (CONFIG[config], ACCESS[access], AUTH[auth], *(STATE[other] for other in sorted(others))):
        make(patient)
    return patient


@settings(max_examples=12)
@example(config="with a backup", access="without flags", auth="bad records", others=frozenset(STATE))
@example(config="broken and open", access="without an admin and flags", auth="cut short", others=frozenset(STATE))
@given(
    config=st.sampled_from(sorted(CONFIG)),
    access=st.sampled_from(sorted(ACCESS)),
    auth=st.sampled_from(sorted(AUTH)),
    others=st.frozensets(st.sampled_from(sorted(STATE))),
)
def test_whatever_is_repaired_is_taken_back_to_the_byte(
    config: str, access: str, auth: str, others: frozenset[str]
) -> None:
    with in_memory() as directory:
        patient = with_ailments(directory, config, access, auth, others)
        before = patient.tree()
        plan = patient.plan()
        assert (patient.tree(), patient.plan().digest) == (before, plan.digest)
        result = patient.repair(plan, force=True)
        assert result.complete, result.steps
        repaired = patient.tree()
        assert ids(patient.plan()) == []
        if not result.run_id:
            return
        back = patient.roll_back(result.run_id)
        assert outcomes(back) == [("recovery.undo", Outcome.UNDONE)]
        assert patient.tree() == before
        assert load_run(patient.state, result.run_id).state is RunState.ROLLED_BACK
        patient.roll_back(back.run_id)
        assert patient.tree() == repaired


def test_a_rollback_is_a_run_that_says_whose(patient: Patient) -> None:
    result = patient.repair()
    back = patient.roll_back(result.run_id)
    run = load_run(patient.state, back.run_id)
    assert (run.kind, run.rolls_back, run.state) == (RunKind.ROLLBACK, result.run_id, RunState.COMPLETED)
    original = load_run(patient.state, result.run_id)
    undone = [(entry.root, entry.target) for entry in run.entries]
    assert undone == [(entry.root, entry.target) for entry in reversed(original.entries)]
    with pytest.raises(Exception, match="taken back already"):
        patient.roll_back(result.run_id)


def test_one_file_that_was_changed_since_keeps_all_from_being_taken_back(patient: Patient) -> None:
    result = patient.repair()
    (patient.state / "notes.txt").chmod(0o640)
    patient.config.write_bytes(SOUND + b"# mine\n")
    before = patient.tree()
    with pytest.raises(ChangedSinceError) as refused:
        patient.roll_back(result.run_id)
    assert "notes.txt" in refused.value.message
    assert "palyra.toml (configuration)" in refused.value.message
    assert patient.tree() == before


def test_by_force_what_is_there_now_is_kept_first(patient: Patient) -> None:
    old = patient.tree()
    result = patient.repair()
    patient.config.write_bytes(SOUND + b"# mine\n")
    edited = patient.tree()
    forced = patient.roll_back(result.run_id, force=True)
    assert patient.tree() == old
    patient.roll_back(forced.run_id)
    assert patient.tree() == edited


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "x" * 26, "01hzzzzzzzzzzzzzzzzzzzzzzz"]
)
def test_what_is_no_run_is_told_so(patient: Patient, name: str) -> None:
    patient.repair()
    with pytest.raises(UnknownRunError):
        patient.roll_back(name)


FORGERIES = {
    "outside": ({"target": "../../outside.txt"}, NotOursError),
    "absolute": ({"target": "/etc/passwd"}, NotOursError),
    "of nobody": ({"target": "vault/vault.json"}, NotOursError),
    "of the run": ({"target": "recovery/doctor.lock"}, NotOursError),
    "another configuration": ({"root": "config", "target": "other.toml"}, NotOursError),
    "a backup elsewhere": ({"backup": "../../../outside.txt"}, NotOursError),
    "no action": ({"action": "explode"}, ManifestError),
    "no number": ({"seq": 7}, ManifestError),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_manifest_cannot_lead_anywhere_else(patient: Patient, forgery: str) -> None:
    result = patient.repair()
    path = Path(result.manifest)
    told = json.loads(path.read_bytes())
    changes, error = FORGERIES[forgery]
    entry = next(one for one in told["entries"] if one["action"] == Action.MODIFY)
    entry.update(changes)
    path.write_bytes(json.dumps(told).encode())
    before = patient.everything()
    with pytest.raises(error):
        patient.roll_back(result.run_id)
    assert {name: one for name, one in patient.everything().items() if "doctor.lock" not in name} == {
        name: one for name, one in before.items() if "doctor.lock" not in name
    }


def test_a_link_in_the_way_of_a_target_is_not_followed(patient: Patient) -> None:
    result = patient.repair()
    elsewhere = patient.root / "elsewhere"
    shutil.move(patient.state / "notes.txt", elsewhere)
    (patient.state / "notes.txt").symlink_to(elsewhere)
    mode = elsewhere.stat().st_mode
    with pytest.raises(NotOursError):
        patient.roll_back(result.run_id)
    assert elsewhere.stat().st_mode == mode


def test_a_manifest_of_another_format_or_installation_is_refused(patient: Patient) -> None:
    result = patient.repair()
    path = Path(result.manifest)
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(ManifestError, match="format 2"):
        patient.roll_back(result.run_id)
    path.write_bytes(re.sub(rb'"config_path": "[^"]*"', b'"config_path": "/elsewhere/palyra.toml"', sound))
    with pytest.raises(NotOursError, match="not"):
        patient.roll_back(result.run_id)


def test_without_its_backup_nothing_is_taken_back(patient: Patient) -> None:
    result = patient.repair()
    entry = next(one for one in load_run(patient.state, result.run_id).entries if one.backup is not None)
    backup = Path(result.manifest).parent / str(entry.backup)
    backup.write_bytes(BROKEN + b"tampered")
    before = patient.tree()
    with pytest.raises(ChangedSinceError, match="backup"):
        patient.roll_back(result.run_id, force=True)
    assert patient.tree() == before
