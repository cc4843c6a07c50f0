"""What comes between the steps of the queue: a disk that fails, a cancel, another operator."""

import asyncio

import pytest

from palyra.core.errors import JournalUnavailableError
from palyra.journal.task_rows import TaskRow, TaskState
from tests.tasks.stage import T0, Stage


async def test_a_cancel_is_not_forgotten_with_a_claim_that_cannot_be_written(stage: Stage) -> None:
    row = await stage.add(not_before=T0 + 5_000)
    child = await stage.add(parent=row.task_id, not_before=T0 + 60_000)
    stage.paper.instant = False
    await stage.later(5)
    assert stage.now(row.task_id).state is TaskState.RUNNING
    cancelling = asyncio.ensure_future(stage.desk.cancel(row.task_id, "ada"))
    await stage.turns()
    assert stage.now(row.task_id).state is TaskState.CANCEL_REQUESTED
    stage.paper.fail()
    await asyncio.gather(cancelling, return_exceptions=True)
    await stage.turns()
    assert [stage.now(one.task_id).state for one in (row, child)] == [TaskState.CANCELLED] * 2
    stage.paper.healthy = stage.paper.instant = True
    stage.paper.flush()
    await stage.later(60)
    assert stage.runs.started == []
    assert stage.store.tasks[row.task_id].state is TaskState.CANCELLED


async def test_a_disk_that_cannot_be_read_for_a_while_poisons_no_task(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unread(_task_id: str) -> None:
        raise JournalUnavailableError("The journal cannot be read.")

    row = await stage.add(not_before=T0 + 5_000)
    stage.desk.inputs.drop(row.task_id)
    with monkeypatch.context() as trouble:
        trouble.setattr(stage.paper, "task_input", unread)
        for _ in range(10):
            await stage.later(5)
        waits = stage.now(row.task_id)
        assert (waits.state, waits.attempt, waits.interruptions) == (TaskState.QUEUED, 0, 0)
    await stage.later(5)
    assert (await stage.end(row.task_id)).state is TaskState.COMPLETED


async def test_a_retry_that_another_one_overtook_goes_by_what_became_of_that(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = await stage.add()
    row = await stage.add(parent=parent.task_id)
    await stage.end(parent.task_id)
    await stage.end(row.task_id, "failed", "auth_invalid")
    del stage.desk._ended[parent.task_id]
    gate, read = asyncio.Event(), stage.paper.task

    async def slowly(task_id: str) -> TaskRow | None:
        await gate.wait()
        return await read(task_id)

    with monkeypatch.context() as slow:
        slow.setattr(stage.paper, "task", slowly)
        first = asyncio.ensure_future(stage.desk.retry(row.task_id, "ada"))
        await stage.turns()
    await stage.desk.retry(row.task_id, "bob")
    await stage.turns()
    failed = await stage.end(row.task_id, "failed", "auth_invalid")
    gate.set()
    again = await first
    assert (again.version, again.fence) == (failed.version + 1, failed.fence)
    await stage.turns()
    done = await stage.end(row.task_id)
    assert (done.state, done.fence) == (TaskState.COMPLETED, failed.fence + 1)
    assert stage.store.tasks[row.task_id] == done
