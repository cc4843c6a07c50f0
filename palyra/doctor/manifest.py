"""The record of one recovery run: what it intended, entry by entry, and how far it came."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from palyra.core.errors import PalyraError
from palyra.core.ids import ALPHABET
from palyra.core.values import value
from palyra.doctor.change import Action, FileFacts, Root
from palyra.doctor.installation import LAST_MS, Kind

FORMAT = 1
RUN_ID = re.compile(f"[0-7][{ALPHABET}]{{25}}")


class RunKind(StrEnum):
    """What a run of the doctor was: a repair, or taking one back."""

    REPAIR = "repair"
    ROLLBACK = "rollback"


class RunState(StrEnum):
    """`running` without a process that holds the lock is unfinished."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    """Some steps were carried out, others were not."""
    FAILED = "failed"
    """No step was carried out."""
    ROLLED_BACK = "rolled_back"


class EntryState(StrEnum):
    """How far one change is."""

    INTENDED = "intended"
    DONE = "done"
    UNDONE = "undone"
    CONFLICT = "conflict"
    """Not undone: the target is neither as it was before nor as the run left it."""


class Outcome(StrEnum):
    """What became of a step."""

    APPLIED = "applied"
    PLANNED = "planned"
    BLOCKED = "blocked"
    """It needs force."""
    NEEDS_STOP = "needs_stop"
    """It needs the engine to be stopped."""
    FAILED = "failed"
    NOT_RUN = "not_run"
    CONFLICT = "conflict"
    """A file was changed since."""
    UNDONE = "undone"


class ManifestError(PalyraError):
    """What lies where a manifest should be is none this program understands."""

    code = "manifest"


@value
class StepOutcome:
    """`gap`: the time (UTC unix ms, the end exclusive) of which not all that was used is known any more."""

    repair_id: str
    outcome: Outcome
    error: str = ""
    notes: tuple[str, ...] = ()
    gap: tuple[int, int] | None = None


@value
class Entry:
    """One change of a run, numbered from 1. `backup` is the file with the bytes before, relative to the run's
    directory; `temporary` the name beside the target its next content is written under; `source` the target whose
    content a move keeps; `levels` how many directories one had to be made with, itself among them."""

    seq: int
    repair_id: str
    action: Action
    root: Root
    target: str
    before: FileFacts
    after: FileFacts
    state: EntryState
    backup: str | None = None
    holds_secret: bool = False
    temporary: str = ""
    source: str = ""
    levels: int = 1


@value
class Manifest:
    """Times are UTC unix ms. `rolls_back` is the run a rollback takes back; `finished_at_ms` None: not finished."""

    run_id: str
    kind: RunKind
    state: RunState
    created_at_ms: int
    version: str
    operator: str
    attestation: str
    state_dir: str
    config_path: str
    plan_digest: str
    force: bool
    steps: tuple[StepOutcome, ...] = ()
    entries: tuple[Entry, ...] = ()
    rolls_back: str | None = None
    finished_at_ms: int | None = None
    format: int = field(default=FORMAT)


def manifest_json(manifest: Manifest) -> bytes:
    """A manifest as its file has it."""
    return json.dumps(_plain(asdict(manifest)), indent=1).encode() + b"\n"


def read_manifest(data: bytes, run_id: str) -> Manifest:
    """The manifest of a run's directory. Raises ManifestError."""
    try:
        manifest: Manifest = _adapter().validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise ManifestError(f"The manifest of {run_id} cannot be used: {place}: {first['msg']}.") from None
    if manifest.format != FORMAT:
        raise ManifestError(f"The manifest of {run_id} has format {manifest.format}; this Palyra knows {FORMAT}.")
    if manifest.run_id != run_id:
        raise ManifestError(f"The manifest of {run_id} is of another run.")
    if not all(0 <= at < LAST_MS for at in (manifest.created_at_ms, manifest.finished_at_ms or 0)):
        raise ManifestError(f"The manifest of {run_id} cannot be used: it is of no time there is.")
    if [entry.seq for entry in manifest.entries] != list(range(1, len(manifest.entries) + 1)):
        raise ManifestError(f"The entries of {run_id} are not numbered one after another.")
    return manifest


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def _plain(tree: Any) -> Any:
    """Facts as the manifest tells them: without the mark, and with null for what a thing does not have."""
    if isinstance(tree, Mapping):
        plain = {name: _plain(below) for name, below in tree.items() if name != "mark"}
        if "sha256" in plain and (not plain["exists"] or plain["kind"] != Kind.FILE):
            plain["sha256"] = ""
        return plain
    return [_plain(one) for one in tree] if isinstance(tree, list | tuple) else tree
