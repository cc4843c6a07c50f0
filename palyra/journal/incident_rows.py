"""Incidents, their timelines, remedies that were tried, open circuits and episodes, as they are kept."""

from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.core.conditions import Domain, Severity
from palyra.core.values import value
from palyra.journal.entity import Entity

STORM = "storm"
"""Begins the keys of incidents that stand for many of one family."""


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    REMEDIATING = "remediating"
    RESOLVED = "resolved"


class TimelineKind(StrEnum):
    """What a line of an incident's history tells."""

    OPENED = "opened"
    SEVERITY = "severity"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    SNOOZED = "snoozed"
    WOKEN = "woken"
    NOTE = "note"
    GROUPED = "grouped"
    FLAPPING = "flapping"
    REMEDY_PLANNED = "remedy_planned"
    REMEDY_STARTED = "remedy_started"
    REMEDY_SUCCEEDED = "remedy_succeeded"
    REMEDY_FAILED = "remedy_failed"
    REMEDY_SKIPPED = "remedy_skipped"
    ESCALATED = "escalated"
    NOTIFIED = "notified"
    NOTIFICATION_DEAD = "notification_dead"
    RESOLVED = "resolved"
    REOPENED = "reopened"


@value
class TimelineEntry:
    """A line of an incident's history; `by` is an operator, or `palyra`. `at` is UTC unix ms."""

    entry_id: str
    incident_id: str
    at: int
    kind: TimelineKind
    by: str
    data: dict[str, Any] = field(default_factory=dict)


@value
class IncidentRecord:
    """An incident as it stands; instants are UTC unix ms.

    There is one for each `domain` and `key`; when its condition comes back after the end it opens again with the next
    `episode`. `version` grows with each change an operator has to know of, `revision` with every one. `holds`: whether
    the condition held when it was last looked at, `gone_since` when it stopped; `muted`: somebody closed it although it
    holds. `severity` is the condition's, one step up once it was `escalated`. `boot_id` is the boot in which it was
    last seen to hold.
    """

    incident_id: str
    domain: Domain
    key: str
    family: str
    feature: str
    severity: Severity
    summary: str
    condition_since: int
    opened_at: int
    updated_at: int
    boot_id: str
    state: IncidentState = IncidentState.OPEN
    detail: str = ""
    cause: str = ""
    subject: str = ""
    related: dict[str, str] = field(default_factory=dict)
    parent_id: str = ""
    children: int = 0
    episode: int = 1
    occurrence_count: int = 1
    revision: int = 0
    version: int = 1
    holds: bool = True
    gone_since: int | None = None
    muted: bool = False
    flapping: bool = False
    escalated: bool = False
    resolved_at: int | None = None
    resolved_by: str = ""
    reason: str = ""
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    assignee: str = ""
    snoozed_until: int | None = None
    snooze_reason: str = ""

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.state is not IncidentState.RESOLVED

    @property
    def storm(self) -> bool:
        """Whether it stands for many others and has no condition of its own."""
        return self.key.startswith(f"{STORM}:")

    def quiet(self, at: int) -> bool:
        """Whether people are not to be told of it: somebody put it away, or it stands below another one."""
        return bool(self.parent_id) or (self.snoozed_until is not None and at < self.snoozed_until)

    def urgency(self, at: int) -> tuple[bool, int, bool, int, str]:
        """Sorts what was put away last; before that critical and unacknowledged first, then the older."""
        snoozed = self.snoozed_until is not None and at < self.snoozed_until
        return (
            snoozed,
            -self.severity.rank,
            self.acknowledged_at is not None,
            self.opened_at,
            self.incident_id,
        )


class AttemptStatus(StrEnum):
    """How far a remedy came."""

    PLANNED = "planned"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return self not in (AttemptStatus.PLANNED, AttemptStatus.RUNNING)


AUTO = "auto"
"""Who asked for an attempt that nobody asked for."""
INTERRUPTED = "interrupted"
CONDITION_CLEARED = "condition_cleared"


@value
class Attempt:
    """One try of a remedy; instants are UTC unix ms. `succeeded` means verified.

    `asked_by` is an operator or `auto`; `approval_id` names the approval it was allowed by; `mode` is the feature's at
    that time.
    """

    attempt_id: str
    incident_id: str
    episode: int
    remedy: str
    subject: str
    feature: str
    mode: str
    asked_by: str
    boot_id: str
    planned_at: int
    version: int = 1
    status: AttemptStatus = AttemptStatus.PLANNED
    approval_id: str = ""
    detail: str = ""
    started_at: int | None = None
    ended_at: int | None = None


@value
class Episode:
    """One opening of an incident until its end, for the measures; instants are UTC unix ms."""

    incident_id: str
    episode: int
    severity: Severity
    condition_since: int
    opened_at: int
    version: int = 1
    acknowledged_at: int | None = None
    resolved_at: int | None = None


@value
class Circuit:
    """Too many remedies of a feature were begun by themselves: nothing more is until `until` (UTC unix ms)."""

    feature: str
    version: int
    opened_at: int
    until: int


INCIDENTS = Entity(IncidentRecord, "incidents", ["incident_id"], version="revision")
TIMELINE = Entity(TimelineEntry, "incident_timeline", ["entry_id"], version="")
ATTEMPTS = Entity(Attempt, "remedy_attempts", ["attempt_id"])
EPISODES = Entity(Episode, "incident_episodes", ["incident_id", "episode"])
CIRCUITS = Entity(Circuit, "healing_circuits", ["feature"])
