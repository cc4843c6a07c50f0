"""One incident and what happens to it. The values are those the journal keeps."""

from enum import StrEnum

from palyra.core.values import value
from palyra.journal.incident_rows import (
    AUTO,
    CONDITION_CLEARED,
    INTERRUPTED,
    STORM,
    Attempt,
    AttemptStatus,
    Circuit,
    Episode,
    IncidentRecord,
    IncidentState,
    TimelineEntry,
    TimelineKind,
)

__all__ = [
    "AUTO",
    "CONDITION_CLEARED",
    "INTERRUPTED",
    "STORM",
    "Attempt",
    "AttemptStatus",
    "Circuit",
    "Episode",
    "IncidentEvent",
    "IncidentEventKind",
    "IncidentRecord",
    "IncidentState",
    "TimelineEntry",
    "TimelineKind",
]


class IncidentEventKind(StrEnum):
    """What people may want to be told of an incident."""

    OPENED = "opened"
    REOPENED = "reopened"
    ESCALATED = "escalated"
    FLAPPING = "flapping"
    STABLE = "stable"
    RESOLVED = "resolved"


@value
class IncidentEvent:
    """Something happened to an incident. While it flaps, nothing but `flapping` and, at the end, `stable` is said.

    Whether it is told to anybody (children, what is put away, how often) is for who tells it.
    """

    kind: IncidentEventKind
    record: IncidentRecord
    at: int
