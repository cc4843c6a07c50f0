"""What the doctor would do, in an order and with a digest that stands for every byte of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from palyra.core.values import value
from palyra.doctor.change import FileFacts, PlannedChange, Root

FORMAT = 1
JOURNAL = "journal.db"
"""What the names of the journal's files begin with."""


@value
class Source:
    """A file that a step was computed from, and what it was like then."""

    name: str
    facts: FileFacts


@value
class RepairStep:
    """A repair, carried out as a whole or not at all.

    `force`: only when asked for by force; `needs_stop`: only without a live engine; `security`: it changes who may do
    what. `notes` are told with it: backups that were rejected, files that were changed since. `inputs` are files it was
    computed from beside those it changes. `undoes` is the run it takes back.
    """

    repair_id: str
    title: str
    impact: str
    changes: tuple[PlannedChange, ...]
    force: bool = False
    needs_stop: bool = False
    security: bool = False
    notes: tuple[str, ...] = ()
    inputs: tuple[Source, ...] = ()
    undoes: str = ""


@value
class Plan:
    """`digest`: SHA-256 (hex) of the canonical plan with the hashes of all it was computed from. `beside_engine` is the
    same without what an engine changes all the time, the state of its journal: by that a plan is known again which was
    looked at while one ran."""

    digest: str
    steps: tuple[RepairStep, ...]
    beside_engine: str

    def step(self, repair_id: str) -> RepairStep | None:
        """The step of that repair."""
        return next((step for step in self.steps if step.repair_id == repair_id), None)


def make_plan(
    steps: Sequence[RepairStep], config_path: Path | None, state_dir: Path, *, beside_engine: bool = False
) -> Plan:
    """A plan of these steps, in this order, for this installation. `beside_engine`: one runs on it."""
    strict, beside = (_digest(steps, config_path, state_dir, journal=journal) for journal in (True, False))
    return Plan(beside if beside_engine else strict, tuple(steps), beside)


def _digest(steps: Sequence[RepairStep], config_path: Path | None, state_dir: Path, *, journal: bool) -> str:
    tree = {
        "format": FORMAT,
        "config_path": str(config_path or ""),
        "state_dir": str(state_dir),
        "steps": [_step(step, journal=journal) for step in steps],
    }
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()


def _step(step: RepairStep, *, journal: bool) -> dict[str, object]:
    return {
        "repair_id": step.repair_id,
        "force": step.force,
        "needs_stop": step.needs_stop,
        "undoes": step.undoes,
        "changes": [_change(change) for change in step.changes if journal or not _of_journal(step, change)],
        "inputs": [{"name": one.name, **asdict(one.facts)} for one in step.inputs],
    }


def _of_journal(step: RepairStep, change: PlannedChange) -> bool:
    return step.needs_stop and change.root is Root.STATE and change.target.startswith(JOURNAL)


def _change(change: PlannedChange) -> dict[str, object]:
    return {
        "action": change.action.value,
        "root": change.root.value,
        "target": change.target,
        "source": change.source,
        "work": change.work,
        "before": asdict(change.before),
        "after": {**asdict(change.after), "sha256": change.timeless or change.after.sha256},
    }
