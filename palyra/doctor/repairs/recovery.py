"""A run that was cut short is taken back before anything else is looked at."""

from collections.abc import Sequence

from palyra.doctor.finding import Finding
from palyra.doctor.installation import Installation
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.answering import answers

UNDO = "recovery.undo"


def undo(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """The newest unfinished run: what it had begun to change is as it was before."""
    recovery = installation.recovery.found
    if recovery is None or not answers(findings, UNDO):
        return None
    return recovery.undo
