"""Remedies of tasks and jobs, carried out by the rooms that own them."""

import asyncio
from collections.abc import Callable

import pytest

from palyra.control.incidents_commands import IncidentRef, RunRemedy
from palyra.core.conditions import Domain
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.record import AttemptStatus, IncidentRecord
from palyra.journal.task_rows import TaskState
from palyra.providers.carrier import ProviderCarrier
from palyra.tasks.asking import TaskAsk
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises
from tests.support.upstream import Reply

TASK = WorkHeartbeatKind.BACKGROUND_TASK
QUICK = '[healing]\nfeatures.runs = "disabled"\n[healing.stalled_after]\nbackground_task = "30s"\n'


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a provider waits for ever, and no time limit is kept."""

    async def send(*_given: object, **_named: object) -> object:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(ProviderCarrier, "send", send)


async def settled(here: Premises, done: Callable[[], bool]) -> None:
    while not done():
        await here.written()
        await here.advance(0.25)


def incident(here: Premises, task_id: str) -> IncidentRecord | None:
    return here.engine.healing.book.of(Domain.WATCHDOG, f"heartbeat:background_task:{task_id}")


async def begun(here: Premises, **fields: object) -> str:
    row, _ = await here.engine.tasks.desk.submit(TaskAsk(text="hello", model=MINI, owner="local", **fields), "ada")  # type: ignore[arg-type]
    await here.advance(1)
    await here.until(lambda: any(run.row.phase == "dispatch" for run in here.engine.runner.live))
    return row.task_id


@pytest.mark.usefixtures("hangs")
async def test_a_hung_task_with_attempts_left_is_begun_again(opened: Opener) -> None:
    here = await opened(QUICK)
    task_id = await begun(here, backoff_ms=1)
    await settled(here, lambda: incident(here, task_id) is not None)
    await settled(here, lambda: not here.engine.healing.book.get(_id(here, task_id)).live)
    (tried,) = here.engine.healing.attempts.of(here.engine.healing.book.get(_id(here, task_id)))
    assert (tried.remedy, tried.status) == ("redispatch_task", AttemptStatus.SUCCEEDED)
    row = here.engine.tasks.desk.book.get(task_id)
    assert row is not None
    assert (row.state.value, row.attempt) == ("running", 2)
    await here.engine.tasks.desk.cancel(task_id, "ada")
    await settled(here, lambda: here.engine.tasks.desk.book.get(task_id) is None)


@pytest.mark.usefixtures("hangs")
async def test_a_hung_task_without_attempts_left_fails(opened: Opener) -> None:
    here = await opened(QUICK)
    task_id = await begun(here, max_attempts=1)
    await settled(here, lambda: incident(here, task_id) is not None)
    await settled(here, lambda: not here.engine.healing.book.get(_id(here, task_id)).live)
    (tried,) = here.engine.healing.attempts.of(here.engine.healing.book.get(_id(here, task_id)))
    assert (tried.remedy, tried.status) == ("fail_task", AttemptStatus.SUCCEEDED)
    row = await here.engine.tasks.desk.find(task_id)
    assert (row.state.value, row.reason) == ("failed", "stalled")
    assert here.engine.healing.heartbeats.get(TASK, task_id) is None


def interruptions(here: Premises, task_id: str) -> int:
    row = here.engine.tasks.desk.newest(task_id)
    return 0 if row is None else row.interruptions


async def poisoned(here: Premises) -> tuple[str, IncidentRecord]:
    """A task that whoever worked on it was lost with three times, and its incident."""
    tasks = here.engine.tasks
    row, _ = await tasks.desk.submit(
        TaskAsk(text="hello", model=MINI, owner="local", max_attempts=10, backoff_ms=1), "ada"
    )
    for lost in range(3):
        await settled(here, lambda: row.task_id in tasks._workers)
        tasks._workers[row.task_id].abandon()
        await settled(here, lambda times=lost + 1: interruptions(here, row.task_id) == times)  # type: ignore[misc]
    key = f"task:{row.task_id}:poison"
    await settled(here, lambda: here.engine.healing.book.of(Domain.QUEUE, key) is not None)
    found = here.engine.healing.book.of(Domain.QUEUE, key)
    assert found is not None
    return row.task_id, found


async def allowed(here: Premises, found: IncidentRecord) -> None:
    """Somebody asks for the remedy that the incident has, and is allowed it."""
    asked = await here.send(RunRemedy(IncidentRef(found.incident_id)))
    assert asked.data["remedy"] == "retry_task"
    await here.allow(asked.data["approval_id"])


@pytest.mark.parametrize("well", [True, False])
async def test_a_poisoned_task_is_tried_again_by_somebodys_word_and_helped_once_it_completes(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, well: bool
) -> None:
    here = await opened('[healing]\nfeatures.runs = "disabled"\n')
    with monkeypatch.context() as hanging:

        async def send(*_given: object, **_named: object) -> object:
            return await asyncio.get_running_loop().create_future()

        hanging.setattr(ProviderCarrier, "send", send)
        task_id, found = await poisoned(here)
        assert here.engine.healing.attempts.of(found) == []
        await here.advance(0)
    if not well:
        here.upstream.replies += [Reply(status=400)] * 3
    await allowed(here, found)
    book, attempts = here.engine.healing.book, here.engine.healing.attempts
    await settled(here, lambda: bool(tried := attempts.of(found)) and tried[-1].status.ended)
    (tried,) = attempts.of(found)
    row = await here.engine.tasks.desk.find(task_id)
    assert tried.asked_by == "ada"
    if well:
        assert (row.state, tried.status) == (TaskState.COMPLETED, AttemptStatus.SUCCEEDED)
        assert book.get(found.incident_id).reason == "remedy:retry_task"
    else:
        assert (row.state, tried.status) == (TaskState.FAILED, AttemptStatus.FAILED)
        assert "the task is failed" in tried.detail


def _id(here: Premises, task_id: str) -> str:
    found = incident(here, task_id)
    assert found is not None
    return found.incident_id
