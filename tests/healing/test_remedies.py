"""Remedies at work: durable before the act, tested again, verified, capped; what people may ask for."""

import asyncio
from pathlib import Path

import pytest

from palyra.config.operations import HealingMode
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.conditions import Domain, Severity
from palyra.core.errors import BadInputError, ConflictError, NotFoundError, PalyraError
from palyra.healing.record import Attempt, AttemptStatus, IncidentRecord, IncidentState
from palyra.healing.remedier import read_subject, subject_of
from palyra.healing.remedies import Checked, RemedyAct, Status
from palyra.journal.incident_rows import ATTEMPTS
from palyra.journal.journal import Journal
from tests.healing.conftest import Staged
from tests.healing.stage import T0, Stage, condition, healing_config


def incident(stage: Stage, run_id: str = "r1") -> IncidentRecord:
    found = stage.incident_of(run_id)
    assert found is not None
    return found


async def test_what_is_done_was_written_before(staged: Staged) -> None:
    stage = await staged()
    seen: list[list[str]] = []

    async def act(record: IncidentRecord, attempt: Attempt) -> str:
        rows = [one for one in stage.written if getattr(one, "table", "") == ATTEMPTS.table.name]
        status = ATTEMPTS.table.columns.index("status")
        seen.append([str(row.values[status]) for row in rows])  # type: ignore[union-attr]
        stage.end("r1")
        return "done"

    stage.healing.chest.add("cancel_run", RemedyAct(act, lambda record, attempt: Checked(Status.VERIFIED), _nothing))
    stage.beat("r1")
    await stage.pass_time(120_001)
    assert seen == [["planned", "running"]]
    assert stage.lines(incident(stage).incident_id) == [
        "opened",
        "remedy_planned",
        "remedy_started",
        "remedy_succeeded",
        "resolved",
    ]


def _nothing(record: IncidentRecord) -> list[str]:
    return []


async def test_nothing_is_done_that_could_not_be_written(staged: Staged, tmp_path: Path) -> None:
    clock = ManualClock(T0)
    journal = await Journal.open(tmp_path, clock)
    stage = await staged(clock=clock, journal=journal)
    stage.beat("r1")
    await journal.close()
    stage.journal = None
    await stage.pass_time(121_000)
    assert stage.cancelled == []
    (attempt,) = stage.attempts("r1")
    assert attempt.status is AttemptStatus.FAILED


async def test_a_condition_that_went_before_the_act_is_left_alone(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(121_000)
    stage.beat("r1")
    stage.healing.remedier.run(incident(stage).incident_id, "cancel_run", "ada", stage.clock.now_ms())
    await settle_loop()
    assert stage.cancelled == []
    skipped = stage.attempts("r1")[-1]
    assert (skipped.status, skipped.detail, skipped.asked_by) == (AttemptStatus.SKIPPED, "condition_cleared", "ada")
    assert incident(stage).state is IncidentState.OPEN
    await stage.pass_time(15_000)
    assert incident(stage).state is IncidentState.RESOLVED


@pytest.mark.parametrize(
    ("raised", "detail"),
    [
        (PalyraError("The run is another engine's."), "The run is another engine's."),
        (ValueError("x"), "internal_error"),
    ],
)
async def test_an_act_that_fails_is_told_and_tried_again(staged: Staged, raised: Exception, detail: str) -> None:
    stage = await staged()

    async def act(record: IncidentRecord, attempt: Attempt) -> str:
        raise raised

    stage.healing.chest.add("cancel_run", RemedyAct(act, lambda record, attempt: Checked(Status.WAITING), _nothing))
    stage.beat("r1")
    await stage.pass_time(120_001)
    assert [(one.status, one.detail) for one in stage.attempts("r1")] == [(AttemptStatus.FAILED, detail)]
    await stage.pass_time(30_000)
    assert len(stage.attempts("r1")) == 2


async def test_an_act_that_hangs_is_given_up(staged: Staged) -> None:
    stage = await staged()

    async def act(record: IncidentRecord, attempt: Attempt) -> str:
        await asyncio.get_running_loop().create_future()
        return ""

    stage.healing.chest.add("cancel_run", RemedyAct(act, lambda record, attempt: Checked(Status.WAITING), _nothing))
    stage.beat("r1")
    await stage.pass_time(120_001 + 29_999)
    assert incident(stage).state is IncidentState.REMEDIATING
    await stage.pass_time(2)
    assert stage.attempts("r1")[0].detail == "It took longer than 30 s."


async def test_time_runs_from_when_it_could_help(staged: Staged) -> None:
    """A task that is queued again is claimed after its back-off; only then its minute begins."""
    stage = await staged()
    claimed: list[int] = []

    async def act(record: IncidentRecord, attempt: Attempt) -> str:
        return "queued"

    def check(record: IncidentRecord, attempt: Attempt) -> Checked:
        return Checked(Status.WAITING, since=claimed[0] if claimed else None)

    stage.healing.chest.add("reset_job", RemedyAct(act, check, _nothing))
    stage.healing.tell(condition())
    await stage.pass_time(0)
    (found,) = stage.incidents()
    stage.healing.remedier.run(found.incident_id, "reset_job", "ada", stage.clock.now_ms())
    await stage.pass_time(600_000)
    assert stage.incidents()[0].state is IncidentState.REMEDIATING
    claimed.append(stage.clock.now_ms())
    await stage.pass_time(4_900)
    assert stage.incidents()[0].state is IncidentState.REMEDIATING
    await stage.pass_time(200)
    assert stage.incidents()[0].state is IncidentState.OPEN


async def test_more_than_ten_in_ten_minutes_open_the_circuit_with_one_escalation(staged: Staged) -> None:
    stage = await staged()
    for number in range(30):
        stage.deaf.add(f"r{number}")
        stage.beat(f"r{number}")
    await stage.pass_time(121_000)
    assert len(stage.cancelled) == 10
    (asked,) = stage.escalations
    assert asked.record.storm
    assert len(asked.preview) == 1 + 20 - 1 + 1
    (storm,) = [one for one in stage.incidents() if one.storm]
    assert (storm.severity, storm.escalated, storm.children) == (Severity.CRITICAL, True, 30)
    await stage.pass_time(1_200_000)
    assert len(stage.cancelled) == 10
    assert len(stage.escalations) == 1


async def test_a_circuit_closes_after_ten_minutes(staged: Staged) -> None:
    stage = await staged()
    for number in range(12):
        stage.beat(f"r{number}")
        await stage.pass_time(20_000)
    await stage.pass_time(160_000)
    assert len(stage.cancelled) == 10
    assert [asked.record.subject for asked in stage.escalations] == ["r10"]
    assert set(stage.healing.attempts.circuits(stage.clock.now_ms())) == {"runs"}
    await stage.pass_time(700_000)
    assert [name for name, _ in stage.cancelled[10:]] == ["r11"]


async def test_people_may_go_on_where_automatic_tries_ended_and_on_a_storm_for_all_below(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    for number in range(40):
        stage.beat(f"r{number}")
    await stage.pass_time(121_000)
    (storm,) = [one for one in stage.incidents() if one.storm]
    preview = stage.healing.remedier.preview(storm, "cancel_run")
    assert preview[0] == "Cancels the run that hangs."
    assert set(preview[1:]) == {f"Ends run r{number}." for number in range(40)}
    begun = stage.healing.remedier.run(
        storm.incident_id, "cancel_run", "ada", stage.clock.now_ms(), version=storm.version, approval_id="a1"
    )
    assert len(begun) == 40
    await stage.pass_time(1_000)
    assert len(stage.cancelled) == 40
    assert stage.incidents() == []
    assert {
        one.approval_id for number in range(40) for one in stage.attempts(f"r{number}") if one.asked_by == "ada"
    } == {"a1"}


async def test_a_remedy_is_refused_where_it_makes_no_sense(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.deaf.add("r1")
    stage.beat("r1")
    stage.healing.tell(condition("engine:clock", Severity.LOW, Domain.ENGINE))
    await stage.pass_time(121_000)
    run, now = stage.healing.remedier.run, stage.clock.now_ms()
    found = incident(stage)
    clock = stage.healing.book.of(Domain.ENGINE, "engine:clock")
    assert clock is not None
    with pytest.raises(NotFoundError, match="no remedy"):
        run(clock.incident_id, "cancel_run", "ada", now)
    with pytest.raises(BadInputError, match="There is: cancel_run"):
        run(found.incident_id, "reset_job", "ada", now)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        run(found.incident_id, "cancel_run", "ada", now, version=99)
    run(found.incident_id, "cancel_run", "ada", now)
    with pytest.raises(ConflictError, match="is running"):
        run(found.incident_id, "cancel_run", "bob", now)
    await stage.pass_time(6_000)
    stage.end("r1")
    await stage.pass_time(15_000)
    with pytest.raises(ConflictError, match="resolved already"):
        run(found.incident_id, "cancel_run", "ada", now)


async def test_a_mode_that_is_changed_counts_from_the_next_look_on(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(121_000)
    assert stage.cancelled == []
    before = stage.healing.modes.say("runs", HealingMode.AUTO)
    assert before == "observe_only"
    await stage.pass_time(1_000)
    assert len(stage.cancelled) == 1
    assert incident(stage).state is IncidentState.RESOLVED


async def test_what_is_switched_off_ends_with_the_next_cycle(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(121_000)
    stage.healing.modes.say("runs", HealingMode.DISABLED)
    await stage.pass_time(15_000)
    assert (incident(stage).state, incident(stage).reason) == (IncidentState.RESOLVED, "switched_off")


async def test_what_was_handed_over_is_recorded_with_its_approval(staged: Staged) -> None:
    stage = await staged()
    stage.deaf.add("r1")
    stage.beat("r1")
    await stage.pass_time(220_000)
    found = incident(stage)
    (line,) = [entry for entry in stage.timeline(found.incident_id) if entry.kind.value == "escalated"]
    assert line.data == {
        "remedy": "cancel_run",
        "reason": "It was tried as often as it may be.",
        "approval_id": "approval-1",
    }
    assert stage.told() == ["opened", "escalated"]


def test_the_subject_of_an_approval_tells_incident_and_remedy() -> None:
    assert read_subject(subject_of("01ABC", "cancel_run")) == ("01ABC", "cancel_run")
    assert read_subject("usage-budget:team") is None


async def test_whoever_saw_one_episode_asked_for_nothing_in_the_next(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(121_000)
    (found,) = stage.incidents()
    stage.beat("r1")
    await stage.pass_time(15_000)
    await stage.pass_time(121_000)
    now = stage.clock.now_ms()
    with pytest.raises(ConflictError, match="opened again as episode 2"):
        stage.healing.remedier.run(found.incident_id, "cancel_run", "ada", now, episode=1)
    assert stage.cancelled == []
    (begun,) = stage.healing.remedier.run(found.incident_id, "cancel_run", "ada", now, episode=2)
    assert begun.episode == 2
    await stage.pass_time(1_000)
