"""Incidents, heartbeats and dead letters of the fake engine: what asking tells, and what acting on them does."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from palyra.control.commands import DiscardDeadLetters, RetryDeadLetters
from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentCommand,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
from palyra.control.incidents_queries import (
    HealingView,
    IncidentDetail,
    IncidentQuery,
    IncidentsPage,
    IncidentsQuery,
    IncidentStats,
    IncidentStatsQuery,
    IncidentView,
    MeasuresView,
    ProviderCallView,
    RemedyAttemptView,
    RemedyView,
    TimelineView,
)
from palyra.control.notice_queries import (
    DeadLettersPage,
    DeadLettersQuery,
    DeliveryView,
    HeartbeatsPage,
    HeartbeatsQuery,
    HeartbeatView,
    WebhookView,
)
from palyra.control.snapshots import CommandResult
from palyra.core.errors import NotFoundError
from palyra.core.plural import plural
from tests.tui.fake_views import HOUR, MINUTE, NOW, SECOND, ident

FEATURES = ("runs", "tasks", "jobs", "approvals", "providers", "external", "storage", "notifications", "engine")
CANCEL = RemedyView(
    "cancel_run",
    "Cancels the run that hangs.",
    "medium",
    "session",
    "yes",
    2,
    ("Cancels the run that hangs.", f"The run {ident(2000)} of agent-ci on openai/gpt-5.4 is cancelled."),
)
PROBE = RemedyView("probe_provider", "Asks it.", "low", "workspace", "yes", 0, ("Asks it, which costs nothing.",))
PAUSE = RemedyView("pause_job", "Pauses the job.", "medium", "session", "approval", 0, ("Pauses the job.",))


@dataclass
class Trouble:
    """What is wrong in a world. `incidents` are the live ones on top, the most urgent first; `others` hang below one of
    these or are resolved."""

    incidents: tuple[IncidentView, ...] = ()
    others: tuple[IncidentView, ...] = ()
    remedies: dict[str, tuple[RemedyView, ...]] = field(default_factory=dict)
    attempts: tuple[RemedyAttemptView, ...] = ()
    beats: tuple[HeartbeatView, ...] = ()
    letters: tuple[DeliveryView, ...] = ()
    webhooks: tuple[WebhookView, ...] = ()
    modes: dict[str, str] = field(default_factory=lambda: dict.fromkeys(FEATURES, "auto"))
    said: tuple[str, ...] = ()
    circuits: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    measures: tuple[MeasuresView, ...] = (
        MeasuresView("", 38, 9, 2, 260, 131_000, 522_000),
        MeasuresView("critical", 2, 0, 0, 90, 41_000, 1_260_000),
        MeasuresView("high", 21, 3, 1, 310, 96_000, 402_000),
        MeasuresView("low", 15, 6, 1, None, None, None),
    )


def incident(number: int, severity: str, summary: str, **changes: Any) -> IncidentView:
    fields: dict[str, Any] = {
        "incident_id": ident(7000 + number),
        "version": 3,
        "domain": "watchdog",
        "key": f"heartbeat:run:{ident(2000)}",
        "family": "heartbeat:run",
        "feature": "runs",
        "severity": severity,
        "state": "open",
        "summary": summary,
        "detail": "",
        "cause": "No heartbeat for 1 min in the phase stream.",
        "subject": ident(2000),
        "related": {"run": ident(2000), "provider": "openai", "session": "build-771"},
        "parent_id": "",
        "children": 0,
        "episode": 1,
        "occurrences": 12,
        "condition_since": NOW - number * MINUTE - 72 * SECOND,
        "opened_at": NOW - number * MINUTE - 12 * SECOND,
        "updated_at": NOW - 2 * SECOND,
        "holds": True,
        "muted": False,
        "flapping": False,
        "escalated": False,
        "resolved_at": None,
        "resolved_by": "",
        "reason": "",
        "acknowledged_at": None,
        "acknowledged_by": "",
        "assignee": "",
        "snoozed_until": None,
        "snooze_reason": "",
    }
    return IncidentView(**{**fields, **changes})


def beat(number: int, work: str, state: str = "healthy", **changes: Any) -> HeartbeatView:
    silent = state == "silent"
    fields: dict[str, Any] = {
        "work": work,
        "object_id": ident(2000 + number),
        "principal": "",
        "summary": "openai/gpt-5.4 for agent-ci",
        "phase": "stream",
        "progress": 812,
        "age_ms": 4 * MINUTE if silent else 3 * SECOND,
        "progress_age_ms": 4 * MINUTE + 12 * SECOND,
        "silent_ms": MINUTE,
        "stalled_ms": 5 * MINUTE,
        "state": state,
    }
    return HeartbeatView(**{**fields, **changes})


def letter(number: int, webhook: str = "pager", **changes: Any) -> DeliveryView:
    fields: dict[str, Any] = {
        "delivery_id": ident(8000 + number),
        "webhook": webhook,
        "event": "incident.opened",
        "severity": "high",
        "subject": f"incident:{ident(7001)}",
        "summary": f"run {number} is silent",
        "at": NOW - HOUR,
        "tries": 8,
        "status": 503,
        "error": "the server is unavailable",
        "ended_at": NOW - number * MINUTE,
    }
    return DeliveryView(**{**fields, **changes})


def webhook(name: str = "pager", *, failing: bool = True) -> WebhookView:
    return WebhookView(name, "https://events.example", "generic", failing, 0, 2 if failing else 0, 40, 2, 0)


def morning() -> Trouble:
    """A run that hangs, a provider that fails, one incident put away and one resolved."""
    hung = incident(1, "high", f"run {ident(2000)} is silent")
    return Trouble(
        incidents=(
            hung,
            incident(
                17,
                "medium",
                "The provider local does not answer well",
                key="provider:local",
                family="provider",
                domain="provider",
                feature="providers",
                subject="local",
                related={"provider": "local"},
                cause="Its breaker has been open for more than 60 s.",
                state="remediating",
                acknowledged_at=NOW - MINUTE,
                acknowledged_by="maria",
                assignee="maria",
                flapping=True,
                children=3,
            ),
            incident(
                30,
                "low",
                "webhook pager did not take 2 notifications",
                key="webhook:pager",
                family="webhook",
                domain="notification",
                feature="notifications",
                subject="pager",
                related={},
                cause="HTTP 503",
                snoozed_until=NOW + HOUR,
                snooze_reason="the pager is being moved",
                occurrences=1,
            ),
        ),
        others=(
            incident(
                90,
                "high",
                "The job nightly fails again and again",
                key=f"job:{ident(9001)}:failing",
                family="job:failing",
                state="resolved",
                related={"job": ident(9001)},
                subject=ident(9001),
                resolved_at=NOW - HOUR,
                resolved_by="pavel",
                reason="by_operator",
                holds=False,
            ),
        ),
        remedies={hung.incident_id: (CANCEL,)},
        attempts=(attempt(1, hung.incident_id, "failed"),),
        beats=(
            beat(0, "run", "silent"),
            beat(3, "background_task", phase="run", summary="digest for maria"),
            beat(4, "external", "stalled", object_id="crawler", principal="maria", phase=""),
        ),
        letters=(letter(1), letter(2)),
        webhooks=(webhook(),),
        circuits={"runs": NOW + 5 * MINUTE},
    )


def attempt(number: int, incident_id: str, status: str, **changes: Any) -> RemedyAttemptView:
    fields: dict[str, Any] = {
        "attempt_id": ident(7500 + number),
        "incident_id": incident_id,
        "episode": 1,
        "remedy": "cancel_run",
        "status": status,
        "asked_by": "auto",
        "mode": "auto",
        "detail": "the run was asked to stop",
        "planned_at": NOW - 50 * SECOND,
        "started_at": NOW - 50 * SECOND,
        "ended_at": None if status == "running" else NOW - 40 * SECOND,
        "approval_id": "",
    }
    return RemedyAttemptView(**{**fields, **changes})


def storm_of(count: int = 500) -> Trouble:
    """So many incidents at once, the gravest first, one of which stands for many others."""
    severities = ("critical", "high", "medium", "low")
    found = [
        incident(
            number,
            severities[number * 4 // count],
            f"run {ident(2000 + number)} is silent",
            key=f"heartbeat:run:{ident(2000 + number)}",
            subject=ident(2000 + number),
            occurrences=number + 1,
        )
        for number in range(count)
    ]
    found[0] = replace(found[0], key="storm:heartbeat:run", summary="Many at once: heartbeat run", children=980)
    return Trouble(
        incidents=tuple(found),
        beats=tuple(beat(number, "run", "silent" if number % 3 else "healthy") for number in range(300)),
        letters=tuple(letter(number) for number in range(80)),
        webhooks=(webhook(),),
    )


def evil(text: str) -> Trouble:
    """Whatever outsiders can name carries `text`."""
    base = morning()
    names = ("summary", "detail", "cause", "assignee", "snooze_reason", "acknowledged_by")
    named: dict[str, Any] = dict.fromkeys(names, text)
    bad = replace(CANCEL, does=text, preview=(text,))
    return replace(
        base,
        incidents=tuple(replace(one, **named, related={"principal": text, text: text}) for one in base.incidents),
        others=tuple(replace(one, **named) for one in base.others),
        remedies={base.incidents[0].incident_id: (bad,)},
        attempts=tuple(replace(one, detail=text, asked_by=text) for one in base.attempts),
        beats=tuple(
            replace(one, object_id=text, principal=f"{text}{number}", summary=text, phase=text)
            for number, one in enumerate(base.beats)
        ),
        letters=tuple(replace(one, webhook=text, summary=text, error=text, subject=text) for one in base.letters),
        webhooks=(webhook(text),),
        notes=(text,),
    )


def incidents_told(
    trouble: Trouble, query: IncidentsQuery | IncidentQuery | IncidentStatsQuery | HeartbeatsQuery | DeadLettersQuery
) -> IncidentsPage | IncidentDetail | IncidentStats | HeartbeatsPage | DeadLettersPage:
    """What the engine answers."""
    match query:
        case IncidentsQuery():
            ended = sorted((one for one in trouble.others if not one.live), key=lambda one: -(one.resolved_at or 0))
            found = [*trouble.incidents, *(ended if query.state == "" else [])]
            counts = dict.fromkeys(("low", "medium", "high", "critical"), 0)
            for one in trouble.incidents:
                counts[one.severity] = counts.get(one.severity, 0) + 1
            healing = HealingView(trouble.modes, trouble.said, trouble.circuits, None, NOW, len(trouble.beats))
            return IncidentsPage(tuple(found[: query.limit]), len(found), counts, healing)
        case IncidentStatsQuery():
            return IncidentStats(query.window, trouble.measures)
        case IncidentQuery():
            return _detail(trouble, query.incident_id)
        case HeartbeatsQuery():
            return HeartbeatsPage(trouble.beats[: query.limit], len(trouble.beats))
        case DeadLettersQuery():
            return DeadLettersPage(trouble.letters[: query.limit], len(trouble.letters), trouble.webhooks)


def _detail(trouble: Trouble, incident_id: str) -> IncidentDetail:
    everything = (*trouble.incidents, *trouble.others)
    found = next((one for one in everything if one.incident_id == incident_id), None)
    if found is None:
        raise NotFoundError(f"No incident {incident_id!r} is known.")
    opened = TimelineView(found.opened_at, "opened", "palyra", {"severity": found.severity, "episode": 1})
    noted = [TimelineView(NOW - SECOND, "note", "pavel", {"text": text}) for text in trouble.notes]
    known = []
    if found.acknowledged_at is not None:
        known.append(TimelineView(found.acknowledged_at, "acknowledged", found.acknowledged_by))
    beats = found.family == "heartbeat:run"
    return IncidentDetail(
        found,
        (opened, *known, *noted),
        tuple(one for one in trouble.attempts if one.incident_id == incident_id),
        tuple(one for one in trouble.others if one.parent_id == incident_id),
        None,
        trouble.remedies.get(incident_id, ()),
        NOW + 30 * SECOND if trouble.remedies.get(incident_id) and found.state == "open" else None,
        4 * MINUTE if beats else None,
        5 * MINUTE if beats else None,
        "stream" if beats else "",
        ProviderCallView("openai", "openai/gpt-5.4", 2, NOW - 5 * MINUTE, "stream", "") if beats else None,
    )


def incident_done(
    trouble: Trouble, command: IncidentCommand | RetryDeadLetters | DiscardDeadLetters, now: int, by: str
) -> tuple[Trouble, CommandResult]:
    """The trouble after a command, and what the engine says to it."""
    match command:
        case AckIncidents():
            return _each(trouble, command.incidents, "acknowledged", acknowledged_at=now, acknowledged_by=by)
        case AssignIncidents():
            return _each(trouble, command.incidents, "assigned", assignee=command.assignee)
        case SnoozeIncidents():
            until = now + command.duration_seconds * 1_000 if command.duration_seconds else None
            return _each(trouble, command.incidents, "put away", snoozed_until=until, snooze_reason=command.reason)
        case NoteIncident():
            after, result = _each(trouble, (command.incident,), "noted")
            return replace(after, notes=(*trouble.notes, command.text)), result
        case ResolveIncidents():
            return _resolved(trouble, command, now, by)
        case RunRemedy():
            after, result = _each(trouble, (command.incident,), "in treatment", state="remediating")
            tried = attempt(9, command.incident.incident_id, "running", remedy=command.remedy, asked_by=by)
            return replace(after, attempts=(*trouble.attempts, tried)), result
        case SetHealingMode():
            features = FEATURES if command.feature == "all" else (command.feature,)
            modes = {name: command.mode if name in features else mode for name, mode in trouble.modes.items()}
            return replace(trouble, modes=modes, said=tuple(features)), CommandResult("accepted", "Healing is set.")
        case RetryDeadLetters() | DiscardDeadLetters():
            left = tuple(one for one in trouble.letters if one.delivery_id not in command.delivery_ids)
            told = f"{plural(len(trouble.letters) - len(left), 'dead letter')} done."
            return replace(trouble, letters=left), CommandResult("accepted", told)


def _resolved(trouble: Trouble, command: ResolveIncidents, now: int, by: str) -> tuple[Trouble, CommandResult]:
    (one,) = command.incidents
    found = next(item for item in trouble.incidents if item.incident_id == one.incident_id)
    if found.holds and not command.force:
        return trouble, CommandResult("conflict", "It is still present.", code="still_present")
    ended = replace(
        found, state="resolved", resolved_at=now, resolved_by=by, reason="forced", version=found.version + 1
    )
    left = tuple(item for item in trouble.incidents if item is not found)
    after = replace(trouble, incidents=left, others=(ended, *trouble.others))
    return after, CommandResult("accepted", "The incident is resolved.")


def _each(trouble: Trouble, refs: Sequence[IncidentRef], verb: str, **changes: Any) -> tuple[Trouble, CommandResult]:
    named = {one.incident_id: one.version for one in refs}
    known = {one.incident_id: one for one in trouble.incidents}
    if any(version not in (None, known[name].version) for name, version in named.items()):
        return trouble, CommandResult("conflict", "It changed meanwhile.", "Look at it again.")
    after = tuple(
        replace(one, **changes, version=one.version + 1) if one.incident_id in named else one
        for one in trouble.incidents
    )
    return replace(trouble, incidents=after), CommandResult("accepted", f"{plural(len(refs), 'incident')} {verb}.")
