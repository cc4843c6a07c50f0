"""However a repair ends, each file is the old one or the new one, and the next doctor takes it back or finishes it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from palyra.doctor.manifest import Outcome
from tests.doctor.cutting_short import REPAIR, ROLL_BACK
from tests.doctor.patients import BROKEN, SOUND, Patient, Snapshot, ids, in_memory, outcomes

FINISHED = 5
"""So many-th of those that were taken back are repaired again: what is as it was before needs no second look."""
ROOT = Path(__file__).parents[2]


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


def cut(what: str, patient: Patient, remains: Path) -> Iterator[Patient]:
    """The patient as it is left by every end of its process, the orderly one first."""
    remains.mkdir()
    command = [sys.executable, "-m", "tests.doctor.cutting_short", what, str(patient.root), str(remains)]
    subprocess.run(command, cwd=ROOT, check=True)
    for one in sorted(remains.iterdir(), key=lambda path: -int(path.name)):
        shutil.rmtree(patient.root)
        one.rename(patient.root)
        yield patient


def without_run_ids(tree: Snapshot) -> Snapshot:
    return {re.sub(r"quarantine-[0-9A-Z]{26}", "quarantine", name): one for name, one in tree.items()}


def is_old_or_new(tree: Snapshot, old: Snapshot, new: Snapshot) -> None:
    for name, one in tree.items():
        if ".tmp." in name and name not in old:
            continue
        for part in zip(one, *(tree[name] for tree in (old, new) if name in tree), strict=True):
            assert part[0] in part[1:], name
    for name in old.keys() & new.keys():
        assert name in tree


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
    undone = 0
    for number, one in enumerate(killed):
        is_old_or_new(without_run_ids(one.tree()), old, new)
        plan = one.plan()
        if ids(plan) == ["recovery.undo"]:
            undone += 1
            assert outcomes(one.repair(plan)) == [("recovery.undo", Outcome.UNDONE)]
            assert one.tree() == old
            if number % FINISHED:
                continue
            plan = one.plan()
        assert ids(plan) in (planned, [])
        one.repair(plan)
        assert without_run_ids(one.tree()) == new
    assert undone > 30


def test_a_rollback_that_is_killed_anywhere_leaves_old_or_new_and_is_taken_back(patient: Patient, place: Path) -> None:
    old = patient.tree()
    patient.repair()
    new = patient.tree()
    killed = cut(ROLL_BACK, patient, place / "remains")
    assert next(killed).tree() == old
    undone = 0
    for one in killed:
        is_old_or_new(one.tree(), old, new)
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
    assert undone > 20
