"""What becomes of one incident: each function takes it as it stands and gives it as it stands afterwards. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.redact import redact
from palyra.healing.record import STORM, IncidentRecord, IncidentState

SUMMARY_MOST, DETAIL_MOST = 200, 2_000
FLAPPING_TURNS = 4
FLAPPING_WITHIN_MS = 30 * 60_000
"""So many openings and resolutions within that time, both ends included, are flapping."""
STABLE_AFTER_MS = 60 * 60_000
"""How long the condition of a flapping incident has to stay away."""
STORM_OF = 5
STORM_WITHIN_MS = 60_000
PALYRA = "palyra"
"""Who did what nobody did."""


def severity_of(condition: Condition, escalated: bool) -> Severity:
    """The severity of a condition, one higher once it was escalated."""
    return condition.severity.next_up if escalated else condition.severity


def opened(incident_id: str, condition: Condition, feature: str, at: int, boot_id: str) -> IncidentRecord:
    """A new incident."""
    return IncidentRecord(
        incident_id=incident_id,
        domain=condition.domain,
        key=condition.key,
        family=condition.kin,
        feature=feature,
        severity=condition.severity,
        summary=_told(condition.summary, SUMMARY_MOST),
        condition_since=_since(condition, at),
        opened_at=at,
        updated_at=at,
        boot_id=boot_id,
        detail=_told(condition.detail, DETAIL_MOST),
        cause=_told(condition.cause, DETAIL_MOST),
        subject=condition.subject,
        related=dict(condition.related),
    )


def reopened(record: IncidentRecord, condition: Condition, at: int, boot_id: str) -> IncidentRecord:
    """The condition of a resolved incident is back: a new episode, which nobody has acknowledged."""
    return replace(
        seen(record, condition, at, boot_id),
        severity=condition.severity,
        state=IncidentState.OPEN,
        episode=record.episode + 1,
        version=record.version + 1,
        occurrence_count=record.occurrence_count + 1,
        condition_since=_since(condition, at),
        opened_at=at,
        parent_id="",
        children=0,
        escalated=False,
        muted=False,
        resolved_at=None,
        resolved_by="",
        reason="",
        acknowledged_at=None,
        acknowledged_by="",
    )


def seen(record: IncidentRecord, condition: Condition, at: int, boot_id: str) -> IncidentRecord:
    """The condition of a live incident holds: as it is told now."""
    severity = severity_of(condition, record.escalated)
    return replace(
        record,
        severity=severity,
        version=record.version + (severity is not record.severity),
        summary=_told(condition.summary, SUMMARY_MOST),
        detail=_told(condition.detail, DETAIL_MOST),
        cause=_told(condition.cause, DETAIL_MOST),
        subject=condition.subject,
        related=dict(condition.related),
        boot_id=boot_id,
        updated_at=at,
        holds=True,
        gone_since=None,
    )


def resolved(record: IncidentRecord, at: int, by: str, reason: str) -> IncidentRecord:
    """The end of an episode. One whose condition still holds is muted until it has gone."""
    return replace(
        record,
        state=IncidentState.RESOLVED,
        version=record.version + 1,
        updated_at=at,
        resolved_at=at,
        resolved_by=by,
        reason=reason,
        muted=record.holds and not record.storm,
        flapping=False,
    )


def escalated(record: IncidentRecord, at: int) -> IncidentRecord:
    """One step up, once in an episode."""
    return replace(record, severity=record.severity.next_up, escalated=True, version=record.version + 1, updated_at=at)


def is_flapping(turns: Iterable[int], at: int) -> bool:
    """`turns`: the instants of its openings and resolutions."""
    return sum(0 <= at - turn <= FLAPPING_WITHIN_MS for turn in turns) >= FLAPPING_TURNS


def is_storm(openings: Iterable[int], at: int) -> bool:
    """`openings`: when incidents of one family opened, the newest included."""
    return sum(0 <= at - opening <= STORM_WITHIN_MS for opening in openings) >= STORM_OF


def storm_condition(domain: Domain, family: str, children: Iterable[IncidentRecord]) -> Condition:
    """What stands for many incidents of one family."""
    found = list(children)
    return Condition(
        domain=domain,
        key=f"{STORM}:{family}",
        severity=max((child.severity for child in found), key=lambda severity: severity.rank, default=Severity.LOW),
        summary=f"Many at once: {family.replace(':', ' ').replace('_', ' ')}",
        cause="Five incidents of one kind opened within 60 s.",
        since=min((child.condition_since for child in found), default=0),
        family=f"{STORM}:{family}",
    )


def _told(text: str, most: int) -> str:
    """Without secrets, which a text that is cut might hide too well to be found."""
    return redact(text)[:most]


def _since(condition: Condition, at: int) -> int:
    """A condition cannot have begun after it was found."""
    return min(condition.since, at) if condition.since else at
