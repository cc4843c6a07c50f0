"""Incidents as the tests of notices need them."""

from dataclasses import replace
from typing import Any

from palyra.core.conditions import Domain, Severity
from palyra.healing.record import IncidentRecord, IncidentState

T0 = 1_795_348_800_000
MINUTE, HOUR = 60_000, 3_600_000


def incident(incident_id: str = "i1", severity: Severity = Severity.HIGH, **fields: Any) -> IncidentRecord:
    """One that opened at T0."""
    record = IncidentRecord(
        incident_id=incident_id,
        domain=Domain.WATCHDOG,
        key=f"heartbeat:run:{incident_id}",
        family="heartbeat:run",
        feature="runs",
        severity=severity,
        summary=f"run {incident_id} is silent",
        condition_since=T0 - 1,
        opened_at=T0,
        updated_at=T0,
        boot_id="boot",
    )
    return replace(record, **fields)


def ended(record: IncidentRecord, at: int) -> IncidentRecord:
    return replace(record, state=IncidentState.RESOLVED, resolved_at=at, resolved_by="palyra", updated_at=at)


def back(record: IncidentRecord, at: int) -> IncidentRecord:
    return replace(
        record,
        state=IncidentState.OPEN,
        episode=record.episode + 1,
        opened_at=at,
        updated_at=at,
        resolved_at=None,
        acknowledged_at=None,
    )
