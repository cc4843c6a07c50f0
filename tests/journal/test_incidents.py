"""Incidents come back as they were, with what belongs to them, and nothing is left of those that are forgotten."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.core.conditions import Domain, Severity
from palyra.journal.incident_rows import (
    ATTEMPTS,
    CIRCUITS,
    EPISODES,
    INCIDENTS,
    TIMELINE,
    Attempt,
    AttemptStatus,
    Circuit,
    Episode,
    IncidentRecord,
    IncidentState,
    TimelineEntry,
    TimelineKind,
)
from palyra.journal.journal import Journal
from palyra.journal.schema import MIGRATIONS
from palyra.journal.writer import UnitRefusedError
from tests.journal.samples import T0
from tests.journal.test_migrating import older

SILENT = IncidentRecord(
    incident_id="i1",
    domain=Domain.WATCHDOG,
    key="heartbeat:run:r1",
    family="heartbeat:run",
    feature="runs",
    severity=Severity.HIGH,
    summary="Run r1 is silent.",
    condition_since=T0,
    opened_at=T0 + 5,
    updated_at=T0 + 5,
    boot_id="b1",
    related={"provider": "openai"},
    revision=1,
    snoozed_until=T0 + 100,
)
OPENED = TimelineEntry("e1", "i1", T0 + 5, TimelineKind.OPENED, "palyra", {"severity": "high"})
TRIED = Attempt("a1", "i1", 1, "cancel_run", "r1", "runs", "auto", "auto", "b1", T0 + 6)
FIRST = Episode("i1", 1, Severity.HIGH, T0, T0 + 5)
UNIT = (INCIDENTS.saved(SILENT), TIMELINE.saved(OPENED), ATTEMPTS.saved(TRIED), EPISODES.saved(FIRST))


async def test_an_incident_comes_back_with_all_that_belongs_to_it(journal: Journal) -> None:
    await journal.submit(UNIT)
    readers = journal.readers
    assert await readers.incidents() == (SILENT,)
    assert await readers.incident_timeline("i1") == (OPENED,)
    assert await readers.attempts_of_incident("i1") == (TRIED,)
    assert await readers.episodes(T0 + 5) == (FIRST,)
    assert await readers.episodes(T0 + 6) == ()


async def test_an_earlier_revision_changes_nothing(journal: Journal) -> None:
    resolved = replace(SILENT, revision=3, state=IncidentState.RESOLVED, resolved_at=T0 + 9)
    await journal.submit([INCIDENTS.saved(resolved)])
    await journal.submit([INCIDENTS.saved(replace(SILENT, revision=2))])
    assert await journal.readers.incidents() == (resolved,)


async def test_a_second_incident_of_one_key_is_refused(journal: Journal) -> None:
    await journal.submit(UNIT)
    with pytest.raises(UnitRefusedError):
        await journal.submit([INCIDENTS.saved(replace(SILENT, incident_id="i2"))])
    other = replace(SILENT, incident_id="i2", domain=Domain.ENGINE)
    await journal.submit([INCIDENTS.saved(other)])
    assert len(await journal.readers.incidents()) == 2


async def test_nothing_is_left_of_an_incident_that_is_forgotten(journal: Journal) -> None:
    await journal.submit(UNIT)
    await journal.submit([INCIDENTS.forgotten("i1")])
    readers = journal.readers
    assert await readers.incidents() == ()
    assert await readers.incident_timeline("i1") == ()
    assert await readers.attempts_of_incident("i1") == ()
    assert await readers.episodes(0) == ()


async def test_attempts_that_still_matter_are_found(journal: Journal) -> None:
    """Late ones, those of an episode that goes on, and those that did not end; none of an episode before."""
    over = replace(SILENT, incident_id="i2", key="k2", state=IncidentState.RESOLVED, resolved_at=T0 + 50)
    old = replace(TRIED, status=AttemptStatus.FAILED, ended_at=T0 + 7)
    tries = {
        "earlier": replace(old, attempt_id="earlier", episode=1),
        "present": replace(old, attempt_id="present", episode=2),
        "ended": replace(old, attempt_id="ended", incident_id="i2"),
        "running": replace(TRIED, attempt_id="running", incident_id="i2"),
        "late": replace(old, attempt_id="late", incident_id="i2", planned_at=T0 + 40, ended_at=T0 + 41),
    }
    saved = [ATTEMPTS.saved(one) for one in tries.values()]
    await journal.submit([INCIDENTS.saved(replace(SILENT, episode=2)), INCIDENTS.saved(over), *saved])
    found = await journal.readers.remedy_attempts(T0 + 30)
    assert {one.attempt_id for one in found} == {"present", "running", "late"}


async def test_episodes_that_flapping_is_judged_by_are_found(journal: Journal) -> None:
    episodes = [
        replace(FIRST, resolved_at=T0 + 10),
        replace(FIRST, episode=2, opened_at=T0 + 20, resolved_at=T0 + 40),
        replace(FIRST, episode=3, opened_at=T0 + 50),
    ]
    await journal.submit([INCIDENTS.saved(replace(SILENT, episode=3)), *map(EPISODES.saved, episodes)])
    assert await journal.readers.latest_episodes(T0 + 30) == tuple(episodes[1:])
    assert await journal.readers.latest_episodes(T0 + 100) == tuple(episodes[2:])


async def test_the_newest_of_a_long_timeline_are_told_oldest_first(journal: Journal) -> None:
    entries = [replace(OPENED, entry_id=f"e{number}", at=T0 + number) for number in range(5)]
    await journal.submit([INCIDENTS.saved(SILENT), *map(TIMELINE.saved, entries)])
    assert await journal.readers.incident_timeline("i1", limit=2) == tuple(entries[3:])


async def test_an_older_journal_learns_to_keep_them(tmp_path: Path, clock: ManualClock) -> None:
    with closing(older(tmp_path, 10)) as database, pytest.raises(sqlite3.OperationalError):
        database.execute("SELECT * FROM incidents")
    journal = await Journal.open(tmp_path, clock)
    try:
        await journal.submit(UNIT)
        assert await journal.readers.incidents() == (SILENT,)
    finally:
        await journal.close()


async def test_a_journal_of_before_learns_to_keep_circuits(tmp_path: Path, clock: ManualClock) -> None:
    (number,) = [number for number, sql in MIGRATIONS if "CREATE TABLE healing_circuits" in sql]
    older(tmp_path, number - 1).close()
    journal = await Journal.open(tmp_path, clock)
    try:
        first, second = Circuit("runs", 1, T0, T0 + 600_000), Circuit("runs", 2, T0 + 9, T0 + 600_009)
        await journal.submit([CIRCUITS.saved(second)])
        await journal.submit([CIRCUITS.saved(first)])
        assert await journal.readers.healing_circuits() == (second,)
    finally:
        await journal.close()
