"""Repairs of the access registry. None gives anybody more rights, but for the state's owner, and that only by force."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from palyra.doctor.change import PlannedChange, Root
from palyra.doctor.finding import Finding
from palyra.doctor.installation import Installation, StateTree
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.answering import answers
from palyra.doctor.repairs.files import backups_in, rotated, written
from palyra.doctor.repairs.restoring import newest_good, replaced
from palyra.vault.access import REGISTRY_FILE
from palyra.vault.identity import account_of
from palyra.vault.records import Operator, Role, write_operator
from palyra.vault.registry_shape import (
    FLAGS,
    RegistryFaultError,
    backfilled,
    fault_in,
    new_document,
    parse_document,
    render_document,
)

BACKFILL = "access.backfill"
RESTORE = "access.restore_backup"
REINITIALIZE = "access.reinitialize"
OWNER_ADMIN = "access.owner_admin"

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def backfill(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Says of every feature whether it is on."""
    tree = _tree(installation, findings, BACKFILL)
    document = None if tree is None else _document(tree)
    if tree is None or document is None:
        return None
    made, filled = backfilled(document, installation.now_ms)
    if not filled:
        return None
    return RepairStep(
        BACKFILL,
        "Fill in what the access registry lacks",
        "Missing flags become false, lists empty, fields their narrowest value; nobody gains a right.",
        _rewritten(BACKFILL, installation, tree, made, backfilled(document, 0)[0]),
        security=True,
        notes=tuple(f"{one.place}: {one.given!r}" for one in filled),
    )


def owner_admin(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Complete in itself: what is missing is filled in as well, so that it builds on `backfill` and stands alone."""
    tree = _tree(installation, findings, OWNER_ADMIN)
    document = None if tree is None else _document(tree)
    if tree is None or tree.root.facts is None or document is None:
        return None
    account = account_of(tree.root.facts.uid)
    made, timeless = (_with_owner(document, account, now) for now in (installation.now_ms, 0))
    return RepairStep(
        OWNER_ADMIN,
        f"Register the state's owner, {account}, as an admin",
        "Whoever uses that account may then do everything, as the owner of its files can in the end anyway.",
        _rewritten(OWNER_ADMIN, installation, tree, made, timeless),
        force=True,
        security=True,
    )


def restore_backup(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Puts the newest backup of the registry back that can be read."""
    tree = _tree(installation, findings, RESTORE)
    if tree is None:
        return None
    chosen = newest_good(backups_in(tree, REGISTRY_FILE), fault_in)
    if chosen.backup is None or chosen.backup.data is None:
        return None
    return RepairStep(
        RESTORE,
        f"Restore the access registry from {chosen.backup.path.name}",
        "Operators, keys and flags are as they were then: what was revoked since is in force again. The broken file is"
        " kept beside it.",
        _replaced(RESTORE, tree, chosen.backup.data, installation.uid),
        security=True,
        notes=chosen.rejected,
        inputs=chosen.inputs,
    )


def reinitialize(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Begins the registry anew; the old one is kept aside."""
    tree = _tree(installation, findings, REINITIALIZE)
    if tree is None:
        return None
    chosen = newest_good(backups_in(tree, REGISTRY_FILE), fault_in)
    if chosen.backup is not None:
        return None
    empty = render_document({**new_document(), "feature_flags": dict.fromkeys(FLAGS, False)})
    return RepairStep(
        REINITIALIZE,
        "Begin the access registry anew",
        "No backup is good. There are no operators and no keys then, and every feature is off: clients are refused"
        " until keys are made. The broken file is kept beside it.",
        _replaced(REINITIALIZE, tree, empty, installation.uid),
        force=True,
        security=True,
        notes=chosen.rejected,
        inputs=chosen.inputs,
    )


def _tree(installation: Installation, findings: Sequence[Finding], repair_id: str) -> StateTree | None:
    tree = installation.state.found
    if tree is None or not answers(findings, repair_id):
        return None
    found = tree.at(REGISTRY_FILE)
    return tree if found.is_file or not found.exists else None


def _document(tree: StateTree) -> dict[str, Any] | None:
    data = tree.at(REGISTRY_FILE).data
    try:
        return None if data is None else parse_document(data)
    except RegistryFaultError:
        return None


def _rewritten(
    repair_id: str, installation: Installation, tree: StateTree, made: Mapping[str, Any], timeless: Mapping[str, Any]
) -> tuple[PlannedChange, ...]:
    found = tree.at(REGISTRY_FILE)
    content, same = render_document(made), render_document(timeless)
    return (
        *rotated(repair_id, Root.STATE, found, backups_in(tree, REGISTRY_FILE), holds_secret=True),
        written(repair_id, Root.STATE, found, content, installation.uid, timeless=same, holds_secret=True),
    )


def _replaced(repair_id: str, tree: StateTree, content: bytes, owner: int) -> tuple[PlannedChange, ...]:
    """Where the file is gone altogether there is nothing to keep."""
    found = tree.at(REGISTRY_FILE)
    if not found.exists:
        return (written(repair_id, Root.STATE, found, content, owner, holds_secret=True),)
    return replaced(repair_id, Root.STATE, found, content, owner, holds_secret=True)


def _with_owner(document: Mapping[str, Any], account: str, now_ms: int) -> dict[str, Any]:
    made = copy.deepcopy(backfilled(document, now_ms)[0])
    taken = {one.get("id") for one in made["operators"] if isinstance(one, dict)}
    names = (account, "owner", *(f"owner.{number}" for number in range(2, len(taken) + 3)))
    name = next(one for one in names if _ID.fullmatch(one) and one not in taken)
    owner = Operator(name, account, Role.ADMIN, (f"unix:{account}",), enabled=True, created_at=now_ms)
    made["operators"].append(write_operator(owner))
    return made
