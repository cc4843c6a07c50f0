"""However the power fails under a repair, each file is the old one or the new one, and the next doctor takes it back or
finishes it."""

from pathlib import Path

from palyra.doctor.manifest import Outcome
from tests.doctor.patients import BROKEN, SOUND, Patient, ids, in_memory, outcomes
from tests.doctor.remains import Standing, is_old_or_new, without_run_ids
from tests.faults.cuts import cut_anywhere

PLANNED = ["config.permissions", "state.permissions", "config.restore_backup"]


def ill(root: Path) -> Patient:
    """An installation that takes changes of bytes, modes and names."""
    patient = Patient(root).with_config(BROKEN, BROKEN, SOUND)
    patient.config.chmod(0o644)
    patient.with_state(gateway_key__txt=b"plk_x", notes__txt=b"left open")
    (patient.state / "notes.txt").chmod(0o644)
    return patient


def test_cut_anywhere_a_repair_leaves_old_or_new_and_is_taken_back_or_finished() -> None:
    with in_memory() as place:
        patient = ill(place / "patient")
        old, plan = patient.tree(), patient.plan()
        assert ids(plan) == PLANNED
        cuts = list(cut_anywhere(patient.root, lambda: patient.repair(plan), 2))
        new = without_run_ids(patient.tree())
        undone, standing = 0, Standing()
        for left, told in cuts:
            left.lay(patient.root)
            found = without_run_ids(patient.tree())
            is_old_or_new(found, old, new)
            assert not told or found == new
            if not standing.is_new(patient):
                continue
            plan = patient.plan()
            if ids(plan) == ["recovery.undo"]:
                undone += 1
                assert outcomes(patient.repair(plan)) == [("recovery.undo", Outcome.UNDONE)]
                assert patient.tree() == old
                plan = patient.plan()
            assert set(ids(plan)) <= set(PLANNED)
            patient.repair(plan)
            assert without_run_ids(patient.tree()) == new
        assert undone > 5
