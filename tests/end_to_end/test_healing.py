"""A whole house heals: runs that hang are found and ended, what cannot be healed is handed to people."""

import asyncio
from collections.abc import Callable

import pytest

from palyra.control.commands import DecideApproval
from palyra.control.incidents_commands import IncidentRef, ResolveIncidents
from palyra.control.snapshots import ApprovalView
from palyra.core.conditions import Domain, Severity
from palyra.core.errors import ConflictError
from palyra.core.pulse import WorkHeartbeatKind
from palyra.governance.approval_record import Applicant, ApprovalDecision
from palyra.governance.approvals import Petition, Ruling
from palyra.governance.four_eyes import Decider
from palyra.healing.record import AttemptStatus, IncidentRecord, IncidentState
from palyra.providers.carrier import ProviderCarrier
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.runs.states import RunState
from palyra.tasks.asking import TaskAsk
from tests.end_to_end.asking import asking, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises, chat

RUN = WorkHeartbeatKind.RUN


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a provider waits for ever, and no time limit is kept."""

    async def send(*_given: object, **_named: object) -> object:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(ProviderCarrier, "send", send)


async def settled(here: Premises, done: Callable[[], bool]) -> None:
    """Lets what is under way in the journal and in the loop go on until that is so."""
    while not done():
        await here.written()
        await here.advance(0.25)


def incident(here: Premises, run_id: str) -> IncidentRecord | None:
    return here.engine.healing.book.of(Domain.WATCHDOG, f"heartbeat:run:{run_id}")


@pytest.mark.usefixtures("hangs")
async def test_a_run_that_hangs_is_found_on_time_cancelled_and_on_record(opened: Opener) -> None:
    here = await opened()
    caller = await here.call(chat(stream=True))
    live = here.engine.runner.live
    await here.until(lambda: any(run.row.phase == "dispatch" for run in live))
    (run,) = live
    run_id = run.run_id
    await here.advance(300)
    assert incident(here, run_id) is None
    await here.advance(0.001)
    found = incident(here, run_id)
    assert found is not None
    assert (found.severity, found.opened_at - found.condition_since) == (Severity.HIGH, 1)
    assert found.related["provider"] == "openai"

    await settled(here, lambda: (now := incident(here, run_id)) is not None and now.state is IncidentState.RESOLVED)
    assert here.engine.healing.heartbeats.get(RUN, run_id) is None
    row = (await here.run(run_id)).run
    assert (row.state, row.reason) == (RunState.CANCELLED.value, "self_healing")
    (tried,) = await here.engine.journal.readers.attempts_of_incident(found.incident_id)
    assert (tried.remedy, tried.status, tried.asked_by) == ("cancel_run", AttemptStatus.SUCCEEDED, "auto")
    lines = [line.kind.value for line in await here.engine.journal.readers.incident_timeline(found.incident_id)]
    assert lines == ["opened", "remedy_planned", "remedy_started", "remedy_succeeded", "resolved"]
    assert (await caller.answer()).status == 410


async def handed_over(here: Premises) -> ApprovalView:
    """Waits until people are asked."""
    while not (asked := await here.approvals()):
        await here.advance(5)
        await here.written()
    return asked[0]


@pytest.mark.usefixtures("hangs")
async def test_a_task_whose_run_hangs_is_queued_again(opened: Opener) -> None:
    here = await opened()
    tasks, live = here.engine.tasks, here.engine.runner.live
    row, _ = await tasks.desk.submit(TaskAsk(text="hello", model=MINI, owner="local"), "ada")
    await here.advance(1)
    await here.until(lambda: any(run.row.phase == "dispatch" for run in live))
    (run,) = live
    run_id = run.run_id
    await here.advance(301)
    await settled(here, lambda: (now := incident(here, run_id)) is not None and not now.live)
    found = incident(here, run_id)
    assert found is not None
    assert found.reason == "remedy:cancel_run"
    again = tasks.desk.book.get(row.task_id)
    assert again is not None
    assert (again.state.value, again.attempt) in (("queued", 1), ("running", 2))
    await tasks.desk.cancel(row.task_id, "ada")
    await settled(here, lambda: tasks.desk.book.get(row.task_id) is None)


@pytest.mark.usefixtures("hangs")
async def test_a_remedy_that_people_must_allow_is_begun_by_their_word(opened: Opener) -> None:
    here = await opened('[healing]\nmode = "auto"\n')
    healing = here.engine.healing
    await here.call(chat(stream=True))
    live = here.engine.runner.live
    await here.until(lambda: any(run.row.phase == "dispatch" for run in live))
    (run,) = live
    with pytest.MonkeyPatch.context() as deaf:
        deaf.setattr(here.engine.runner, "stop", lambda *given: True)
        asked = await handed_over(here)
    found = incident(here, run.run_id)
    assert found is not None
    assert found.severity is Severity.CRITICAL
    assert asked.subject == f"remedy:{found.incident_id}:cancel_run"
    assert (asked.principal, asked.risk, asked.policy_ids) == ("palyra", "medium", ())
    assert "is cancelled" in asked.applicants[0].reason
    told = await here.allow(asked.approval_id)
    assert told.message == f"Allowed: {asked.subject}."
    await settled(here, lambda: (now := incident(here, run.run_id)) is not None and not now.live)
    last = healing.attempts.of(healing.book.get(found.incident_id))[-1]
    assert (last.asked_by, last.approval_id, last.status) == ("ada", asked.approval_id, AttemptStatus.SUCCEEDED)


@pytest.mark.usefixtures("hangs")
async def test_what_people_were_asked_of_an_episode_ends_with_it_and_allows_nothing_later(opened: Opener) -> None:
    here = await opened()
    healing = here.engine.healing
    await here.call(chat(stream=True))
    live = here.engine.runner.live
    await here.until(lambda: any(run.row.phase == "dispatch" for run in live))
    (run,) = live
    with pytest.MonkeyPatch.context() as deaf:
        deaf.setattr(here.engine.runner, "stop", lambda *given: True)
        asked = await handed_over(here)
    refused = await here.control.send(DecideApproval(asked.approval_id, "allow", scope="session"))
    assert (refused.status, "without a scope" in refused.fix) == ("invalid", True)
    found = incident(here, run.run_id)
    assert found is not None
    await here.send(ResolveIncidents((IncidentRef(found.incident_id),), force=True))
    (ended,) = await here.approvals()
    assert (ended.status, ended.decision, ended.reason) == ("resolved", "error", "incident_ended")
    late = await here.control.send(DecideApproval(asked.approval_id, "allow"))
    assert late.status == "conflict"
    with pytest.raises(ConflictError, match="resolved already"):
        healing.remedier.run(found.incident_id, "cancel_run", "ada", here.clock.now_ms(), episode=found.episode)
    here.engine.runner.stop(run.run_id, "self_healing", "ada")
    await here.rest()


@pytest.mark.usefixtures("hangs")
async def test_why_a_remedy_was_not_begun_stands_in_the_timeline(opened: Opener) -> None:
    here = await opened()
    await here.call(chat(stream=True))
    live = here.engine.runner.live
    await here.until(lambda: any(run.row.phase == "dispatch" for run in live))
    (run,) = live
    with pytest.MonkeyPatch.context() as deaf:
        deaf.setattr(here.engine.runner, "stop", lambda *given: True)
        asked = await handed_over(here)
    await here.deny(asked.approval_id, "it is a long one")
    found = incident(here, run.run_id)
    assert found is not None
    assert (found.live, found.severity) == (True, Severity.CRITICAL)
    await here.written()
    *_, told = await here.engine.journal.readers.incident_timeline(found.incident_id)
    assert (told.kind.value, told.by, told.data["detail"]) == ("remedy_skipped", "ada", "denied: it is a long one")
    here.engine.runner.stop(run.run_id, "self_healing", "ada")
    await here.rest()


async def test_a_provider_whose_breaker_stays_open_is_told_of_and_probed(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_given: object, **_named: object) -> object:
        raise ProviderError(ErrorClass.NETWORK_UNAVAILABLE, "Nobody is there.")

    monkeypatch.setattr(ProviderCarrier, "list_models", away)
    here = await opened()
    healing = here.engine.healing
    here.engine.breakers.of("openai")._open()
    await here.advance(60)
    assert healing.book.of(Domain.PROVIDER, "provider:openai") is None
    await here.advance(0.002)
    found = healing.book.of(Domain.PROVIDER, "provider:openai")
    assert found is not None
    assert (found.severity, found.subject) == (Severity.HIGH, "openai")
    await here.advance(1)
    assert [one.remedy for one in healing.attempts.of(found)] == ["probe_provider"]
    await settled(here, lambda: any(one.status.ended for one in healing.attempts.of(found)))
    assert healing.attempts.of(found)[0].status is AttemptStatus.FAILED


async def test_a_clock_that_was_set_back_and_a_journal_that_is_away_are_told_of(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await opened()
    book = here.engine.healing.book
    await here.advance(1)
    here.set_wall(here.clock.now_ms() - 120_000)
    await here.advance(15)
    clock = book.of(Domain.ENGINE, "engine:clock")
    assert clock is not None
    assert (clock.severity, "2m00s" in clock.cause) == (Severity.LOW, True)
    await here.advance(615)
    assert not book.get(clock.incident_id).live
    with monkeypatch.context() as away:
        away.setattr(type(here.engine.journal), "healthy", property(lambda journal: False))
        await here.advance(15)
    journal = book.of(Domain.STORAGE, "storage:journal")
    assert journal is not None
    assert journal.severity is Severity.CRITICAL


async def test_what_needs_people_in_a_quiet_house_is_nothing(opened: Opener) -> None:
    here = await opened()
    assert (await here.ask(chat())).status == 200
    await here.advance(120)
    assert here.engine.healing.book.live() == []
    assert len(here.engine.healing.heartbeats) == 0


async def test_a_run_that_waits_for_a_person_is_left_alone_and_the_approval_told_of(opened: Opener) -> None:
    here = await opened('[approvals]\npark_seconds = 600\n[healing.silent_after]\napproval = "200s"\nrun = "20s"\n')
    await closed(here)
    waiting = asking(here)
    asked = await here.parked()
    await here.advance(200)
    assert here.engine.healing.book.live() == []
    await here.advance(0.001)
    (waits,) = here.engine.healing.book.live()
    assert (waits.key, waits.severity) == (f"approval:{asked.approval_id}", Severity.MEDIUM)
    await here.allow(asked.approval_id)
    assert (await waiting).status == 200
    await settled(here, lambda: here.engine.healing.book.live() == [])


async def test_an_approval_is_late_a_millisecond_after_ten_minutes_however_many_were_decided(opened: Opener) -> None:
    here = await opened()
    desk, policies = here.engine.desk, here.engine.ledger.policies

    def asked(number: int) -> str:
        session = f"s{number}"
        petition = Petition("ann", session, "", (), applicant=Applicant("ann"), subject=f"remedy:i{number}:pause_job")
        opened = desk.open(petition, here.clock.now_ms())
        assert opened is not None
        here.engine.write(opened.changes)
        return opened.record.approval_id

    ruling = Ruling(ApprovalDecision.DENY, Decider("ada"))
    for number in range(500):
        approval_id = asked(number)
        here.engine.write(desk.decide(approval_id, ruling, here.clock.now_ms(), policies=policies).changes)
    waiting = asked(500)
    await here.advance(600)
    assert here.engine.healing.book.live() == []
    await here.advance(0.001)
    (late,) = here.engine.healing.book.live()
    assert (late.key, late.severity, late.feature) == (f"approval:{waiting}", Severity.MEDIUM, "approvals")
