"""Incidents outlive the engine; what ended with it ends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.conditions import Domain, Severity
from palyra.healing.record import Attempt, AttemptStatus, IncidentRecord, IncidentState
from palyra.healing.remedies import RemedyAct, helped
from palyra.journal.journal import Journal
from tests.healing.stage import T0, Stage, a_stage, condition, healing_config


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path, ManualClock(T0))
    yield opened
    await opened.close()


async def dies(stage: Stage) -> None:
    """The engine is gone without a word; what it wrote is there."""
    await stage.pass_time(0)
    stage.dead = True
    await stage.close()


async def test_everything_about_an_incident_is_kept(journal: Journal) -> None:
    stage = await a_stage(journal=journal)
    stage.healing.tell(condition())
    await stage.pass_time(15_000)
    (first,) = stage.incidents()
    acts = stage.healing.acts
    acts.acknowledge(first.incident_id, "ada", T0 + 15_000)
    acts.assign(first.incident_id, "bob", "ada", T0 + 15_001)
    acts.snooze(first.incident_id, 3_600_000, "known", "ada", T0 + 15_002)
    kept = acts.note(first.incident_id, "cable", "ada", T0 + 15_003)
    stage.healing.settle()
    await stage.close()
    later = await a_stage(journal=journal, boot_id="boot-2", clock=ManualClock(T0 + 60_000))
    assert later.incidents() == [kept]
    lines = await journal.readers.incident_timeline(kept.incident_id)
    assert [line.kind.value for line in lines] == ["opened", "acknowledged", "assigned", "snoozed", "note"]
    later.healing.tell(condition())
    await later.pass_time(15_000)
    (again,) = later.incidents()
    assert (again.incident_id, again.occurrence_count) == (kept.incident_id, kept.occurrence_count + 1)
    await later.close()


async def test_work_of_a_dead_engine_is_no_incident_any_more(journal: Journal) -> None:
    stage = await a_stage(healing_config("observe_only"), journal=journal)
    stage.beat("r1")
    stage.healing.tell(condition())
    await stage.pass_time(121_000)
    await dies(stage)
    later = await a_stage(journal=journal, boot_id="boot-2", clock=ManualClock(T0 + 130_000))
    ended = later.incident_of("r1")
    assert ended is not None
    assert (ended.state, ended.reason, ended.holds) == (IncidentState.RESOLVED, "owner_restarted", False)
    assert [one.key for one in later.incidents()] == ["job:j1:faulted"]
    await later.close()


async def test_a_remedy_that_an_engine_died_in_was_interrupted(journal: Journal) -> None:
    stage = await a_stage(journal=journal)
    stage.deaf.add("r1")
    stage.beat("r1")
    await stage.pass_time(121_000)
    (running,) = stage.attempts("r1")
    assert running.status is AttemptStatus.RUNNING
    await dies(stage)
    later = await a_stage(journal=journal, boot_id="boot-2", clock=ManualClock(T0 + 130_000))
    async with journal.fence() as readers:
        (attempt,) = await readers.attempts_of_incident(running.incident_id)
        lines = [line.kind.value for line in await readers.incident_timeline(running.incident_id)]
    assert (attempt.status, attempt.detail, attempt.ended_at) == (AttemptStatus.FAILED, "interrupted", T0 + 130_000)
    ended = later.incident_of("r1")
    assert ended is not None
    assert (ended.state, ended.reason) == (IncidentState.RESOLVED, "owner_restarted")
    assert lines == ["opened", "remedy_planned", "remedy_started", "remedy_failed", "resolved"]
    await later.close()


async def test_an_orderly_end_interrupts_remedies_at_once(journal: Journal) -> None:
    stage = await a_stage(journal=journal)
    stage.deaf.add("r1")
    stage.beat("r1")
    await stage.pass_time(121_000)
    (running,) = stage.attempts("r1")
    await stage.close()
    async with journal.fence() as readers:
        (attempt,) = await readers.attempts_of_incident(running.incident_id)
    assert (attempt.status, attempt.detail) == (AttemptStatus.FAILED, "interrupted")


async def test_tries_before_a_restart_count(journal: Journal) -> None:
    """A provider was probed twice in vain; the next engine tries once more and then hands it over."""
    stage = await probing(journal, "boot-1", T0)
    for _ in range(90):
        if len(stage.cancelled) < 2:
            await stage.pass_time(1_000)
    assert len(stage.cancelled) == 2
    await dies(stage)
    later = await probing(journal, "boot-2", stage.clock.now_ms())
    for _ in range(60):
        await later.pass_time(5_000)
    assert len(later.cancelled) == 1
    assert [asked.remedy.name for asked in later.escalations] == ["probe_provider"]
    await later.close()


async def probing(journal: Journal, boot_id: str, at: int) -> Stage:
    """A house with a provider that answers no probe."""
    stage = await a_stage(journal=journal, boot_id=boot_id, clock=ManualClock(at))

    async def probe(record: IncidentRecord, attempt: Attempt) -> str:
        stage.cancelled.append((record.subject, stage.clock.now_ms()))
        return "asked"

    silent = RemedyAct(probe, lambda record, attempt: helped(False, attempt), lambda record: [])
    stage.healing.chest.add("probe_provider", silent)
    stage.healing.tell(condition("provider:openai", Severity.HIGH, Domain.PROVIDER, subject="openai"))
    await settle_loop()
    return stage


async def test_how_often_it_turned_is_remembered(journal: Journal) -> None:
    stage = await a_stage(journal=journal)
    stage.healing.tell(condition())
    await stage.pass_time(15_000)
    stage.healing.clear("job:j1:faulted")
    await stage.pass_time(15_000)
    await stage.close()
    later = await a_stage(journal=journal, boot_id="boot-2", clock=ManualClock(T0 + 60_000))
    later.healing.tell(condition())
    await later.pass_time(15_000)
    later.healing.clear("job:j1:faulted")
    await later.pass_time(15_000)
    assert later.told() == ["reopened", "flapping"]
    await later.close()


async def test_a_start_that_nothing_happened_in_writes_nothing(journal: Journal) -> None:
    stage = await a_stage(journal=journal)
    stage.healing.tell(condition())
    await stage.pass_time(1_000)
    await stage.close()
    later = await a_stage(journal=journal, boot_id="boot-2", clock=ManualClock(T0 + 5_000))
    assert later.written == []
    await later.close()


async def test_a_circuit_stays_open_over_a_restart_and_is_told_of_once(journal: Journal) -> None:
    stage = await probing_many(journal, "boot-1", T0, 16_000)
    while not stage.escalations:
        await stage.pass_time(1_000)
    assert len(stage.cancelled) == 10
    (until,) = stage.healing.attempts.circuits(stage.clock.now_ms()).values()
    await dies(stage)
    later = await probing_many(journal, "boot-2", stage.clock.now_ms() + 2_000, 0)
    assert later.healing.attempts.circuits(later.clock.now_ms()) == {"providers": until}
    await later.pass_time(until - later.clock.now_ms() - 1)
    assert (later.cancelled, later.escalations) == ([], [])
    await later.pass_time(30_000)
    assert later.healing.attempts.circuits(later.clock.now_ms()) == {}
    assert later.cancelled != []
    await later.close()


async def probing_many(journal: Journal, boot_id: str, at: int, apart_ms: int) -> Stage:
    """Eight providers, none of which answers a probe; far enough apart they are no storm."""
    stage = await a_stage(journal=journal, boot_id=boot_id, clock=ManualClock(at))

    async def probe(record: IncidentRecord, attempt: Attempt) -> str:
        stage.cancelled.append((record.subject, stage.clock.now_ms()))
        return "asked"

    silent = RemedyAct(probe, lambda record, attempt: helped(False, attempt), lambda record: [])
    stage.healing.chest.add("probe_provider", silent)
    for number in range(8):
        name = f"p{number}"
        stage.healing.tell(condition(f"provider:{name}", Severity.HIGH, Domain.PROVIDER, subject=name))
        await stage.pass_time(apart_ms)
    return stage


async def test_the_fifth_within_a_minute_makes_a_storm_of_four_that_came_before_a_restart(journal: Journal) -> None:
    stage = await a_stage(journal=journal)
    for number in range(4):
        stage.healing.tell(condition(f"job:j{number}:faulted", subject=f"j{number}"))
        await stage.pass_time(10_000)
    await dies(stage)
    later = await a_stage(journal=journal, boot_id="boot-2", clock=ManualClock(T0 + 55_000))
    for number in range(5):
        later.healing.tell(condition(f"job:j{number}:faulted", subject=f"j{number}"))
    await later.pass_time(1_000)
    (storm,) = [one for one in later.incidents() if one.storm]
    assert storm.children == 5
    await later.close()
