"""Operators and incidents in an open house: what they see, what they may do, what their word begins."""

import pytest

from palyra.control.commands import Command
from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
from palyra.control.incidents_queries import IncidentQuery, IncidentsQuery, IncidentStatsQuery
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import BadInputError, NotFoundError
from palyra.healing.record import Attempt, IncidentRecord
from palyra.healing.remedies import RemedyAct, helped
from palyra.vault.records import Role
from tests.end_to_end.premises import Premises


def told(here: Premises, name: str = "nightly", severity: Severity = Severity.MEDIUM, what: str = "failing") -> None:
    key = f"job:{name}:{what}"
    summary = f"The job {name} does not do well"
    condition = Condition(Domain.SCHEDULER, key, severity, summary, subject=name, related={"job": name})
    here.engine.healing.tell(condition)


async def found(here: Premises) -> str:
    """The id of the one incident there is."""
    await here.advance(0)
    (view,) = (await here.control.ask(IncidentsQuery())).incidents
    return view.incident_id


async def test_what_is_wrong_is_in_every_snapshot_most_urgent_first(here: Premises) -> None:
    told(here, "a", Severity.LOW)
    told(here, "b", Severity.CRITICAL, "faulted")
    await here.advance(0)
    shot = await here.control.snapshot([])
    assert [one.severity for one in shot.incidents] == ["critical", "low"]
    assert shot.incidents_open == 2
    version = shot.version
    await here.send(SnoozeIncidents((IncidentRef(shot.incidents[0].incident_id),), 3600, "known"))
    shot = await here.control.snapshot([])
    assert shot.version > version
    assert [one.severity for one in shot.incidents] == ["low", "critical"]
    assert shot.incidents_open == 1


async def test_a_storm_is_one_line_with_children(here: Premises) -> None:
    for number in range(7):
        told(here, f"j{number}")
    await here.advance(0)
    shot = await here.control.snapshot([])
    (storm,) = shot.incidents
    assert (storm.storm, storm.children, shot.incidents_open) == (True, 7, 1)
    below = await here.control.ask(IncidentsQuery(parent=storm.incident_id))
    assert below.total == 7
    detail = await here.control.ask(IncidentQuery(storm.incident_id))
    assert len(detail.children) == 7
    child = await here.control.ask(IncidentQuery(below.incidents[0].incident_id))
    assert child.parent is not None
    assert child.parent.incident_id == storm.incident_id


async def test_everything_about_one_is_told(here: Premises) -> None:
    told(here)
    incident_id = await found(here)
    ref = IncidentRef(incident_id)
    await here.send(AckIncidents((ref,)))
    await here.send(AssignIncidents((ref,), "bob"))
    await here.send(NoteIncident(ref, "It is the disk."))
    detail = await here.control.ask(IncidentQuery(incident_id))
    assert (detail.incident.acknowledged_by, detail.incident.assignee) == ("ada", "bob")
    lines = [(line.kind, line.by) for line in detail.timeline if line.kind != "notified"]
    assert lines == [("opened", "palyra"), ("acknowledged", "ada"), ("assigned", "ada"), ("note", "ada")]
    (remedy,) = detail.remedies
    assert (remedy.name, remedy.auto, remedy.risk) == ("pause_job", "approval", "medium")
    stats = await here.control.ask(IncidentStatsQuery("24h"))
    assert (stats.measures[0].episodes, stats.measures[0].unacknowledged) == (1, 0)
    with pytest.raises(NotFoundError):
        await here.control.ask(IncidentQuery("nobody"))
    with pytest.raises(BadInputError, match="no window"):
        await here.control.ask(IncidentStatsQuery("1y"))
    with pytest.raises(BadInputError, match="no state"):
        await here.control.ask(IncidentsQuery(state="odd"))


async def test_who_saw_something_else_is_told_how_it_stands(here: Premises) -> None:
    told(here)
    incident_id = await found(here)
    stale = await here.control.send(AckIncidents((IncidentRef(incident_id, 7),)))
    assert (stale.status, stale.code) == ("stale", "stale_version")
    assert "it is open, medium" in stale.message
    refused = await here.control.send(ResolveIncidents((IncidentRef(incident_id),)))
    assert (refused.status, refused.code) == ("conflict", "still_present")


@pytest.mark.parametrize(
    ("command", "least"),
    [
        (AckIncidents((IncidentRef("x"),)), Role.APPROVER),
        (RunRemedy(IncidentRef("x"), "pause_job"), Role.APPROVER),
        (SetHealingMode("runs", "disabled"), Role.ADMIN),
    ],
)
async def test_acts_need_an_approver_and_modes_an_admin(here: Premises, command: Command, least: Role) -> None:
    lesser = here.operator("vic", Role.VIEWER if least is Role.APPROVER else Role.APPROVER)
    assert (await lesser.send(command)).code == "role_missing"
    assert (await here.operator("amy", least).send(command)).code != "role_missing"


async def test_a_remedy_that_needs_a_word_waits_for_it(here: Premises) -> None:
    done: list[str] = []

    async def act(record: IncidentRecord, attempt: Attempt) -> str:
        done.append(attempt.asked_by)
        return "paused"

    here.engine.healing.chest.add(
        "pause_job", RemedyAct(act, lambda record, attempt: helped(True, attempt), lambda record: ["Pauses it."])
    )
    told(here)
    incident_id = await found(here)
    asked = await here.send(RunRemedy(IncidentRef(incident_id)))
    assert "needs an allow" in asked.message
    assert done == []
    (approval,) = await here.approvals()
    assert approval.subject == f"remedy:{incident_id}:pause_job"
    await here.allow(approval.approval_id)
    await here.written()
    await here.advance(1)
    await here.written()
    await here.advance(1)
    assert done == ["ada"]
    (attempt,) = (await here.control.ask(IncidentQuery(incident_id))).attempts
    assert (attempt.status, attempt.approval_id) == ("succeeded", approval.approval_id)


async def test_a_denied_remedy_is_left(here: Premises) -> None:
    told(here)
    incident_id = await found(here)
    await here.send(RunRemedy(IncidentRef(incident_id)))
    (approval,) = await here.approvals()
    denied = await here.deny(approval.approval_id, "let it run")
    assert denied.message == "Denied palyra: let it run."
    await here.advance(1)
    assert (await here.control.ask(IncidentQuery(incident_id))).attempts == ()


async def test_modes_last_until_the_engine_stops_and_are_audited(here: Premises) -> None:
    said = await here.send(SetHealingMode("jobs", "disabled"))
    assert "until the engine stops" in said.message
    healing = (await here.control.ask(IncidentsQuery())).healing
    assert healing is not None
    assert (healing.modes["jobs"], healing.modes["runs"], healing.said) == ("disabled", "auto", ("jobs",))
    for wrong, fix in (("rnus", "auto"), "Choose one of runs"), (("runs", "on"), "Choose one of disabled"):
        refused = await here.control.send(SetHealingMode(*wrong))
        assert (refused.status, fix in f"{refused.message} {refused.fix}") == ("invalid", True)
    told(here)
    await here.advance(20)
    assert (await here.control.ask(IncidentsQuery())).total == 0
    await here.send(SetHealingMode("all", "observe_only"))
    healing = (await here.control.ask(IncidentsQuery())).healing
    assert healing is not None
    assert set(healing.modes.values()) == {"observe_only"}
    await here.advance(1)
    assert (await here.control.ask(IncidentsQuery())).total == 1
