"""Repairs of the journal. What takes its place is made beside it first, by the journal itself, while no engine runs."""

from collections.abc import Sequence

from palyra.doctor.change import ABSENT, PRIVATE_FILE, Action, FileFacts, PlannedChange, Root, facts_read
from palyra.doctor.finding import Finding
from palyra.doctor.installation import Installation, StateTree
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.answering import answers
from palyra.doctor.repairs.files import RUN, removed

MIGRATE = "journal.migrate"
ROLLUPS = "journal.rollups"
SALVAGE = "journal.salvage"
SETTLE = "journal.settle"
"""The work that moves what a WAL holds into the file, so that the file can be replaced alone."""

NOTHING_LOST = "no row is lost"
"""The note of a salvage that read everything."""

_FILE = "journal.db"
_WAL = "journal.db-wal"


def migrate(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Brings the journal to this version's schema."""
    tree = _journal(installation, findings, MIGRATE)
    if tree is None:
        return None
    return RepairStep(
        MIGRATE,
        "Bring the journal to the newest schema",
        "Nothing is lost. An older Palyra cannot read it any more; the run's backup is as it was.",
        _swapped(MIGRATE, tree),
        needs_stop=True,
    )


def rollups(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Counts the sums of usage again."""
    tree = _journal(installation, findings, ROLLUPS)
    if tree is None or answers(findings, MIGRATE):
        return None
    return RepairStep(
        ROLLUPS,
        "Count the journal's sums anew",
        "Every sum is computed from the rows again; the rows stay as they are.",
        _swapped(ROLLUPS, tree),
        needs_stop=True,
    )


def salvage(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Saves what can be read into a new journal."""
    tree = _journal(installation, findings, SALVAGE)
    if tree is None:
        return None
    found, wal = tree.at(_FILE), tree.at(_WAL)
    changes = [
        PlannedChange(
            SALVAGE, Action.MOVE, Root.STATE, f"{_FILE}.quarantine-{RUN}", ABSENT, facts_read(found), source=_FILE
        )
    ]
    if wal.is_file:
        kept = f"{_FILE}.quarantine-{RUN}-wal"
        changes += [
            PlannedChange(SALVAGE, Action.MOVE, Root.STATE, kept, ABSENT, facts_read(wal), source=_WAL),
            removed(SALVAGE, Root.STATE, _WAL, wal),
        ]
    changes.append(_made(SALVAGE, SALVAGE, tree))
    return RepairStep(
        SALVAGE,
        "Make a new journal of every row that can be read",
        "Rows on damaged pages are lost: how many is told by table. Budget windows they belong to are marked"
        " incomplete, and an incident is opened. The damaged journal is kept beside it.",
        tuple(changes),
        force=True,
        needs_stop=True,
        security=True,
    )


def _journal(installation: Installation, findings: Sequence[Finding], repair_id: str) -> StateTree | None:
    tree = installation.state.found
    if tree is None or not answers(findings, repair_id) or not tree.at(_FILE).is_file:
        return None
    return tree


def _swapped(repair_id: str, tree: StateTree) -> tuple[PlannedChange, ...]:
    """Whatever happens in between, the journal says the same until the new one takes its place: a WAL that is read
    again changes nothing, and is removed only once all it holds is in the file."""
    wal = tree.at(_WAL)
    made = _made(repair_id, repair_id, tree)
    if wal.facts is None or not wal.facts.size:
        return (made,)
    return _made(repair_id, SETTLE, tree), removed(repair_id, Root.STATE, _WAL, wal), made


def _made(repair_id: str, work: str, tree: StateTree) -> PlannedChange:
    found = tree.at(_FILE)
    owner = -1 if found.facts is None else found.facts.uid
    after = FileFacts(True, "", 0, PRIVATE_FILE, owner)
    return PlannedChange(repair_id, Action.MODIFY, Root.STATE, _FILE, facts_read(found), after, work=work)
