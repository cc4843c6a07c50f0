"""Tasks carried out by an engine: claimed, run, tried again, stopped and finished, with the money they spend."""

import asyncio
from collections.abc import Sequence

import pytest

from palyra.control.commands import CancelRun
from palyra.control.task_commands import ActOnTasks
from palyra.journal.changes import Change, RunNoted
from palyra.journal.entity import EntitySaved
from palyra.journal.task_rows import TaskState, Waits
from palyra.tasks.moves import WrongStateError
from tests.end_to_end.asking import closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises, chat
from tests.end_to_end.task_house import Tasks
from tests.support.faults import MALFORMED
from tests.support.upstream import Reply, Upstream


@pytest.fixture
def tasks(here: Premises) -> Tasks:
    return Tasks(here)


async def test_a_task_is_claimed_run_and_completed(here: Premises, tasks: Tasks) -> None:
    task_id = await tasks.add()
    row = await tasks.ends(task_id)
    assert (row.state, row.attempt, row.fence, row.tokens) == (TaskState.COMPLETED, 1, 1, 16)
    assert await tasks.in_journal(task_id) == row
    assert await tasks.text_of(task_id) == "Hello world."
    detail = await here.run(row.target_run_id)
    assert detail.run.state == "completed"
    (owner,) = await here.engine.journal.readers.runs_of_task(task_id)
    assert (owner.run_id, owner.attempt, owner.source) == (row.target_run_id, 1, "task")


async def test_work_that_takes_long_is_one_attempt(here: Premises, tasks: Tasks, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add()
    await upstream.wait_for_requests(1)
    for _ in range(10):
        await here.advance(1)
    upstream.default.gate.set()  # type: ignore[union-attr]
    row = await tasks.ends(task_id)
    assert (row.state, row.attempt, len(upstream.seen)) == (TaskState.COMPLETED, 1, 1)


async def test_a_running_task_does_not_expire(here: Premises, tasks: Tasks, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add(expires_at=here.clock.now_ms() + 5_000)
    await upstream.wait_for_requests(1)
    await here.advance(6)
    upstream.default.gate.set()  # type: ignore[union-attr]
    assert (await tasks.ends(task_id)).state is TaskState.COMPLETED


async def test_what_is_too_old_never_starts(here: Premises, tasks: Tasks, upstream: Upstream) -> None:
    now = here.clock.now_ms()
    task_id = await tasks.add(not_before=now + 4_000, expires_at=now + 5_000)
    tasks.queue._claiming = False
    await here.advance(5)
    row = await tasks.ends(task_id)
    assert (row.state, row.reason, row.attempt) == (TaskState.EXPIRED, "expired", 0)
    assert (await here.runs(), upstream.seen) == ((), [])


async def test_a_completed_task_cannot_be_cancelled(here: Premises, tasks: Tasks) -> None:
    task_id = await tasks.add()
    row = await tasks.ends(task_id)
    with pytest.raises(WrongStateError, match=f"task {task_id} is completed; cancel does not apply"):
        await tasks.queue.desk.cancel(task_id, "ada")
    assert await tasks.in_journal(task_id) == row


async def test_who_saw_another_state_acts_on_nothing(here: Premises, tasks: Tasks) -> None:
    task_id = await tasks.add(not_before=here.clock.now_ms() + 60_000)
    stale = await here.control.send(ActOnTasks("cancel", (task_id,), seen="running"))
    assert (stale.status, "is queued now, not running" in stale.message) == ("stale", True)
    assert (await tasks.stands(task_id)).state is TaskState.QUEUED
    assert (await here.control.send(ActOnTasks("cancel", (task_id,), seen="queued"))).ok
    assert (await tasks.stands(task_id)).state is TaskState.CANCELLED


async def test_a_failed_task_and_an_expired_one_start_afresh(here: Premises, tasks: Tasks, upstream: Upstream) -> None:
    upstream.default = MALFORMED
    failed = await tasks.add(max_attempts=3)
    for attempt in (1, 2, 3):
        await upstream.wait_for_requests(attempt)
        await tasks.until(failed, TaskState.QUEUED)
        await tasks.turns()
        await here.advance(10)
    row = await tasks.ends(failed)
    assert (row.state, row.reason, row.attempt) == (TaskState.FAILED, "attempts_exhausted", 3)
    assert row.error.startswith("malformed_response: ")
    now = here.clock.now_ms()
    expired = await tasks.add(not_before=now + 1_000, expires_at=now + 2_000)
    tasks.queue._claiming = False
    await here.advance(2)
    assert (await tasks.ends(expired)).state is TaskState.EXPIRED
    upstream.default = Reply()
    for task_id in (failed, expired):
        fresh = await tasks.queue.desk.retry(task_id, "ada")
        assert (fresh.state, fresh.attempt, fresh.expires_at, fresh.reason) == (TaskState.QUEUED, 0, None, "")
    tasks.queue.open_claims()
    for task_id in (failed, expired):
        row = await tasks.ends(task_id)
        assert (row.state, row.attempt) == (TaskState.COMPLETED, 1)


async def test_a_worker_that_dies_is_followed_by_another_attempt(
    here: Premises, tasks: Tasks, upstream: Upstream
) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add(max_attempts=2)
    await upstream.wait_for_requests(1)
    tasks.queue._workers[task_id].abandon()
    row = await tasks.until(task_id, TaskState.QUEUED)
    assert (row.attempt, row.interruptions, row.waits) == (1, 1, Waits.BACKOFF)
    assert 1_000 <= row.not_before - here.clock.now_ms() <= 1_200
    await here.advance(1.3)
    await upstream.wait_for_requests(2)
    tasks.queue._workers[task_id].abandon()
    row = await tasks.ends(task_id)
    assert (row.state, row.reason, row.attempt) == (TaskState.FAILED, "attempts_exhausted", 2)


async def test_a_result_that_comes_late_changes_nothing(here: Premises, tasks: Tasks, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add(max_attempts=1)
    await upstream.wait_for_requests(1)
    worker = tasks.queue._workers[task_id]
    row = tasks.queue.desk.book.get(task_id)
    assert row is not None
    tasks.queue._lapsed(row, worker)
    ended = await tasks.ends(task_id)
    await here.rest()
    assert (ended.state, ended.reason) == (TaskState.FAILED, "attempts_exhausted")
    await tasks.turns()
    assert tasks.queue.stale_writes >= 1
    assert await tasks.in_journal(task_id) == ended
    (run,) = await here.runs()
    assert (run.state, run.reason) == ("cancelled", "replaced")


async def test_a_cancel_is_done_before_anything_is_begun(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[tasks]\nconcurrency = 1\n")
    tasks = Tasks(here)
    upstream.default = Reply(gate=asyncio.Event())
    running = await tasks.add()
    await upstream.wait_for_requests(1)
    others = [await tasks.add(priority=number % 3) for number in range(300)]
    await tasks.queue.desk.cancel(running, "ada")
    assert (await tasks.ends(running)).state is TaskState.CANCELLED
    await upstream.wait_for_requests(2)
    (started,) = [row for row in tasks.queue.desk.book if row.state.leased]
    assert started.task_id == others[2]
    tasks.queue.stop_claims()
    upstream.default.gate.set()  # type: ignore[union-attr]


async def test_a_budget_that_refuses_ends_a_task_at_once(here: Premises, tasks: Tasks, upstream: Upstream) -> None:
    await here.add_budget("desk", "0")
    row = await tasks.ends(await tasks.add())
    assert (row.state, row.reason, row.attempt) == (TaskState.FAILED, "budget_exceeded", 1)
    assert row.decision_id
    assert upstream.seen == []


async def test_a_task_that_waits_for_a_person_gives_its_place_to_others(opened: Opener) -> None:
    here = await opened("[tasks]\nconcurrency = 1\n")
    tasks = Tasks(here)
    await closed(here, scope_kind="user", scope_id="boss")
    waiting = await tasks.add(owner="boss")
    view = await here.parked()
    assert tasks.queue.parked(waiting)
    assert (await tasks.ends(await tasks.add())).state is TaskState.COMPLETED
    await here.allow(view.approval_id)
    assert (await tasks.ends(waiting)).state is TaskState.COMPLETED


async def test_a_task_without_a_place_at_its_provider_waits_without_losing_an_attempt(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened("[leases]\nprovider_start = 1\nprovider_max = 1\n")
    tasks = Tasks(here)
    upstream.default = Reply(gate=asyncio.Event())
    first = await tasks.add()
    await upstream.wait_for_requests(1)
    second = await tasks.add()
    await tasks.turns()
    await here.advance(0.3)
    row = await tasks.until(second, TaskState.QUEUED)
    assert (row.attempt, row.waits) == (0, Waits.PROVIDER_LEASE)
    upstream.default.gate.set()  # type: ignore[union-attr]
    await tasks.ends(first)
    await here.advance(5)
    row = await tasks.ends(second)
    assert (row.state, row.attempt) == (TaskState.COMPLETED, 1)


async def test_a_task_that_hangs_runs_until_its_own_time_is_over(
    here: Premises, tasks: Tasks, upstream: Upstream
) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add(timeout_ms=20_000)
    await upstream.wait_for_requests(1)
    await here.advance(19)
    row = await tasks.stands(task_id)
    assert row.state is TaskState.RUNNING
    assert row.lease_until is not None
    assert row.lease_until > here.clock.now_ms()
    await here.advance(1)
    row = await tasks.ends(task_id)
    assert (row.state, row.reason) == (TaskState.FAILED, "timeout")
    assert (await here.run(row.target_run_id)).run.reason == "run_timeout"


async def test_work_that_hangs_is_stopped_and_tried_again(here: Premises, tasks: Tasks, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add(max_attempts=2)
    for attempt in (1, 2):
        await upstream.wait_for_requests(attempt)
        assert tasks.queue.redispatch(task_id)
        row = await tasks.until(task_id, TaskState.QUEUED)
        await here.advance(3)
    assert (row.state, row.reason, row.attempt) == (TaskState.FAILED, "stalled", 2)
    assert not tasks.queue.redispatch(task_id)


async def test_a_run_that_an_operator_cancels_cancels_its_task(
    here: Premises, tasks: Tasks, upstream: Upstream
) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add()
    await upstream.wait_for_requests(1)
    (run,) = here.engine.runner.live
    await here.send(CancelRun(run.run_id))
    row = await tasks.ends(task_id)
    assert (row.state, row.reason) == (TaskState.CANCELLED, "by_operator")


async def test_a_request_that_is_cancelled_takes_the_tasks_below_it_along(
    here: Premises, tasks: Tasks, upstream: Upstream
) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    asking = asyncio.create_task(here.ask(chat()))
    await upstream.wait_for_requests(1)
    (parent,) = here.engine.runner.live
    child = await tasks.add(parent=parent.run_id)
    later = await tasks.add(parent=child, not_before=here.clock.now_ms() + 3_600_000)
    kept = await tasks.add(parent=parent.run_id, keep=True, not_before=here.clock.now_ms() + 3_600_000)
    await upstream.wait_for_requests(2)
    units: list[Sequence[Change]] = []
    here.engine.journal.listen(units.append)
    await here.send(CancelRun(parent.run_id))
    assert (await asking).status == 410
    for task_id in (child, later):
        row = await tasks.ends(task_id)
        assert (row.state, row.reason) == (TaskState.CANCELLED, "parent_cancelled")
    asked = next(
        unit for unit in units if any(isinstance(one, RunNoted) and one.run_id == parent.run_id for one in unit)
    )
    saved = [one.values[0] for one in asked if isinstance(one, EntitySaved) and one.table == "tasks"]
    assert set(saved) == {child, later}
    assert (await tasks.stands(kept)).state is TaskState.QUEUED
    (run,) = [run for run in await here.runs() if run.run_id != parent.run_id]
    assert run.reason == "parent_cancelled"


async def test_an_input_that_takes_the_whole_budget_is_not_sent(
    here: Premises, tasks: Tasks, upstream: Upstream
) -> None:
    row = await tasks.ends(await tasks.add(text="word " * 2_000, token_budget=100))
    assert (row.state, row.reason) == (TaskState.FAILED, "token_budget")
    assert upstream.seen == []
    row = await tasks.ends(await tasks.add(token_budget=100))
    assert row.state is TaskState.COMPLETED
    assert 80 <= upstream.seen[0].json["max_tokens"] < 100


async def test_stopping_gives_back_what_runs_and_the_next_start_goes_on(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    tasks = Tasks(here)
    upstream.default = Reply(gate=asyncio.Event())
    task_id = await tasks.add()
    await upstream.wait_for_requests(1)
    closing = asyncio.create_task(here.engine.drain())
    await here.advance(10)
    await closing
    row = await tasks.in_journal(task_id)
    assert (row.state, row.attempt, row.fence) == (TaskState.QUEUED, 0, 1)
    await here.close()
    upstream.default = Reply()
    again = Tasks(await opened())
    row = await again.ends(task_id)
    assert (row.state, row.attempt, row.fence) == (TaskState.COMPLETED, 1, 2)
