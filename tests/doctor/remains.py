"""What is left of repairs that were killed, and whether each file of it is the old one or the new one."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.doctor.patients import Patient, Snapshot

ROOT = Path(__file__).parents[2]
_PASSING = re.compile(r"\.tmp\.[0-9]+\.[0-9a-f]+")
_RUN = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def cut(what: str, patient: Patient, remains: Path) -> Iterator[Patient]:
    """The patient as it is left by every end of its process, the orderly one first."""
    remains.mkdir()
    command = [sys.executable, "-m", "tests.doctor.cutting_short", what, str(patient.root), str(remains)]
    subprocess.run(command, cwd=ROOT, check=True)
    for one in sorted(remains.iterdir(), key=lambda path: -int(path.name)):
        shutil.rmtree(patient.root)
        one.rename(patient.root)
        yield patient


class Standing:
    """Tells what was seen already from what was not: how all files and runs stand, whatever they are called."""

    def __init__(self) -> None:
        self._seen: set[tuple[object, ...]] = set()

    def is_new(self, patient: Patient) -> bool:
        files = tuple((_nameless(name), one) for name, one in sorted(patient.tree().items()))
        standing = files, tuple(map(_told, sorted(patient.state.glob("recovery/runs/*"))))
        new = standing not in self._seen
        self._seen.add(standing)
        return new


def _nameless(text: str) -> str:
    return _RUN.sub("RUN", _PASSING.sub(".tmp.PID", text))


def _told(run: Path) -> tuple[object, ...]:
    """What a run intends and has done; whether something it made waits for its place."""
    manifest = run / "manifest.json"
    told: dict[str, Any] = json.loads(manifest.read_bytes()) if manifest.exists() else {"state": "", "entries": ()}
    entries = tuple((entry["target"], entry["state"]) for entry in told["entries"])
    return _nameless(str(entries)), told["state"], (run / "made").exists()


def without_run_ids(tree: Snapshot) -> Snapshot:
    return {re.sub(r"quarantine-[0-9A-Z]{26}", "quarantine", name): one for name, one in tree.items()}


def is_old_or_new(tree: Snapshot, old: Snapshot, new: Snapshot) -> None:
    for name, one in tree.items():
        if ".tmp." in name and name not in old:
            continue
        for part in zip(one, *(known[name] for known in (old, new) if name in known), strict=True):
            assert part[0] in part[1:], name
    for name in old.keys() & new.keys():
        assert name in tree
