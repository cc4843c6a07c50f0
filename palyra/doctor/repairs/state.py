"""Repairs of the state directory: it is made, closed to others, and cleared of what the dead left behind."""

from collections.abc import Sequence
from pathlib import PurePath

from palyra.doctor.change import ABSENT, PRIVATE_DIR, PRIVATE_FILE, Action, FileFacts, PlannedChange, Root
from palyra.doctor.finding import Finding
from palyra.doctor.installation import Input, Installation, Kind
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.answering import objects_of
from palyra.doctor.repairs.files import closed, removed

CREATE = "state.create"
PERMISSIONS = "state.permissions"
CLEANUP = "state.cleanup"


def create(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Makes the state directory."""
    if not objects_of(findings, CREATE) or installation.state.found is None:
        return None
    if installation.state.found.root.exists:
        return None
    after = FileFacts(True, mode=PRIVATE_DIR, owner=installation.uid, kind=Kind.DIRECTORY)
    change = PlannedChange(CREATE, Action.MKDIR, Root.STATE, ".", ABSENT, after)
    return RepairStep(
        CREATE,
        f"Make the state directory {installation.state_dir}",
        "An empty directory that only this account can enter.",
        (change,),
    )


def permissions(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """The innermost first: what lies in a directory this account cannot enter is out of reach until that is put right,
    and is found the next time."""
    tree = installation.state.found
    if tree is None:
        return None
    changes: list[PlannedChange] = []
    for name in objects_of(findings, PERMISSIONS):
        found = tree.root if name in ("", ".") else tree.at(name)
        if found.facts is None or installation.uid not in (found.facts.uid, 0):
            continue
        mode = PRIVATE_DIR if found.facts.kind is Kind.DIRECTORY else PRIVATE_FILE
        change = closed(PERMISSIONS, Root.STATE, name or ".", found, mode)
        if change is not None:
            changes.append(change)
    if not changes:
        return None
    return RepairStep(
        PERMISSIONS,
        "Close files of the state to other accounts",
        "Files become 0600, directories 0700; what they hold stays. Whoever read them through loose permissions has"
        " read them: rotate keys that were exposed.",
        tuple(sorted(changes, key=_innermost_first)),
        security=True,
    )


def cleanup(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Removes what processes left that are gone."""
    tree, files = installation.state.found, installation.config_files.found
    beside = {} if files is None else {str(one.path): one for one in files.temporaries}
    left = []
    for name in objects_of(findings, CLEANUP):
        root, target = (Root.CONFIG, PurePath(name).name) if name in beside else (Root.STATE, name)
        found = beside.get(name) or (None if tree is None else tree.at(name))
        if found is not None and _removable(found):
            left.append(removed(CLEANUP, root, target, found, holds_secret=True))
    if not left:
        return None
    return RepairStep(
        CLEANUP,
        "Remove what processes that are dead left behind",
        "Temporary files, sockets and markers of processes that no longer run. They are kept in the run's backups.",
        tuple(left),
    )


def _removable(found: Input) -> bool:
    return found.facts is not None and found.facts.kind in (Kind.FILE, Kind.SOCKET)


def _innermost_first(change: PlannedChange) -> tuple[int, str]:
    return -change.target.count("/") if change.target != "." else 1, change.target
