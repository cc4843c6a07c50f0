"""Who is at work on a state directory: an engine, another doctor; and what doctors before left."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from palyra.core.processes import Life, ProcessMark, life_of, listened_sockets, lock_holder, started_ms
from palyra.doctor.installation import LAST_MS, ConfigFiles, EngineFacts, Input, Kind, Recovery, RecoveryRun, StateTree
from palyra.doctor.leftovers import Left, Leftover, is_text

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
        at = created if isinstance(created, int) and 0 <= created < LAST_MS else 0
    except (ValueError, TypeError, KeyError, RecursionError):
        return RecoveryRun(run_id, finished=False, fault=problem or "its manifest cannot be understood")
    return RecoveryRun(run_id, state != _UNFINISHED, str(kind), at)


_TEMPORARY = re.compile(r"\.tmp\.([1-9][0-9]{0,9})(?:\.[0-9A-Za-z_-]+)?$")
OLD_MS = 5 * 60_000
"""A temporary file that is younger may be one that is being written."""
SLACK_MS = 2_000
"""How exactly the start of a process is known."""
POINTER = "socket.path"
_ROTATION = (".next",)
_START = "Start the engine once; it puts this right."


def find_leftovers(
    tree: StateTree, config_files: ConfigFiles | None, engine: EngineFacts, now_ms: int
) -> tuple[Leftover, ...]:
    """Raises OSError where the kernel does not tell who listens."""
    found = [
        one
        for name, entry in (*tree.entries.items(), *_beside_configuration(config_files))
        if (one := _temporary(name, entry, now_ms)) is not None
    ]
    if engine.running:
        return tuple(found)
    listened = listened_sockets() if any(_is_socket(one) for one in tree.entries.values()) else frozenset()
    for name, entry in tree.entries.items():
        if _is_socket(entry) and str(entry.path) not in listened:
            found.append(_of_engine(name, entry, Left.SOCKET, engine))
        elif name.startswith("vault/") and name.endswith(_ROTATION):
            found.append(Leftover(name, entry.path, Left.ROTATION, removable=False, proof="", manual=_START))
    if engine.left is not None:
        found += [
            _of_engine(name, entry, Left.MARKER, engine)
            for name in (ENGINE_LOCK, POINTER)
            if (entry := tree.at(name)).is_file
        ]
    return tuple(found)


def _is_socket(entry: Input) -> bool:
    return entry.facts is not None and entry.facts.kind is Kind.SOCKET


def _of_engine(name: str, entry: Input, what: Left, engine: EngineFacts) -> Leftover:
    """Of an engine that does not hold its lock any more. The lock's file itself stays: were it removed, two engines
    could lock two files of one name."""
    if engine.left is not None and engine.left_life is Life.UNKNOWN:
        proof = f"its engine (pid {engine.left.pid}) was started where others cannot be seen from here"
        return Leftover(name, entry.path, what, removable=False, proof=proof, manual=_START)
    gone = "" if engine.left is None else f" (the last one had pid {engine.left.pid})"
    proof = f"no engine holds the lock{gone}"
    removable = name != ENGINE_LOCK
    return Leftover(name, entry.path, what, removable, proof, "" if removable else _START)


def _temporary(name: str, entry: Input, now_ms: int) -> Leftover | None:
    match = _TEMPORARY.search(name)
    if match is None or not entry.is_file or entry.facts is None or now_ms - entry.facts.mtime_ms <= OLD_MS:
        return None
    if not is_text(name):
        manual = "Remove it by hand: its name is no text."
        return Leftover(ascii(name), entry.path, Left.TEMPORARY, removable=False, proof="", manual=manual)
    pid = int(match[1])
    started = started_ms(pid)
    if started is None:
        return Leftover(name, entry.path, Left.TEMPORARY, removable=True, proof=f"its writer (pid {pid}) has ended")
    if started > entry.facts.mtime_ms + SLACK_MS:
        proof = f"its writer has ended: pid {pid} is another process by now"
        return Leftover(name, entry.path, Left.TEMPORARY, removable=True, proof=proof)
    proof = f"pid {pid}, which may be writing it, is alive"
    return Leftover(name, entry.path, Left.TEMPORARY, False, proof, "Stop that process, or wait until it has ended.")


def _beside_configuration(config_files: ConfigFiles | None) -> list[tuple[str, Input]]:
    if config_files is None:
        return []
    return [(str(one.path), one) for one in config_files.temporaries]
