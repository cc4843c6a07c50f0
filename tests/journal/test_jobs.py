"""Jobs and fires come back as they were; a slot is fired once, and only as the job was planned."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError
from palyra.journal.changes import Change
from palyra.journal.job_rows import (
    JOB_ATTEMPTS,
    JOB_FIRES,
    JOBS,
    AttemptRow,
    FireRow,
    FireState,
    JobRow,
    JobSource,
    JobState,
    Trigger,
)
from palyra.journal.journal import Journal
from palyra.journal.schema import MIGRATIONS
from palyra.journal.writer import UnitRefusedError
from tests.journal.samples import T0
from tests.journal.test_migrating import older


def a_job(job_id: str = "j1", **changes: Any) -> JobRow:
    row = JobRow(
        job_id=job_id,
        revision=1,
        version=1,
        name=job_id,
        name_key=job_id,
        source=JobSource.OPERATOR,
        schedule="every",
        expression="60s",
        timezone="UTC",
        action="prompt",
        work={"prompt": "Say hello.", "model": "auto", "max_tokens": None},
        owner="ann",
        session="job:j1",
        created_at=T0,
        updated_at=T0,
        created_by="ann",
        anchor=T0,
        planned_after=T0,
        next_slot=T0 + 60_000,
        release_at=T0 + 60_000,
    )
    return replace(row, **changes)


def a_fire(fire_id: str = "f1", slot: int | None = T0 + 60_000, **changes: Any) -> FireRow:
    row = FireRow(fire_id, 1, "j1", 1, "boot", Trigger.SCHEDULE, slot, T0 + 60_000, T0 + 60_000)
    return replace(row, **changes)


def saved(*rows: JobRow | FireRow | AttemptRow) -> list[Change]:
    return [
        JOBS.saved(row)
        if isinstance(row, JobRow)
        else JOB_FIRES.saved(row)
        if isinstance(row, FireRow)
        else JOB_ATTEMPTS.saved(row)
        for row in rows
    ]


async def test_rows_come_back_as_they_were(journal: Journal) -> None:
    job = a_job(
        state=JobState.PAUSED,
        next_slot=None,
        release_at=None,
        labels={"tags": {"team": "blue"}},
        rules={"remember": True, "max_runs": 3, "max_lateness": 5_000},
        why="weekend",
    )
    fire = a_fire(
        job_revision=0,
        slot=None,
        trigger=Trigger.MANUAL,
        key="k",
        spans=((1, 5, 3), (9, 9, 1)),
        work_ids=("r1", "r2"),
        detail={"notes": 3},
        cost=None,
    )
    attempt = AttemptRow("r1", 1, "f1", 1, "boot", T0)
    await journal.submit(saved(job, fire, attempt))
    readers = journal.readers
    assert await readers.jobs() == (job,)
    assert await readers.job("j1") == job
    assert await readers.fire("f1") == fire == await readers.fire_of_key("j1", "k")
    assert await readers.open_fires() == (fire,) == await readers.open_fires("j1")
    assert await readers.attempts("f1") == (attempt,) == await readers.open_attempts()


async def test_a_slot_is_fired_once(journal: Journal) -> None:
    await journal.submit(saved(a_job()))
    await journal.submit(saved(a_fire(), a_job(revision=2, next_slot=T0 + 120_000)))
    with pytest.raises(UnitRefusedError):
        await journal.submit(saved(a_fire("f2", job_revision=2), a_job(revision=3, next_slot=T0 + 180_000)))
    job = await journal.readers.job("j1")
    assert job is not None
    assert job.next_slot == T0 + 120_000
    assert await journal.readers.fire("f2") is None


async def test_a_fire_planned_from_an_older_job_is_refused_with_its_unit(journal: Journal) -> None:
    await journal.submit(saved(a_job()))
    await journal.submit(saved(a_job(revision=2, version=2, next_slot=T0 + 90_000)))
    with pytest.raises(UnitRefusedError):
        await journal.submit(saved(a_fire(), a_job(revision=2, next_slot=T0 + 120_000)))
    await journal.submit(saved(a_job(revision=3, state=JobState.PAUSED, next_slot=None)))
    with pytest.raises(UnitRefusedError):
        await journal.submit(saved(a_fire(job_revision=3)))
    assert await journal.readers.open_fires() == ()


async def test_a_fire_goes_on_although_its_job_has_moved(journal: Journal) -> None:
    await journal.submit(saved(a_job()))
    await journal.submit(saved(a_fire(), a_job(revision=2, next_slot=T0 + 120_000)))
    ended = a_fire(revision=2, state=FireState.COMPLETED, finished_at=T0 + 61_000)
    await journal.submit(saved(ended))
    assert await journal.readers.fire("f1") == ended
    assert await journal.readers.open_fires() == ()
    assert await journal.readers.fire_of_slot("j1", T0 + 60_000) == ended


async def test_an_attempt_has_its_number_once(journal: Journal) -> None:
    await journal.submit(saved(AttemptRow("r1", 1, "f1", 1, "boot", T0)))
    with pytest.raises(UnitRefusedError):
        await journal.submit(saved(AttemptRow("r2", 1, "f1", 1, "other", T0)))


async def test_a_name_is_taken_once_whatever_its_case(journal: Journal) -> None:
    await journal.submit(saved(a_job()))
    with pytest.raises(UnitRefusedError):
        await journal.submit(saved(a_job("j2", name="J1", name_key="j1")))


async def test_fires_come_newest_first_a_page_at_a_time(journal: Journal) -> None:
    await journal.submit(saved(*(a_fire(f"f{number}", T0 + number, job_revision=0) for number in range(5))))
    await journal.submit(saved(a_fire("g", None, job_id="j2", job_revision=0)))
    first = await journal.readers.fires("j1", limit=2)
    assert [row.fire_id for row in first.fires] == ["f4", "f3"]
    second = await journal.readers.fires("j1", limit=3, cursor=first.next_cursor)
    assert [row.fire_id for row in second.fires] == ["f2", "f1", "f0"]
    assert second.next_cursor == ""
    ended = a_fire("f3", T0 + 3, job_revision=0, revision=2, state=FireState.FAILED, finished_at=T0)
    await journal.submit(saved(ended))
    assert await journal.readers.last_ended_fires() == (ended,)
    assert (await journal.readers.fires(state="completed")).fires == ()
    with pytest.raises(BadInputError):
        await journal.readers.fires(cursor="x")


async def test_a_journal_of_before_gets_its_tables(tmp_path: Path) -> None:
    number = next(number for number, sql in MIGRATIONS if "CREATE TABLE job_fires" in sql)
    older(tmp_path, number - 1).close()
    journal = await Journal.open(tmp_path, ManualClock())
    await journal.submit(saved(a_job(), a_fire()))
    assert await journal.readers.jobs() == (a_job(),)
    assert await journal.readers.open_fires() == (a_fire(),)
    await journal.close()
