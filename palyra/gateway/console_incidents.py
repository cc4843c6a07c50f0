"""Incidents over HTTP: lists, one in full, and what operators do about them."""

from collections.abc import Mapping
from typing import Any

from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentCommand,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SnoozeIncidents,
)
from palyra.control.incidents_queries import IncidentDetail, IncidentQuery, IncidentsQuery, IncidentStatsQuery
from palyra.core.conditions import Domain, Severity
from palyra.core.errors import NotFoundError
from palyra.gateway.console_acts import Ask
from palyra.gateway.console_answers import Told, listed, refusal_for
from palyra.gateway.console_bodies import Members
from palyra.healing.measures import WINDOWS_MS
from palyra.healing.record import IncidentState

UNRESOLVED, ALL = "unresolved", "all"
LONGEST_NOTE = 4 * 1024
LONGEST_NAME = 128
LONGEST_SNOOZE_S = 30 * 86_400


async def incidents(ask: Ask) -> Told:
    """Those on top that are not resolved; `status=all` has every one, `parent` those that hang below one."""
    words = ask.words("status", "severity", "domain", "assignee", "text", "parent", "limit", "cursor")
    status = words.choice("status", (UNRESOLVED, ALL, *IncidentState), UNRESOLVED)
    page = await ask.control.ask(
        IncidentsQuery(
            "" if status == ALL else status,
            words.choice("severity", tuple(Severity)),
            words.choice("domain", tuple(Domain)),
            words.text("assignee"),
            words.text("text"),
            words.text("parent"),
            status == ALL,
            words.limit(),
            words.text("cursor"),
        )
    )
    return listed("incidents", page.incidents, page.next_cursor)


async def incident(ask: Ask) -> Told:
    """`GET incidents/ID`: an incident with its timeline; `stats` instead of an id: sums of a window."""
    if ask.identity == "stats":
        words = ask.words("window")
        stats = await ask.control.ask(IncidentStatsQuery(words.choice("window", tuple(WINDOWS_MS), "7d")))
        return Told({"window": stats.window, "measures": stats.measures})
    words = ask.words("before")
    return Told(_data(await ask.control.ask(IncidentQuery(ask.identity, words.text("before")))))


async def acknowledge(ask: Ask) -> Told:
    """`POST incidents/ID/acknowledge`: somebody knows. Raises RefusedError."""
    members, ref = _read(ask)
    return await _done(ask, members, AckIncidents((ref,)))


async def assign(ask: Ask) -> Told:
    """`POST incidents/ID/assign`: it is somebody's now. Raises RefusedError."""
    members, ref = _read(ask, "assignee")
    return await _done(ask, members, AssignIncidents((ref,), members.text("assignee", LONGEST_NAME)))


async def snooze(ask: Ask) -> Told:
    """0 seconds wake it."""
    members, ref = _read(ask, "duration_seconds", "reason")
    if not members.has("duration_seconds"):
        members.fault("duration_seconds", "it is missing", f"Write one from 60 to {LONGEST_SNOOZE_S}, or 0.")
    seconds = members.number("duration_seconds", 0, LONGEST_SNOOZE_S)
    return await _done(ask, members, SnoozeIncidents((ref,), seconds or 0, members.text("reason")))


async def note(ask: Ask) -> Told:
    """`POST incidents/ID/note`: words for those who come later. Raises RefusedError."""
    members, ref = _read(ask, "text")
    return await _done(ask, members, NoteIncident(ref, members.text("text", LONGEST_NOTE)))


async def resolve(ask: Ask) -> Told:
    """`POST incidents/ID/resolve`: it is over, or is said to be. Raises RefusedError."""
    members, ref = _read(ask, "force")
    return await _done(ask, members, ResolveIncidents((ref,), members.flag("force")))


async def remedy(ask: Ask) -> Told:
    """Begins the named one, else the first that is offered; what needs a word is asked for."""
    members, ref = _read(ask, "remedy")
    return await _done(ask, members, RunRemedy(ref, members.text("remedy", LONGEST_NAME)))


def _read(ask: Ask, *known: str) -> tuple[Members, IncidentRef]:
    ask.words()
    members = Members(ask.body, ("version", *known))
    return members, IncidentRef(ask.identity, members.whole("version"))


async def _done(ask: Ask, members: Members, command: IncidentCommand) -> Told:
    """Raises RefusedError; a conflict tells the incident as it stands."""
    members.done()
    result = await ask.control.send(command)
    if result.ok:
        more = {"approval_id": result.data["approval_id"]} if result.data.get("approval_id") else {}
        return Told({"message": result.message, **more, **await _record(ask)})
    told: Mapping[str, Any] | None = None
    if result.status in ("conflict", "stale"):
        try:
            told = await _record(ask)
        except NotFoundError:
            told = None
    raise refusal_for(result, told)


async def _record(ask: Ask) -> Mapping[str, Any]:
    """Raises NotFoundError."""
    return _data(await ask.control.ask(IncidentQuery(ask.identity)))


def _data(detail: IncidentDetail) -> Mapping[str, Any]:
    return {
        "incident": detail.incident,
        "timeline": detail.timeline,
        "attempts": detail.attempts,
        "remedies": detail.remedies,
        "children": detail.children,
        "next_try": detail.next_try,
        "timeline_before": detail.timeline_before or None,
    }
