"""One thing people are told, as every way of telling takes it."""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from palyra.config.operations import NoticeEvent
from palyra.core.conditions import Domain, Severity
from palyra.core.redact import redact, redact_data
from palyra.core.values import value
from palyra.governance.alert_record import AlertRecord
from palyra.governance.alert_words import alert_summary
from palyra.governance.alerts import Severity as AlertSeverity
from palyra.governance.approval_record import ApprovalRecord
from palyra.healing.record import IncidentRecord

INCIDENT, ALERT, APPROVAL, TEST = "incident", "alert", "approval", "test"
"""What a notice is about: the word before the colon of its subject."""
WEBHOOK_KEY = "webhook:"
"""Begins the keys of incidents about a webhook; its name follows."""

LONGEST_SUMMARY, LONGEST_TEXT = 200, 1024

ALERT_SEVERITIES: Mapping[AlertSeverity, Severity] = MappingProxyType(
    {AlertSeverity.WARNING: Severity.MEDIUM, AlertSeverity.DANGER: Severity.HIGH}
)


@value
class Notice:
    """What people are told; `at` is UTC unix ms.

    `event` is a NoticeEvent, or `test`. `subject` names what it is about (`incident:<id>`), `facts` holds what is known
    of it under that word, and under `related` the ids of what belongs to it. `webhook` names the webhook that it is
    about, `of_webhooks` says that it is about some. `reach` is how strong it was when it was told before: an end goes
    to whoever heard of the beginning. `takes_back` names the event whose alarm it ends: it goes only where alarms stand
    until they are taken back.
    """

    event: str
    at: int
    severity: Severity
    subject: str
    summary: str
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    webhook: str = ""
    of_webhooks: bool = False
    reach: Severity = Severity.LOW
    takes_back: str = ""

    @property
    def about(self) -> str:
        """The kind of its subject, as `approval` in `approval:01K3…`."""
        return self.subject.partition(":")[0]

    @property
    def object_id(self) -> str:
        """The id within its subject."""
        return self.subject.partition(":")[2]

    @property
    def urgent(self) -> bool:
        """Whether it is worth a terminal's bell: high and above, and whoever waits for a person's word."""
        return self.event == NoticeEvent.APPROVAL_REQUESTED or self.severity.rank >= Severity.HIGH.rank


def of_incident(event: NoticeEvent, record: IncidentRecord, at: int, reach: Severity = Severity.LOW) -> Notice:
    """An incident as it stands; `reach` as for a notice."""
    facts = {
        "incident_id": record.incident_id,
        "domain": record.domain.value,
        "key": record.key,
        "state": record.state.value,
        "severity": record.severity.value,
        "summary": _cut(record.summary, LONGEST_SUMMARY),
        "detail": _cut(record.detail, LONGEST_TEXT),
        "cause": _cut(record.cause, LONGEST_TEXT),
        "subject": record.subject,
        "children": record.children,
        "episode": record.episode,
        "occurrence_count": record.occurrence_count,
        "flapping": record.flapping,
        "assignee": record.assignee,
        "condition_since": record.condition_since,
        "opened_at": record.opened_at,
        "acknowledged_at": record.acknowledged_at,
        "resolved_at": record.resolved_at,
        "resolved_by": record.resolved_by,
    }
    return Notice(
        event=event,
        at=at,
        severity=record.severity,
        subject=f"{INCIDENT}:{record.incident_id}",
        summary=_cut(_with_children(record), LONGEST_SUMMARY),
        facts=_plain(INCIDENT, facts, record.related),
        webhook=record.key.removeprefix(WEBHOOK_KEY) if record.key.startswith(WEBHOOK_KEY) else "",
        of_webhooks=record.domain is Domain.NOTIFICATION,
        reach=reach,
    )


def of_alert(record: AlertRecord, at: int) -> Notice:
    """Something out of the ordinary."""
    severity = ALERT_SEVERITIES[record.severity]
    facts = {
        "alert_id": record.alert_id,
        "kind": record.kind.value,
        "severity": severity.value,
        "dedupe_key": record.dedupe_key,
        "occurrence_count": record.occurrence_count,
        "first_seen": record.first_seen,
        "last_seen": record.last_seen,
    }
    related = {record.subject_kind.value: record.subject} if record.subject else {}
    words = _cut(alert_summary(record.kind, record.payload, at), LONGEST_SUMMARY)
    return Notice(NoticeEvent.ALERT, at, severity, f"{ALERT}:{record.alert_id}", words, _plain(ALERT, facts, related))


def of_approval(record: ApprovalRecord, at: int, event: NoticeEvent = NoticeEvent.APPROVAL_REQUESTED) -> Notice:
    """Somebody waits for a person's word. With the event `reminder` it was told before."""
    asked = _asked(record, again=event is NoticeEvent.REMINDER)
    runs = [run_id for run_id in record.run_ids if run_id]
    facts = {
        "approval_id": record.approval_id,
        "principal": record.principal,
        "session": record.session,
        "policy_ids": list(record.policy_ids),
        "subject": record.subject,
        "risk": record.risk,
        "requested_at": record.requested_at,
        "expires_at": record.expires_at,
    }
    return Notice(
        event,
        at,
        Severity.HIGH if record.risk == Severity.HIGH else Severity.MEDIUM,
        f"{APPROVAL}:{record.approval_id}",
        _cut(asked, LONGEST_SUMMARY),
        _plain(APPROVAL, facts, {"run": runs[0]} if runs else {}),
    )


def of_approval_end(approval_id: str, at: int) -> Notice:
    """Nobody waits for that word any more."""
    return Notice(
        NoticeEvent.RESOLVED,
        at,
        Severity.LOW,
        f"{APPROVAL}:{approval_id}",
        f"Approval {approval_id} is no longer pending",
        {"related": {}},
        takes_back=NoticeEvent.APPROVAL_REQUESTED,
    )


def of_test(webhook: str, at: int) -> Notice:
    """Nothing happened: somebody wants to see whether a webhook works."""
    words = f"A test of the webhook {webhook}: nothing happened."
    return Notice(TEST, at, Severity.LOW, f"{TEST}:{webhook}", words, {"related": {}})


def _asked(record: ApprovalRecord, *, again: bool) -> str:
    """Who asks for what, in a line."""
    still = " still" if again else ""
    if record.policy_ids:
        who = record.principal + (f" in {record.session}" if record.session else "")
        return f"{who}{still} asks to go beyond {', '.join(record.policy_ids)}"
    words = record.applicants[0].reason if record.applicants else ""
    return f"{record.principal}{still} asks to run {record.subject.rpartition(':')[2]}" + (
        f": {words}" if words else ""
    )


def _with_children(record: IncidentRecord) -> str:
    return f"{record.summary} (+{record.children})" if record.children else record.summary


def _plain(about: str, facts: Mapping[str, Any], related: Mapping[str, str]) -> dict[str, Any]:
    """The facts without secrets, as they leave the house."""
    return {about: redact_data(facts), "related": redact_data(dict(related))}


def _cut(text: str, most: int) -> str:
    text = redact(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
