"""Repairs of the auth profiles. Nothing is dropped: what cannot be used is put aside, where a person finds it."""

from collections.abc import Sequence

from palyra.core.errors import PalyraError
from palyra.doctor.change import Root
from palyra.doctor.finding import Finding
from palyra.doctor.installation import Input, Installation, StateTree
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.answering import answers
from palyra.doctor.repairs.files import backups_in, rotated, written
from palyra.doctor.repairs.restoring import newest_good, replaced
from palyra.providers.auth_profiles import PROFILES_FILE, ProfilesFaultError, read_profiles
from palyra.providers.profile_rewriting import QUARANTINE_FILE, UNKNOWN_FILE, Normalised, appended, normalise

NORMALIZE = "auth.normalize"
RESTORE = "auth.restore_backup"
REINITIALIZE = "auth.reinitialize"

EMPTY = b"version = 1\n"


def normalize(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Takes out records that are none."""
    tree = _tree(installation, findings, NORMALIZE)
    data = None if tree is None else tree.at(PROFILES_FILE).data
    if tree is None or data is None:
        return None
    try:
        text = data.decode()
        made = normalise(text, installation.now_ms)
        timeless = normalise(text, 0)
    except (UnicodeDecodeError, ProfilesFaultError, PalyraError):
        return None
    if made.text == text:
        return None
    found, owner = tree.at(PROFILES_FILE), installation.uid
    sidecars = [
        written(NORMALIZE, Root.STATE, aside, _with(aside, block), owner, timeless=_with(aside, same))
        for name, block, same in _asides(made, timeless)
        if block and ((aside := tree.at(name)).data is not None or not aside.exists)
    ]
    return RepairStep(
        NORMALIZE,
        "Put the auth profiles in order",
        "A missing version is stamped; unknown keys and records that cannot be used move into files beside it. Good"
        " records, comments and order stay.",
        (
            *sidecars,
            *rotated(NORMALIZE, Root.STATE, found, backups_in(tree, PROFILES_FILE)),
            written(NORMALIZE, Root.STATE, found, made.text.encode(), owner),
        ),
        notes=tuple(str(problem) for problem in made.problems),
    )


def restore_backup(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Puts the newest backup of the credentials back that can be read."""
    tree = _tree(installation, findings, RESTORE)
    if tree is None:
        return None
    chosen = newest_good(backups_in(tree, PROFILES_FILE), _fault)
    if chosen.backup is None or chosen.backup.data is None:
        return None
    return RepairStep(
        RESTORE,
        f"Restore the auth profiles from {chosen.backup.path.name}",
        "Profiles that were added since are gone from the file; the broken one is kept beside it.",
        replaced(RESTORE, Root.STATE, tree.at(PROFILES_FILE), chosen.backup.data, installation.uid),
        notes=chosen.rejected,
        inputs=chosen.inputs,
    )


def reinitialize(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Begins the credentials anew; the old file is kept aside."""
    tree = _tree(installation, findings, REINITIALIZE)
    if tree is None:
        return None
    chosen = newest_good(backups_in(tree, PROFILES_FILE), _fault)
    if chosen.backup is not None:
        return None
    return RepairStep(
        REINITIALIZE,
        "Begin the auth profiles anew",
        "No backup is good. There are no profiles then: providers that name some have no credential until they are"
        " added again. The broken file is kept beside it.",
        replaced(REINITIALIZE, Root.STATE, tree.at(PROFILES_FILE), EMPTY, installation.uid),
        force=True,
        notes=chosen.rejected,
        inputs=chosen.inputs,
    )


def _tree(installation: Installation, findings: Sequence[Finding], repair_id: str) -> StateTree | None:
    tree = installation.state.found
    return tree if tree is not None and answers(findings, repair_id) and tree.at(PROFILES_FILE).is_file else None


def _asides(made: Normalised, timeless: Normalised) -> tuple[tuple[str, str, str], ...]:
    return (
        (UNKNOWN_FILE, made.unknown, timeless.unknown),
        (QUARANTINE_FILE, made.quarantine, timeless.quarantine),
    )


def _with(aside: Input, block: str) -> bytes:
    """A sidecar with a block more; whatever it says already stays, byte by byte."""
    existing = (aside.data or b"").decode("utf-8", "surrogateescape")
    return appended(existing, block).encode("utf-8", "surrogateescape")


def _fault(data: bytes) -> str:
    return read_profiles(data, ()).unusable
