"""Remedies of jobs, carried out by the scheduler."""

from dataclasses import replace

from palyra.control.incidents_commands import IncidentRef, RunRemedy
from palyra.control.incidents_queries import IncidentDetail, IncidentQuery, IncidentsQuery
from palyra.control.jobs_commands import AddJob
from palyra.journal.job_rows import JobState
from palyra.scheduler import troubles
from tests.end_to_end.premises import Premises


async def job(here: Premises) -> str:
    done = await here.send(AddJob({"name": "nightly", "every": "1d", "prompt": "hello"}))
    return done.data["job_id"]


async def the_incident(here: Premises) -> IncidentDetail:
    await here.advance(0)
    (view,) = (await here.control.ask(IncidentsQuery())).incidents
    return await here.control.ask(IncidentQuery(view.incident_id))


async def ended(here: Premises, incident_id: str) -> IncidentDetail:
    while (detail := await here.control.ask(IncidentQuery(incident_id))).incident.live:
        await here.written()
        await here.advance(0.25)
    return detail


async def test_a_faulted_job_is_reset_where_somebody_asks(here: Premises) -> None:
    job_id = await job(here)
    scheduler = here.engine.jobs.scheduler
    lane = scheduler.roster.get(job_id)
    assert lane is not None
    scheduler.write(job_id, [scheduler.roster.fault(lane, "its zone is gone", here.clock.now_ms())])
    scheduler.tell(troubles.faulted(lane.job))
    detail = await the_incident(here)
    assert [(one.name, one.auto) for one in detail.remedies] == [("reset_job", "no")]
    assert detail.remedies[0].preview[1] == "The job nightly is planned from now on."
    await here.advance(60)
    assert (await the_incident(here)).attempts == ()
    await here.send(RunRemedy(IncidentRef(detail.incident.incident_id), "reset_job"))
    done = await ended(here, detail.incident.incident_id)
    assert (done.incident.reason, done.attempts[0].status) == ("remedy:reset_job", "succeeded")
    assert lane.job.state is JobState.ACTIVE


async def test_a_failing_job_is_paused_by_somebodys_word(here: Premises) -> None:
    job_id = await job(here)
    scheduler = here.engine.jobs.scheduler
    lane = scheduler.roster.get(job_id)
    assert lane is not None
    scheduler.tell(troubles.failing(replace(lane.job, failures=5)))
    detail = await the_incident(here)
    asked = await here.send(RunRemedy(IncidentRef(detail.incident.incident_id, detail.incident.version)))
    assert "needs an allow" in asked.message
    await here.allow(asked.data["approval_id"])
    done = await ended(here, detail.incident.incident_id)
    assert (done.attempts[0].status, done.attempts[0].asked_by) == ("succeeded", "ada")
    assert lane.job.state is JobState.PAUSED
