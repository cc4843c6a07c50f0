"""One alert, from when its condition was first seen until it was resolved."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from palyra.core.values import value
from palyra.governance.alerts import AlertKind, Severity, SubjectKind
from palyra.journal.rows import AlertRow


class AlertState(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


@value
class AlertRecord:
    """An alert as it stands; instants UTC unix ms.

    `version` grows with each change an operator has to know of (state and severity), `revision` with every one.
    `holds`: whether the condition held when it was last looked at. `answered` is the severity at which somebody
    acknowledged it or put it away. `notified_at` is when people were last told.
    """

    alert_id: str
    kind: AlertKind
    severity: Severity
    dedupe_key: str
    subject_kind: SubjectKind
    subject: str
    payload: Mapping[str, Any]
    first_seen: int
    last_seen: int
    revision: int = 1
    version: int = 1
    state: AlertState = AlertState.OPEN
    occurrence_count: int = 1
    holds: bool = True
    notified_at: int | None = None
    snoozed_until: int | None = None
    resolved_at: int | None = None
    answered: Severity | None = None
    acted_by: str = ""
    acted_at: int | None = None

    @property
    def live(self) -> bool:
        """Whether it may still want somebody's attention."""
        return self.state is not AlertState.RESOLVED

    @property
    def urgency(self) -> tuple[bool, int, int, str]:
        """Sorts open ones first, then the more severe, then the older."""
        return (self.state is not AlertState.OPEN, -self.severity.rank, self.first_seen, self.alert_id)

    def row(self) -> AlertRow:
        """The row that the journal keeps of it."""
        return AlertRow(
            alert_id=self.alert_id,
            revision=self.revision,
            version=self.version,
            kind=self.kind.value,
            severity=self.severity.value,
            state=self.state.value,
            dedupe_key=self.dedupe_key,
            subject_kind=self.subject_kind.value,
            subject=self.subject,
            occurrence_count=self.occurrence_count,
            first_seen=self.first_seen,
            last_seen=self.last_seen,
            holds=self.holds,
            payload=dict(self.payload),
            notified_at=self.notified_at,
            snoozed_until=self.snoozed_until,
            resolved_at=self.resolved_at,
            answered="" if self.answered is None else self.answered.value,
            acted_by=self.acted_by,
            acted_at=self.acted_at,
        )

    @classmethod
    def from_row(cls, row: AlertRow) -> "AlertRecord":
        """The record a row holds, as `row` made it."""
        return cls(
            alert_id=row.alert_id,
            kind=AlertKind(row.kind),
            severity=Severity(row.severity),
            dedupe_key=row.dedupe_key,
            subject_kind=SubjectKind(row.subject_kind),
            subject=row.subject,
            payload=row.payload,
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            revision=row.revision,
            version=row.version,
            state=AlertState(row.state),
            occurrence_count=row.occurrence_count,
            holds=row.holds,
            notified_at=row.notified_at,
            snoozed_until=row.snoozed_until,
            resolved_at=row.resolved_at,
            answered=Severity(row.answered) if row.answered else None,
            acted_by=row.acted_by,
            acted_at=row.acted_at,
        )
