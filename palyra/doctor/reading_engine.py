"""Who is at work on a state directory: an engine, another doctor; and what doctors before left."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from palyra.core.processes import Life, ProcessMark, life_of, lock_holder
from palyra.doctor.installation import EngineFacts, Recovery, RecoveryRun, StateTree

ENGINE_LOCK = "engine.lock"
DOCTOR_LOCK = "recovery/doctor.lock"
_RUN = re.compile(r"recovery/runs/([0-9A-HJKMNP-TV-Z]{26})/manifest\.json")
_UNFINISHED = "running"

Holder = Callable[[Path], int | None]


def read_engine(tree: StateTree, holder: Holder = lock_holder) -> EngineFacts:
    """Asks the kernel who holds the lock. Raises OSError where it does not tell."""
    found = tree.at(ENGINE_LOCK)
    if not found.is_file:
        return EngineFacts(running=False)
    pid = holder(found.path)
    if pid is not None:
        return EngineFacts(running=True, pid=pid)
    left = _mark(found.data or b"")
    life = Life.DEAD if left is None else life_of(left)
    # One that lives and let go is no engine any more, whatever the file still says.
    return EngineFacts(running=False, left=left, left_life=life)


def _mark(data: bytes) -> ProcessMark | None:
    try:
        return ProcessMark.read(json.loads(data))
    except (ValueError, AttributeError):
        return None


def read_recovery(tree: StateTree, holder: Holder = lock_holder) -> Recovery:
    """Raises OSError where the kernel does not tell of locks."""
    lock = tree.at(DOCTOR_LOCK)
    runs = []
    for name, found in tree.entries.items():
        match = _RUN.fullmatch(name)
        if match is not None:
            runs.append(_run(match[1], found.data, found.problem))
    return Recovery(tuple(runs), holder(lock.path) if lock.is_file else None)


def _run(run_id: str, data: bytes | None, problem: str) -> RecoveryRun:
    try:
        told = json.loads(data or b"")
        state, kind, created = told["state"], told["kind"], told["created_at_ms"]
    except (ValueError, TypeError, KeyError):
        return RecoveryRun(run_id, finished=False, fault=problem or "its manifest cannot be understood")
    return RecoveryRun(run_id, state != _UNFINISHED, str(kind), created if isinstance(created, int) else 0)
