"""A check: a question to an installation that was read, answered by findings."""

from collections.abc import Callable, Iterable

from palyra.core.values import value
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Installation

FAST_S = 5.0
JOURNAL_S = 30.0

Find = Callable[[Installation], Iterable[Finding]]
"""Raises NothingToReadError where it cannot be asked and NotReadError where it cannot be answered."""


def in_full(found: Installation) -> str:
    """Everything was looked at."""
    return ""


@value
class Check:
    """`severity` is the worst a finding of it can have; one that cannot answer counts as failed at it.

    `partly` says what alone was looked at, where that was not everything; it raises as `find` does.
    """

    id: str
    severity: Severity
    find: Find
    limit_s: float = FAST_S
    partly: Callable[[Installation], str] = in_full
