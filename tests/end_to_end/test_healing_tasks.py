"""Remedies of tasks and jobs, carried out by the rooms that own them."""

import asyncio
from collections.abc import Callable

import pytest

from palyra.core.conditions import Domain
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.record import AttemptStatus, IncidentRecord
from palyra.providers.carrier import ProviderCarrier
from palyra.tasks.asking import TaskAsk
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises

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


def _id(here: Premises, task_id: str) -> str:
    found = incident(here, task_id)
    assert found is not None
    return found.incident_id
