"""Which findings a repair answers."""

from collections.abc import Sequence

from palyra.doctor.finding import Finding


def objects_of(findings: Sequence[Finding], repair_id: str) -> tuple[str, ...]:
    """The objects of the findings that name this repair, each once, in their order."""
    return tuple(dict.fromkeys(finding.object for finding in findings if repair_id in finding.repairs))


def answers(findings: Sequence[Finding], repair_id: str) -> bool:
    """Whether any finding names the repair."""
    return any(repair_id in finding.repairs for finding in findings)
