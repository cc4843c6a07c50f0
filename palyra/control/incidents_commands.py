"""What a console may do about incidents. Each names what it saw: an incident that changed meanwhile is left alone."""

from typing import Literal

from palyra.core.values import value


@value
class IncidentRef:
    """An incident and the version somebody saw; None takes whatever is there."""

    incident_id: str
    version: int | None = None


@value
class AckIncidents:
    """Says that somebody knows: nobody is reminded any more."""

    incidents: tuple[IncidentRef, ...]
    kind: Literal["ack_incidents"] = "ack_incidents"


@value
class AssignIncidents:
    """Gives them to an operator; an empty name takes them away."""

    incidents: tuple[IncidentRef, ...]
    assignee: str
    kind: Literal["assign_incidents"] = "assign_incidents"


@value
class SnoozeIncidents:
    """Puts them away, silent and last in every list, unless they get worse. 0 seconds wakes them."""

    incidents: tuple[IncidentRef, ...]
    duration_seconds: int
    reason: str = ""
    kind: Literal["snooze_incidents"] = "snooze_incidents"


@value
class NoteIncident:
    """Adds words to an incident for those who come later."""

    incident: IncidentRef
    text: str
    kind: Literal["note_incident"] = "note_incident"


@value
class ResolveIncidents:
    """Ends them. What still holds is refused unless `force`, which mutes it until its condition has gone."""

    incidents: tuple[IncidentRef, ...]
    force: bool = False
    kind: Literal["resolve_incidents"] = "resolve_incidents"


@value
class RunRemedy:
    """Begins a remedy; an empty name takes the first that is offered. One that needs a word more is asked for."""

    incident: IncidentRef
    remedy: str = ""
    kind: Literal["run_remedy"] = "run_remedy"


@value
class SetHealingMode:
    """`feature`: runs, tasks, jobs, approvals, providers, external, storage, notifications, engine, or all. `mode`:
    disabled, observe_only, auto. Lasts until the engine stops."""

    feature: str
    mode: str
    kind: Literal["set_healing_mode"] = "set_healing_mode"


IncidentCommand = (
    AckIncidents | AssignIncidents | SnoozeIncidents | NoteIncident | ResolveIncidents | RunRemedy | SetHealingMode
)
