"""Beside what a seam plays: a file system that is mounted read-only, one that is full, and files of another account."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from palyra.doctor.checks.state import directory
from palyra.doctor.files import Files, read_tree
from palyra.doctor.finding import Severity
from palyra.doctor.installation import Reading
from palyra.vault.identity import account_of
from tests.doctor.ailments import LONG_AGO, write
from tests.doctor.ailments import NOBODY as NOBODY_RUNS
from tests.doctor.patients import BROKEN, SOUND, Patient
from tests.doctor.real_disks import NOBODY, SKIPPED
from tests.doctor.remains import ROOT


def told_in_a_namespace(what: str, place: Path) -> dict[str, Any]:
    """What the program says; skips where nothing may be mounted here."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("there is no unshare, or no mount")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace may be made here")
    program = ["unshare", "-m", sys.executable, "-m", "tests.doctor.real_disks", what, str(place)]
    done = subprocess.run(program, capture_output=True, cwd=ROOT, check=False)
    if done.returncode == SKIPPED:
        pytest.skip("nothing may be mounted here")
    assert done.stderr.decode() == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def came_of(document: dict[str, Any]) -> dict[str, str]:
    return {step["repair_id"]: step["outcome"] for step in document["result"]["steps"]}


def test_on_a_read_only_file_system_everything_is_found_and_nothing_tried(tmp_path: Path) -> None:
    told = told_in_a_namespace("read_only", tmp_path)
    assert told["same"]
    found = {(one["check"], one["object"]) for one in told["look"]["findings"]}
    assert {("state.directory", "file system"), ("config.syntax", str(tmp_path / "config/palyra/palyra.toml"))} <= found
    assert "error" not in {check["status"] for check in told["look"]["checks"]}
    assert [step["repair_id"] for step in told["preview"]["plan"]["steps"]] == [
        "config.permissions",
        "config.restore_backup",
    ]
    assert (told["preview"]["code"], told["apply"]["code"]) == (0, 1)
    assert told["apply"]["error"]["message"].startswith("Nothing can be repaired: ")
    assert "read-only file system" in told["apply"]["error"]["message"]


def test_a_full_disk_costs_the_steps_that_need_room_and_no_file(tmp_path: Path) -> None:
    told = told_in_a_namespace("full", tmp_path)
    nothing, small = told["nothing"], told["small"]
    assert (nothing["code"], nothing["same"]) == (1, True)
    assert "no space left on device" in nothing["error"]["message"]
    assert nothing["error"]["code"] != "crashed"

    assert came_of(small) == {
        "config.permissions": "applied",
        "config.restore_backup": "applied",
        "journal.rollups": "failed",
    }
    assert (small["code"], small["journal"], small["made"]) == (1, True, [])
    assert "no space left" in small["result"]["steps"][-1]["error"]
    assert {"checks", "findings", "plan", "summary"} <= set(small)
    assert small["result"]["after"]["findings"]
    assert (told["back"]["code"], told["same"]) == (0, True)
    assert (told["enough"]["code"], set(came_of(told["enough"]).values())) == (0, {"applied"})


def test_root_repairs_nothing_of_another_account_and_that_account_what_root_left_in_it(open_to_all: Path) -> None:
    told = told_in_a_namespace("of_another", open_to_all)
    assert (told["by_root"]["code"], told["by_root"]["same"]) == (1, True)
    assert told["by_root"]["error"]["code"] == "foreign_state"
    assert f"sudo -u {account_of(NOBODY)} palyra doctor" in told["by_root"]["error"]["fix"]
    foreign = {one["object"] for one in told["look"]["findings"] if one["check"] == "state.directory"}
    assert foreign == {"notes.txt"}
    assert (came_of(told["apply"]), told["apply"]["code"]) == ({"config.restore_backup": "applied"}, 0)
    assert told["config"] == {"sound": True, "owner": NOBODY}
    assert (told["back"]["code"], told["same"], told["owners"]) == (0, True, [0, NOBODY])


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every account can reach."""
    with tempfile.TemporaryDirectory(prefix="palyra-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_repairs_and_takes_back_stays_whose_it_was(tmp_path: Path) -> None:
    patient = Patient(tmp_path).with_config(BROKEN, SOUND).with_state(notes__txt=b"theirs")
    write(patient, "access_registry.json", b'{"version": 1}')
    write(patient, f"audit.head.tmp.{NOBODY_RUNS}", b"half")
    os.utime(patient.state / f"audit.head.tmp.{NOBODY_RUNS}", LONG_AGO)
    for path in (patient.config, *patient.state.iterdir()):
        os.chown(path, NOBODY, -1)
    (patient.state / "notes.txt").chmod(0o644)
    before, owners = patient.tree(), owned(patient)
    result = patient.repair(force=True)
    assert result.complete
    assert len(result.steps) == 4
    for name in ("config/palyra/palyra.toml", "state/access_registry.json", "state/notes.txt"):
        assert owned(patient)[name] == NOBODY
    patient.roll_back(result.run_id)
    assert (patient.tree(), owned(patient)) == (before, owners)


def owned(patient: Patient) -> dict[str, int]:
    return {name: (patient.root / name).lstat().st_uid for name in patient.tree()}


def test_a_state_directory_that_cannot_be_made_is_no_mere_absence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place, why in ((tmp_path / "file" / "state", f"{tmp_path / 'file'} is no directory"), (tmp_path / "state", "")):
        tree = read_tree(Files(), place)
        (finding,) = directory(SimpleNamespace(state=Reading(tree)))  # type: ignore[arg-type]
        assert (finding.severity is Severity.BLOCKING, finding.repairs) == (bool(why), () if why else ("state.create",))
        assert why in finding.message
