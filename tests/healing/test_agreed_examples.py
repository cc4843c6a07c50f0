"""What was agreed on heartbeats, incidents and remedies, each example with the loop running."""

import pytest

from palyra.core.conditions import Condition, Domain, Severity
from palyra.healing.checks import Check
from palyra.healing.record import AttemptStatus, IncidentState
from tests.healing.conftest import Staged
from tests.healing.stage import RUN, T0, condition, healing_config


async def test_work_at_its_limit_is_healthy_and_a_millisecond_later_one_high_incident(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(120_000)
    assert stage.incidents() == []
    await stage.pass_time(1)
    (incident,) = stage.incidents()
    assert (incident.severity, incident.state, incident.key) == (
        Severity.HIGH,
        IncidentState.OPEN,
        "heartbeat:run:r1",
    )
    assert (incident.condition_since, incident.opened_at) == (T0 + 120_000, T0 + 120_001)


async def test_ten_more_cycles_are_counted_in_one_incident_with_one_opened_row(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(120_001)
    await stage.pass_time(150_000)
    (incident,) = stage.incidents()
    assert incident.occurrence_count == 11
    assert stage.lines(incident.incident_id) == ["opened", "remedy_skipped"]


async def test_a_beat_ends_it_and_silence_opens_the_same_again(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(120_001)
    first = stage.incident_of("r1")
    assert first is not None
    stage.beat("r1")
    await stage.pass_time(15_000)
    ended = stage.incident_of("r1")
    assert ended is not None
    assert (ended.state, ended.reason) == (IncidentState.RESOLVED, "condition_cleared")
    await stage.pass_time(105_001)
    again = stage.incident_of("r1")
    assert again is not None
    assert (again.incident_id, again.state, again.episode) == (first.incident_id, IncidentState.OPEN, 2)


async def test_a_run_that_streams_for_ten_minutes_is_no_incident(staged: Staged) -> None:
    stage = await staged()
    for token in range(600):
        stage.beat("r1", token)
        await stage.pass_time(1_000)
    assert stage.events == []


async def test_beats_without_progress_are_a_high_incident(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1", 5)
    for _ in range(20):
        await stage.pass_time(15_000)
        stage.beat("r1", 5)
    assert stage.incidents() == []
    await stage.pass_time(1)
    (incident,) = stage.incidents()
    assert incident.severity is Severity.HIGH
    assert "gets nowhere" in incident.summary


@pytest.mark.parametrize("mode", ["disabled", "observe_only", "auto"])
async def test_a_hung_run_is_treated_as_its_mode_says(staged: Staged, mode: str) -> None:
    stage = await staged(healing_config(mode))
    stage.beat("r1")
    await stage.pass_time(122_000)
    incident = stage.incident_of("r1")
    tries = stage.attempts("r1")
    if mode == "disabled":
        assert incident is None
        return
    assert incident is not None
    (tried,) = tries
    if mode == "observe_only":
        assert incident.state is IncidentState.OPEN
        assert (tried.status, tried.mode, tried.detail) == (AttemptStatus.SKIPPED, "observe_only", "observe_only")
        assert stage.cancelled == []
        await stage.pass_time(60_000)
        assert len(stage.attempts("r1")) == 1
        return
    assert (incident.state, incident.reason) == (IncidentState.RESOLVED, "remedy:cancel_run")
    assert tried.status is AttemptStatus.SUCCEEDED
    assert stage.cancelled == [("r1", T0 + 120_001)]
    assert stage.healing.heartbeats.get(RUN, "r1") is None


async def test_a_remedy_that_never_helps_is_tried_three_times_and_then_handed_over(staged: Staged) -> None:
    stage = await staged()
    stage.deaf.add("r1")
    stage.beat("r1")
    await stage.pass_time(120_001 + 90_000 + 4_999)
    found = T0 + 120_001
    assert [at - found for _, at in stage.cancelled] == [0, 30_000, 90_000]
    assert stage.escalations == []
    await stage.pass_time(1_000)
    incident = stage.incident_of("r1")
    assert incident is not None
    assert (incident.severity, incident.escalated) == (Severity.CRITICAL, True)
    (asked,) = stage.escalations
    assert asked.subject == f"remedy:{incident.incident_id}:cancel_run"
    assert asked.preview == ("Cancels the run that hangs.", "Ends run r1.")
    await stage.pass_time(3_600_000)
    assert len(stage.cancelled) == 3
    assert len(stage.escalations) == 1
    assert {one.status for one in stage.attempts("r1")} == {AttemptStatus.FAILED}


async def test_a_loop_that_stood_still_finds_nobody_late_who_can_beat_again(staged: Staged) -> None:
    config = healing_config().model_copy(
        update={"silent_after": healing_config().silent_after.model_copy(update={"run": 30_000})}
    )
    stage = await staged(config)
    runs = [f"r{number}" for number in range(100)]
    await stage.beating(runs, 60)
    stage.clock.tick(60)
    await stage.pass_time(0)
    await stage.beating(runs, 120)
    assert stage.events == []
    assert stage.cancelled == []


async def test_an_approval_is_late_after_ten_minutes(staged: Staged) -> None:
    """A check tells what is late now, and when there may be more."""
    stage = await staged(healing_config("observe_only"))
    asked = {"a1": T0}

    def late(now: int) -> list[Condition]:
        return [
            Condition(
                Domain.APPROVAL, f"approval:{name}", Severity.MEDIUM, f"Approval {name} waits", since=at + 600_000
            )
            for name, at in asked.items()
            if now - at > 600_000
        ]

    stage.healing.add_check(Check("approvals", late, lambda now: T0 + 600_001 if now <= T0 + 600_000 else None))
    await stage.pass_time(600_000)
    assert stage.incidents() == []
    await stage.pass_time(1)
    (incident,) = stage.incidents()
    assert (incident.severity, incident.feature) == (Severity.MEDIUM, "approvals")


async def test_runs_that_fall_silent_with_their_provider_hang_below_it(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"), relate=lambda heartbeat: {"provider": "openai"})
    for number in range(200):
        stage.beat(f"r{number}")
    await stage.pass_time(60_000)
    stage.healing.tell(condition("provider:openai", Severity.HIGH, Domain.PROVIDER, T0 + 60_000))
    await stage.pass_time(60_001)
    assert len(stage.incidents()) == 201
    (visible,) = [incident for incident in stage.incidents() if not incident.parent_id]
    assert (visible.key, visible.children) == ("provider:openai", 200)
    assert stage.told() == ["opened"]


async def test_a_condition_that_comes_and_goes_for_a_day_is_told_five_times(staged: Staged) -> None:
    stage = await staged(measured=False)
    for _ in range(144):
        stage.healing.tell(condition())
        await stage.pass_time(300_000)
        stage.healing.clear("job:j1:faulted")
        await stage.pass_time(300_000)
    await stage.pass_time(3_600_000)
    (incident,) = stage.healing.book.resolved()
    assert incident.key == "job:j1:faulted"
    told = stage.told()
    assert len(told) <= 5
    assert (told[0], told[-2:]) == ("opened", ["flapping", "stable"])
