"""Jobs whose fires hang, and slots that nobody fired: found, and healed without anybody's word."""

import asyncio
from collections.abc import Callable

import pytest

from palyra.core.conditions import Domain
from palyra.healing.record import AttemptStatus, IncidentRecord
from palyra.providers.carrier import ProviderCarrier
from palyra.runs import background
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.end_to_end.test_scheduled_jobs import JOB, ended, fires, in_state

QUICK = '[healing]\nfeatures.runs = "disabled"\n[healing.silent_after]\ncron_job = "30s"\n'


async def settled(here: Premises, done: Callable[[], bool]) -> None:
    while not done():
        await here.written()
        await here.advance(1)


async def healed(here: Premises, domain: Domain, key: str) -> tuple[IncidentRecord, str]:
    """The incident of a key once it is told of and over, and the remedy that was tried."""
    book = here.engine.healing.book
    await settled(here, lambda: book.of(domain, key) is not None)
    found = book.of(domain, key)
    assert found is not None
    await settled(here, lambda: not book.get(found.incident_id).live)
    (tried,) = here.engine.healing.attempts.of(found)
    assert tried.status is AttemptStatus.SUCCEEDED
    return book.get(found.incident_id), tried.remedy


def job_id(here: Premises) -> str:
    lane = here.engine.jobs.roster.find("hello")
    assert lane is not None
    return lane.job.job_id


@pytest.mark.parametrize(("attempts", "state", "reason"), [(1, "failed", "stalled"), (2, "backoff", "self_healing")])
async def test_a_fire_whose_worker_shows_no_sign_of_life_is_stopped_and_its_rule_decides(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, attempts: int, state: str, reason: str
) -> None:
    async def send(*_given: object, **_named: object) -> object:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(ProviderCarrier, "send", send)
    monkeypatch.setattr(background, "BEAT_S", 86_400)
    here = await opened(JOB.replace("1m", "1h") + f"max_attempts = {attempts}\nbackoff_ms = 60000\n" + QUICK)
    await here.advance(3600)
    await in_state(here, "running")
    _, remedy = await healed(here, Domain.WATCHDOG, f"heartbeat:cron_job:{job_id(here)}")
    assert remedy == "stop_fire"
    (fire,) = await fires(here)
    assert (fire.state, fire.reason, fire.attempts) == (state, reason, 1)


async def test_a_slot_that_nobody_fired_is_planned_anew(opened: Opener) -> None:
    here = await opened(JOB)
    roster = here.engine.jobs.roster
    roster._releases = sorted(entry for entry in roster._releases if entry[1] != job_id(here))
    await here.advance(60)
    assert await fires(here) == []
    _, remedy = await healed(here, Domain.SCHEDULER, f"job:{job_id(here)}:overdue")
    assert remedy == "rearm_job"
    (fire, *_) = await ended(here)
    assert (fire.trigger, fire.lateness_ms is not None and fire.lateness_ms >= 60_000) == ("schedule", True)
