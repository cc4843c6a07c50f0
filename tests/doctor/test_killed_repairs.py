"""However a repair ends, each file is the old one or the new one, and the next doctor takes it back or finishes it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from palyra.doctor.manifest import Outcome
from tests.doctor.cutting_short import REPAIR, ROLL_BACK
from tests.doctor.patients import BROKEN, SOUND, Patient, ids, in_memory, outcomes
from tests.doctor.remains import Standing, cut, is_old_or_new, without_run_ids

UNDONE = 15
"""At least so many ways of being cut short leave something to take back."""


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def ill(root: Path) -> Patient:
    """An installation that takes every kind of change: create, modify, delete, move and modes."""
    patient = Patient(root).with_config(BROKEN, BROKEN, SOUND)
    patient.config.chmod(0o644)
    patient.with_state(gateway_key__txt=b"plk_x", notes__txt=b"left open")
    (patient.state / "notes.txt").chmod(0o644)
    left = patient.state / f"audit.head.tmp.{dead_pid()}"
    left.write_bytes(b"half of i")
    left.chmod(0o600)
    os.utime(left, (1_000_000_000, 1_000_000_000))
    return patient


@pytest.fixture
def place() -> Iterator[Path]:
    with in_memory() as directory:
        yield directory


@pytest.fixture
def patient(place: Path) -> Patient:
    return ill(place / "patient")


def test_a_repair_that_is_killed_anywhere_leaves_old_or_new_and_is_taken_back(patient: Patient, place: Path) -> None:
    old, planned = patient.tree(), ids(patient.plan())
    assert planned == ["state.cleanup", "config.permissions", "state.permissions", "config.restore_backup"]
    killed = cut(REPAIR, patient, place / "remains")
    new = without_run_ids(next(killed).tree())
    assert ids(patient.plan()) == []
    undone, standing = 0, Standing()
    for one in killed:
        is_old_or_new(without_run_ids(one.tree()), old, new)
        if not standing.is_new(one):
            continue
        plan = one.plan()
        if ids(plan) == ["recovery.undo"]:
            undone += 1
            assert outcomes(one.repair(plan)) == [("recovery.undo", Outcome.UNDONE)]
            assert one.tree() == old
            if not standing.is_new(one):
                continue
            plan = one.plan()
        assert ids(plan) in (planned, [])
        one.repair(plan)
        assert without_run_ids(one.tree()) == new
    assert undone > UNDONE


def test_a_rollback_that_is_killed_anywhere_leaves_old_or_new_and_is_taken_back(patient: Patient, place: Path) -> None:
    old = patient.tree()
    patient.repair()
    new = patient.tree()
    killed = cut(ROLL_BACK, patient, place / "remains")
    assert next(killed).tree() == old
    undone, standing = 0, Standing()
    for one in killed:
        is_old_or_new(one.tree(), old, new)
        if not standing.is_new(one):
            continue
        while ids(plan := one.plan()) == ["recovery.undo"]:
            undone += 1
            assert outcomes(one.repair(plan)) == [("recovery.undo", Outcome.UNDONE)]
            assert one.tree() == new
        if one.tree() == old:
            continue
        assert one.tree() == new
        (first, *_) = sorted((one.state / "recovery" / "runs").iterdir())
        one.roll_back(first.name)
        assert one.tree() == old
    assert undone > UNDONE
