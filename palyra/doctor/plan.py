"""What the doctor would do, in an order and with a digest that stands for every byte of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from palyra.core.values import value
from palyra.doctor.change import FileFacts, PlannedChange

FORMAT = 1


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
    """`digest`: SHA-256 (hex) of the canonical plan with the hashes of all it was computed from."""

    digest: str
    steps: tuple[RepairStep, ...]

    def step(self, repair_id: str) -> RepairStep | None:
        return next((step for step in self.steps if step.repair_id == repair_id), None)


def make_plan(steps: Sequence[RepairStep], config_path: Path | None, state_dir: Path) -> Plan:
    """A plan of these steps, in this order, for this installation."""
    tree = {
        "format": FORMAT,
        "config_path": str(config_path or ""),
        "state_dir": str(state_dir),
        "steps": [_step(step) for step in steps],
    }
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
    return Plan(hashlib.sha256(canonical).hexdigest(), tuple(steps))


def _step(step: RepairStep) -> dict[str, object]:
    return {
        "repair_id": step.repair_id,
        "force": step.force,
        "needs_stop": step.needs_stop,
        "undoes": step.undoes,
        "changes": [_change(change) for change in step.changes],
        "inputs": [{"name": one.name, **asdict(one.facts)} for one in step.inputs],
    }


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
