"""Recovery runs: `recovery/runs/<ULID>/` in the state directory, one writer at a time."""

import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from palyra.core.errors import ConflictError, NotFoundError, PalyraError, StateError
from palyra.core.private_files import make_dirs
from palyra.core.reasons import reason_of
from palyra.core.regular_files import read_regular
from palyra.core.values import value
from palyra.doctor.change import FileFacts
from palyra.doctor.disk import Disk
from palyra.doctor.manifest import (
    RUN_ID,
    Entry,
    EntryState,
    Manifest,
    ManifestError,
    RunState,
    StepOutcome,
    manifest_json,
    read_manifest,
)

RECOVERY = "recovery"
RUNS = "runs"
LOCK_FILE = "doctor.lock"
MANIFEST = "manifest.json"
BACKUPS = "backups"
MADE = "made"
"""Files that a journal work made and that have not taken their place yet."""
LONGEST_LOCK = 4096
LONGEST_MANIFEST = 16 * 1024 * 1024
"""Bytes that are read of them."""
KEPT = 20
"""Finished runs that are kept."""


class DoctorBusyError(ConflictError):
    """Somebody else repairs this installation right now."""

    code = "doctor_busy"


class UnknownRunError(NotFoundError):
    """No run of the doctor has that id."""

    code = "unknown_run"


@value
class Who:
    """Who repairs, and how that is known."""

    operator: str
    attestation: str
    address: str = ""


class DoctorLock:
    """`recovery/doctor.lock`: the kernel lets go of it when its holder dies."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / RECOVERY / LOCK_FILE
        self._descriptor: int | None = None

    def acquire(self, who: Who, run_id: str, now_ms: int) -> None:
        """Raises DoctorBusyError naming the holder; StateError where nothing can be written there."""
        try:
            make_dirs(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"Nothing can be repaired: {self._path.parent} cannot be written ({reason_of(error)}).",
                fix="A repair writes down what it does first. Make the state directory writable.",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise DoctorBusyError(
                f"Another doctor is at work: {self._holder()}.", fix="Wait until it has ended, then look again."
            ) from None
        self._descriptor = descriptor
        holder = {"pid": os.getpid(), "operator": who.operator, "started_at_ms": now_ms, "run_id": run_id}
        # On a disk that is full the lock holds all the same; who has it cannot be told then.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)

    def release(self) -> None:
        """Lets another doctor in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _holder(self) -> str:
        try:
            told = json.loads(read_regular(self._path, LONGEST_LOCK))
            started = _utc(told["started_at_ms"])
            return f"pid {told['pid']}, operator {told['operator']}, since {started}, run {told['run_id']}"
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return "it has not said who it is"


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def runs_dir(state_dir: Path) -> Path:
    """Where runs of the doctor are kept."""
    return state_dir / RECOVERY / RUNS


def run_dir(state_dir: Path, run_id: str) -> Path:
    """Where that run is kept."""
    return runs_dir(state_dir) / run_id


def run_ids(state_dir: Path) -> list[str]:
    """The runs that left a directory, the newest first."""
    try:
        names = os.listdir(runs_dir(state_dir))
    except OSError:
        return []
    return sorted((name for name in names if RUN_ID.fullmatch(name)), reverse=True)


def load_run(state_dir: Path, run_id: str) -> Manifest:
    """Raises UnknownRunError for what is no run, ManifestError for one that cannot be understood."""
    if RUN_ID.fullmatch(run_id) is None:
        raise UnknownRunError(f"{run_id!r} is no recovery run.", fix="`palyra doctor --runs` lists them.")
    path = run_dir(state_dir, run_id) / MANIFEST
    try:
        data = read_regular(path, LONGEST_MANIFEST)
    except FileNotFoundError:
        raise UnknownRunError(f"There is no recovery run {run_id}.", fix="`palyra doctor --runs` lists them.") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {reason_of(error)}.") from None
    return read_manifest(data, run_id)


def load_runs(state_dir: Path) -> list[Manifest | PalyraError]:
    """Every run, the newest first; an error for one that cannot be understood. A directory whose manifest was never
    written is none: nothing was intended there."""
    found: list[Manifest | PalyraError] = []
    for run_id in run_ids(state_dir):
        try:
            found.append(load_run(state_dir, run_id))
        except UnknownRunError:
            continue
        except PalyraError as error:
            found.append(error)
    return found


def forget_made(directory: Path) -> None:
    """Removes what journal works made in a run's directory that took no place: each is as large as the journal."""
    shutil.rmtree(directory / MADE, ignore_errors=True)


class RunRecord:
    """The manifest of the run that is under way: it is written before each change and after it."""

    def __init__(self, disk: Disk, state_dir: Path, manifest: Manifest) -> None:
        self._disk = disk
        self.manifest = manifest
        self.directory = run_dir(state_dir, manifest.run_id)

    @property
    def path(self) -> Path:
        """The run's manifest."""
        return self.directory / MANIFEST

    def begin(self) -> None:
        """Raises StateError where no manifest can be written."""
        try:
            for directory in (self.directory.parent, self.directory, self.directory / BACKUPS):
                if not directory.exists():
                    self._disk.mkdir(directory, 0o700)
            self._write()
        except OSError as error:
            raise StateError(
                f"Nothing was repaired: no manifest can be written in {self.directory} ({reason_of(error)}).",
                fix="A repair writes down what it does first. Check the space left and the permissions.",
            ) from None

    def next_seq(self) -> int:
        """The number of the change that comes next, from 1."""
        return len(self.manifest.entries) + 1

    def backup(self, path: Path, seq: int) -> tuple[str, FileFacts]:
        """Copies a file into the run; its name there, and its facts."""
        name = f"{BACKUPS}/{seq}"
        return name, self._disk.copy(path, self.directory / name)

    def intend(self, entry: Entry) -> None:
        """Notes a change before it is made."""
        self._save(entries=(*self.manifest.entries, entry))

    def settle(self, seq: int, state: EntryState, after: FileFacts | None = None) -> None:
        """`after`: what the target was found to be then."""
        entries = list(self.manifest.entries)
        entry = entries[seq - 1]
        entries[seq - 1] = replace(entry, state=state, after=after or entry.after)
        self._save(entries=tuple(entries))

    def tell(self, steps: Sequence[StepOutcome]) -> None:
        """Notes what came of the steps."""
        self._save(steps=tuple(steps))

    def mark(self, state: RunState, now_ms: int | None) -> None:
        """Notes where the run stands; its end in UTC unix ms."""
        self._save(state=state, finished_at_ms=now_ms)

    def _save(self, **changes: object) -> None:
        self.manifest = replace(self.manifest, **changes)  # type: ignore[arg-type]
        self._write()

    def _write(self) -> None:
        self._disk.put(self.path, manifest_json(self.manifest), 0o600, -1)


def forget_old_runs(state_dir: Path) -> None:
    """Keeps the newest 20 that are finished; what is unfinished or not understood stays always."""
    finished = [
        run.run_id for run in load_runs(state_dir) if isinstance(run, Manifest) and run.state is not RunState.RUNNING
    ]
    for run_id in finished[KEPT:]:
        with suppress(OSError):
            shutil.rmtree(run_dir(state_dir, run_id))
