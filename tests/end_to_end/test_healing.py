"""A whole house heals: runs that hang are found and ended, what cannot be healed is handed to people."""

import asyncio
from collections.abc import Callable

import pytest

from palyra.control.snapshots import ApprovalView
from palyra.core.conditions import Domain, Severity
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.record import AttemptStatus, IncidentRecord, IncidentState
from palyra.providers.carrier import ProviderCarrier
from palyra.runs.states import RunState
from tests.end_to_end.asking import asking, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises, chat

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
