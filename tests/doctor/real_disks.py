"""Installations on file systems, and of accounts, of their own: `python -m tests.doctor.real_disks WHAT PLACE`.

It is started in a mount namespace of its own (`unshare -m`). Each program mounts something at PLACE, which nobody
outside sees, or becomes somebody else, and prints what the doctor did there as JSON. It ends with SKIPPED where nothing
may be mounted.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from palyra.control.doctor import Asked, Report, doctor, exit_code_of, report_json
from palyra.core.errors import PalyraError
from tests.doctor.patients import BROKEN, SOUND, Patient
from tests.doctor.test_apply_to_journal import lie, lived

SKIPPED, NOBODY = 77, 65_534
ENOUGH, SMALL, NOTHING = 4096, 300, 0
"""KiB that are left: for everything, for what is small, for nothing at all."""


def mount(*arguments: str) -> None:
    if subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode:
        sys.exit(SKIPPED)


def typed(patient: Patient, **flags: Any) -> dict[str, Any]:
    """The document of a command, with its exit code."""
    known: list[Report] = []
    try:
        report, code = asyncio.run(doctor(Asked(**flags), patient.where, patient.clock, known.append))
    except PalyraError as error:
        report, code = known[-1].failed(error), exit_code_of(error)
    return {**report_json(report), "code": code}


def read_only(place: Path) -> dict[str, Any]:
    patient = Patient(place).with_config(BROKEN, SOUND, mode=0o644).with_state()
    lived(patient, killed=False)
    mount("--bind", str(place), str(place))
    mount("-o", "remount,ro,bind", str(place))
    before = patient.everything()
    told = {"look": typed(patient), "preview": typed(patient, repair=True, dry_run=True)}
    told["apply"] = typed(patient, repair=True, force=True)
    return {**told, "same": patient.everything() == before}


def full(place: Path) -> dict[str, Any]:
    """A disk on which less and less is left, and then enough."""
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place))
    patient = Patient(place).with_config(BROKEN, SOUND, mode=0o644).with_state()
    lived(patient, killed=False)
    lie(patient)
    sick = patient.tree()
    told: dict[str, Any] = {}
    for name, left in (("nothing", NOTHING), ("small", SMALL)):
        ballast = fill(place, left)
        before = patient.tree()
        told[name] = typed(patient, repair=True)
        told[name]["same"] = patient.tree() == before
        told[name]["journal"] = patient.tree()["state/journal.db"] == before["state/journal.db"]
        told[name]["made"] = [str(path) for path in patient.state.glob("recovery/runs/*/made/*")]
        ballast.unlink()
    told["back"] = typed(patient, rollback=told["small"]["result"]["run_id"])
    told["same"] = patient.tree() == sick
    told["enough"] = typed(patient, repair=True)
    return told


def of_another(place: Path) -> dict[str, Any]:
    """An account's own installation, in whose files root has been: root repairs nothing of it, its owner does."""
    patient = Patient(place / "theirs").with_config(BROKEN, SOUND).with_state(notes__txt=b"of root")
    patient.config.chmod(0o644)
    (patient.state / "notes.txt").chmod(0o644)
    os.chown(place, NOBODY, NOBODY)
    for path in (patient.root, *patient.root.rglob("*")):
        if path not in (patient.config, patient.state / "notes.txt"):
            os.chown(path, NOBODY, NOBODY)
    before = patient.everything()
    told = {"by_root": typed(patient, repair=True, force=True)}
    told["by_root"]["same"] = patient.everything() == before
    # All that is loaded late has to be there before this process may not read it any more.
    own = Patient(place / "own")
    own.root.mkdir()
    own.with_config(BROKEN, SOUND).with_state()
    typed(own, rollback=typed(own, repair=True)["result"]["run_id"])
    shutil.rmtree(own.root)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    sick = patient.tree()
    told["look"] = typed(patient)
    told["apply"] = typed(patient, repair=True)
    told["config"] = {"sound": patient.config.read_bytes() == SOUND, "owner": patient.config.stat().st_uid}
    told["back"] = typed(patient, rollback=told["apply"]["result"]["run_id"])
    return {
        **told,
        "same": patient.tree() == sick,
        "owners": sorted({path.stat().st_uid for path in patient.state.rglob("*")}),
    }


def fill(place: Path, left_kib: int) -> Path:
    """A file that takes all but so much."""
    ballast = place / "ballast"
    found = os.statvfs(place)
    size = found.f_bavail * found.f_frsize - 1024 * left_kib
    ballast.write_bytes(b"\0" * size)
    return ballast


PROGRAMS: dict[str, Callable[[Path], dict[str, Any]]] = {"read_only": read_only, "full": full, "of_another": of_another}

if __name__ == "__main__":
    if os.geteuid():
        sys.exit(SKIPPED)
    mount("--make-rprivate", "/")
    sys.stdout.write(json.dumps(PROGRAMS[sys.argv[1]](Path(sys.argv[2]))))
