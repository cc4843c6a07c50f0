"""Palyra's own jobs in a running house: what they find, and what comes of it."""

import shutil
from types import SimpleNamespace

import pytest

from palyra.control.jobs_commands import TriggerJob
from palyra.control.jobs_queries import FireView
from palyra.core.clock import ManualClock
from palyra.core.conditions import Domain, Severity
from palyra.core.instants import parse_instant_ms as instant
from palyra.healing.record import IncidentRecord
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises, chat
from tests.end_to_end.test_scheduled_jobs import ended
from tests.end_to_end.test_scheduled_jobs import fires as scheduled
from tests.support.upstream import Upstream

CALLS = '[[budgets]]\npolicy_id = "calls"\nmetric_kind = "requests"\nhard_limit = 100\n'
FINDS = """
[[models]]
provider = "found"
upstream = "acme-8b"
[providers.found]
kind = "openai_compatible"
base_url = "{base}/v1"
discover = true
"""


async def done(here: Premises, name: str, times: int = 1) -> FireView:
    """Triggers a job and waits for the end of its fire of so many by hand; whatever else it fired does not count."""
    name = f"system.{name}"
    assert (await here.send(TriggerJob(name))).ok
    fires = [fire for fire in await ended(here, times, name) if fire.trigger == "manual"]
    assert len(fires) == times
    assert fires[-1].state == "completed"
    return fires[-1]


async def storage(here: Premises, key: str) -> IncidentRecord | None:
    await here.advance(0)
    return here.engine.healing.book.of(Domain.STORAGE, key)


async def test_counters_that_are_not_what_the_rows_say_are_an_incident(opened: Opener) -> None:
    here = await opened(CALLS)
    assert (await here.ask(chat())).status == 200
    await here.rest()
    assert (await done(here, "rollup_check")).detail == {"differences": 0, "counters": 1, "counter_differences": 0}
    assert await storage(here, "storage:rollup") is None
    ledger = here.engine.ledger
    (policy,) = ledger.policies
    cell = ledger.books.cell(next(iter(ledger.books)), "*", here.clock.now_ms())
    cell.move(5, 0, 0)
    assert (await done(here, "rollup_check", 2)).detail["counter_differences"] == 1
    found = await storage(here, "storage:rollup")
    assert found is not None
    assert (found.severity, found.live) == (Severity.HIGH, True)
    assert (str(found.summary), str(found.cause)) == (
        "Counters of budgets are not what the rows say",
        f"{policy.policy_id} *: settled is 6, not 1",
    )
    cell.move(-5, 0, 0)
    await done(here, "rollup_check", 3)


async def test_a_disk_that_is_nearly_full_is_an_incident(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await opened()
    before = await done(here, "health_check")
    assert (before.detail["disk_low"], before.detail["journal_ok"], before.detail["audit_ok"]) == (0, 1, 1)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100 << 20))
        assert (await done(here, "health_check", 2)).detail["disk_low"] == 1
        found = await storage(here, "storage:disk")
        assert found is not None
        assert (found.severity, "100 MiB are left" in found.cause) == (Severity.HIGH, True)
        full.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
        await done(here, "health_check", 3)
        assert (await storage(here, "storage:disk") or found).severity is Severity.CRITICAL
    await done(here, "health_check", 4)
    await here.advance(600)
    assert not here.engine.healing.book.get(found.incident_id).live


async def test_what_a_job_found_wrong_holds_over_a_restart_until_the_job_finds_it_gone(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100 << 20))
        here = await opened()
        await done(here, "health_check")
        found = await storage(here, "storage:disk")
        assert found is not None
        await here.close()
        again = await opened()
        await again.advance(31)
        kept = again.engine.healing.book.get(found.incident_id)
        assert (kept.live, kept.episode, kept.summary, kept.condition_since) == (
            True,
            1,
            found.summary,
            found.condition_since,
        )
    await done(again, "health_check", 2)
    await again.advance(31)
    assert not again.engine.healing.book.get(found.incident_id).live


async def test_lists_of_models_that_nobody_asked_for_are_fetched(opened: Opener, upstream: Upstream) -> None:
    upstream.models = ["acme-8b", "acme-9b"]
    here = await opened(FINDS.format(base=upstream.base_url))
    # The loop that asks by itself waits a second after the start; the job does not.
    first = (await done(here, "model_discovery")).detail
    assert int(first["asked"]) >= 1
    assert int(first["models"]) >= 2
    assert here.engine.registry.known("found/acme-9b") is not None
    assert (await done(here, "model_discovery", 2)).detail["asked"] == 0


async def test_notes_are_tidied_once_on_the_sunday_after_the_installation(opened: Opener) -> None:
    wednesday, sunday = instant("2026-11-25T10:00:00Z"), instant("2026-11-29T00:03:00Z")
    here = await opened("[scheduler]\nenabled = true\n", clock=ManualClock(wednesday))
    name = "system.memory_maintenance"
    await ended(here, 1, name)
    here.set_wall(sunday)
    for times in (2, 3):
        # Step by step: whoever is at work would be said to take too long if the clock ran on meanwhile.
        while len(await scheduled(here, name)) < times:
            await here.advance(10)
        fires = await ended(here, times, name)
    first, second, *later = [fire.detail["vacuumed"] for fire in fires]
    assert (first, second, any(later)) == (False, True, False)
