"""What diagnostics hear of a house by themselves: failures of every kind, slow commits, the journal's growth."""

import errno
from dataclasses import replace
from typing import Any

import pytest

from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.queries import AuditQuery, LedgerQuery
from palyra.core.events import Event
from palyra.diagnostics.failure import FailureClass, Source
from palyra.diagnostics.reasons import State
from palyra.journal.job_rows import JOB_FIRES, FireRow, FireState, Trigger
from palyra.journal.task_rows import TASKS, TaskRow, TaskState
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises

FIRE = FireRow("f1", 1, "j1", 1, "b", Trigger.SCHEDULE, 0, 0, 0, FireState.FAILED, "timeout", error="too long")
TASK = TaskRow("t1", 2, "summary", "client", TaskState.FAILED, "ada", "s", 0, 0, reason="timeout", error="too long")


def heard(here: Premises) -> list[tuple[str, str, str, str]]:
    return [
        (one.source.value, one.subject, one.class_, one.failure_class.value)
        for one in here.engine.diagnosing.failures.recent()
    ]


async def test_work_that_failed_is_heard_and_what_somebody_ended_or_refused_is_not(opened: Opener) -> None:
    here = await opened()
    hearing = here.engine.diagnosing.hearing
    quiet = [
        JOB_FIRES.saved(replace(FIRE, state=FireState.RUNNING)),
        JOB_FIRES.saved(replace(FIRE, state=FireState.CANCELLED, reason="by_operator")),
        JOB_FIRES.saved(replace(FIRE, state=FireState.DENIED, reason="budget_blocked")),
        JOB_FIRES.saved(replace(FIRE, reason="budget_blocked")),
        TASKS.saved(replace(TASK, state=TaskState.RUNNING)),
        TASKS.saved(replace(TASK, state=TaskState.CANCELLED)),
        TASKS.saved(replace(TASK, reason="budget_blocked")),
        TASKS.saved(replace(TASK, reason="attempts_exhausted", error="budget_blocked: no room")),
    ]
    hearing.hear(quiet)
    assert heard(here) == []
    hearing.hear([JOB_FIRES.saved(FIRE), TASKS.saved(TASK)])
    hearing.hear([TASKS.saved(replace(TASK, reason="attempts_exhausted", error="rate_limited: slow down"))])
    assert sorted(heard(here)) == [
        ("job", "j1", "timeout", "product"),
        ("task", "summary", "rate_limited", "upstream"),
        ("task", "summary", "timeout", "product"),
    ]
    assert hearing.tasks_ended.counts() == {"cancelled": 1, "failed": 4}


async def test_a_configuration_that_is_not_valid_and_a_journal_that_refuses_are_failures(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await opened()
    engine = here.engine
    engine.events.publish(Event("config.refused", here.clock.now_ms(), "palyra.toml", {"problems": ("line 3: no",)}))
    stats = replace(engine.journal.stats, failures_total=3, last_error="disk I/O error")
    monkeypatch.setattr(type(engine.journal), "stats", stats)
    engine.diagnosing.look()
    engine.diagnosing.look()
    assert sorted(heard(here)) == [
        ("config", "palyra.toml", "invalid_reload", "config"),
        ("journal", "journal", "journal", "product"),
    ]
    assert all(one.count == 1 for one in engine.diagnosing.failures.recent())


async def test_a_collector_that_fails_is_a_failure_of_ours_and_an_incident_at_the_third_time(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await opened()

    def gone(path: object) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("palyra.engine.disks.os.statvfs", gone)
    for _ in range(3):
        await here.advance(1)
        told = await here.control.ask(DiagnosticsQuery(fresh=True))
        section = told.sections.disk
        assert section is not None
        assert section.collector.value == "error"
    assert ("collector", "disk", "collector", FailureClass.PRODUCT.value) in heard(here)
    await here.advance(15)
    assert "engine:collector:disk" in {record.key for record in here.engine.healing.book.live()}
    assert here.engine.diagnosing.failures.lately(Source.COLLECTOR, {"disk"}) == 3


async def test_commits_that_are_slow_for_a_minute_degrade_the_journal(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await opened()
    diagnosing = here.engine.diagnosing
    slow: list[float | None] = [251.0]
    monkeypatch.setattr(here.engine.journal, "slowest_commit_ms", lambda seconds: slow[0])
    diagnosing.look()
    await here.advance(60)
    section = (await here.control.ask(DiagnosticsQuery(("journal",), fresh=True))).sections.journal
    assert section is not None
    assert (section.state, [one.code.value for one in section.reasons]) == (State.DEGRADED, ["commit_slow"])
    slow[0] = 250.0
    diagnosing.look()
    assert diagnosing.slow_ms() == 0


async def test_the_journals_growth_is_known_after_a_day_and_outlives_the_engine(opened: Opener) -> None:
    here = await opened()
    diagnosing = here.engine.diagnosing
    while not await here.engine.journal.readers.journal_sizes():
        await here.written()
    assert diagnosing.growth_24h() is None
    here.set_wall(here.clock.now_ms() + 24 * 3_600_000)
    await here.advance(5)
    while len(await here.engine.journal.readers.journal_sizes()) < 2:
        await here.written()
    first, second = await here.engine.journal.readers.journal_sizes()
    assert second.hour - first.hour == 24
    assert diagnosing.growth_24h() == second.bytes - first.bytes
    await here.close()
    again = await opened()
    assert again.engine.diagnosing.growth_24h() is None, "the next engine's clock stands a day earlier"
    again.set_wall(second.hour * 3_600_000)
    assert again.engine.diagnosing.growth_24h() == second.bytes - first.bytes


async def test_what_people_found_when_they_checked_is_told(opened: Opener) -> None:
    here = await opened()
    before = await here.control.ask(DiagnosticsQuery(("journal", "governance")))
    assert before.sections.journal is not None
    assert before.sections.journal.data is not None
    assert before.sections.journal.data.audit.last_verified_at is None
    await here.control.ask(AuditQuery())
    await here.control.ask(LedgerQuery(part="counters"))
    await here.advance(1)
    after = await here.control.ask(DiagnosticsQuery(("journal", "governance"), fresh=True))
    assert after.sections.journal is not None
    assert after.sections.journal.data is not None
    assert after.sections.journal.data.audit.last_verified_at is not None
    assert after.sections.governance is not None
    assert after.sections.governance.data is not None
    assert after.sections.governance.data.agrees is True


async def test_budgets_whose_rows_were_lost_are_named(opened: Opener) -> None:
    here = await opened()
    await here.add_budget("day", "5")
    now = here.clock.now_ms()
    here.engine.ledger.books.gaps = ((now - 1_000, now),)
    told = await here.control.ask(DiagnosticsQuery(("governance",)))
    assert told.sections.governance is not None
    assert told.sections.governance.data is not None
    assert told.sections.governance.data.windows_incomplete == ("day",)


async def test_the_newest_fires_of_all_jobs_are_told_also_of_one_job_and_by_the_next_engine(opened: Opener) -> None:
    here = await opened()
    engine = here.engine
    ended = [
        JOB_FIRES.saved(
            replace(
                FIRE,
                fire_id=f"f{number:02}",
                job_id="gone",
                job_revision=0,
                slot=number,
                finished_at=number,
                lateness_ms=number,
            )
        )
        for number in range(1, 26)
    ]
    await engine.journal.submit(ended)

    async def recent(of: Premises) -> list[tuple[str, str, int | None, int | None]]:
        section = (await of.control.ask(DiagnosticsQuery(("scheduler",)))).sections.scheduler
        assert section is not None
        assert section.data is not None
        return [(one.fire_id, one.job, one.finished_at, one.lateness_ms) for one in section.data.recent]

    expected = [(f"f{number:02}", "gone", number, number) for number in range(25, 5, -1)]
    assert await recent(here) == expected
    await here.close()
    assert await recent(await opened()) == expected


async def test_a_part_that_never_looked_is_as_late_as_the_engine_works(opened: Opener) -> None:
    here = await opened()
    diagnosing = here.engine.diagnosing
    await here.advance(7)
    assert diagnosing.age_ms(here.clock.monotonic() - 2) == 2_000
    assert diagnosing.age_ms(None) == 7_000
