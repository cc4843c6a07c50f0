"""The queue: whose turn it is, what is stopped first, who owns a task, and what becomes of what goes wrong."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from palyra.core.errors import BadInputError, ConflictError, JournalUnavailableError
from palyra.core.instants import LATEST_MS
from palyra.journal.task_rows import TaskRow, TaskState, Waits
from palyra.tasks import moves
from palyra.tasks.asking import QueueFullError, TaskInputError
from palyra.tasks.moves import WrongStateError
from palyra.tasks.waiting import WhyItWaits, why_it_waits
from tests.tasks.stage import ASK, T0, Stage


def started(stage: Stage) -> list[str]:
    return [ask.task_id for ask in stage.runs.started]


async def test_one_task_is_done_and_everything_about_it_is_written(stage: Stage) -> None:
    row = await stage.add()
    assert (row.state, row.attempt, row.fence) == (TaskState.RUNNING, 1, 1)
    assert stage.beats.alive == {row.task_id}
    done = await stage.end(row.task_id, input_tokens=10, output_tokens=5)
    assert (done.state, done.tokens, done.lease_until, done.worker_id) == (TaskState.COMPLETED, 15, None, "")
    assert stage.store.tasks[row.task_id] == done
    assert stage.store.results[row.task_id].text == "done"
    assert stage.beats.alive == set()
    assert len(stage.desk.book) == 0


async def test_turns_go_by_priority_then_age(stage: Stage) -> None:
    busy = [await stage.add() for _ in range(2)]
    low, high, later = [await stage.add(priority=number) for number in (-1, 5, 5)]
    due = await stage.add(priority=10, not_before=T0 + 60_000)
    for row in (*busy, high, later, low):
        await stage.end(row.task_id)
    assert started(stage)[2:] == [high.task_id, later.task_id, low.task_id]
    await stage.later(60)
    assert started(stage)[-1] == due.task_id


async def test_no_more_run_at_once_than_there_are_workers(stage: Stage) -> None:
    rows = [await stage.add() for _ in range(5)]
    assert len(stage.runs.live) == 2
    for row in rows:
        assert len(stage.runs.live) <= 2
        await stage.end(row.task_id)
    assert len(stage.runs.started) == 5


async def test_delegations_of_one_parent_run_two_at_once(stage: Stage) -> None:
    wide = Stage(concurrency=8)
    await wide.open()
    parent = await wide.add()
    children = [await wide.add(kind="delegation_prompt", parent=parent.task_id) for _ in range(4)]
    assert [wide.now(child.task_id).state.value for child in children] == ["running", "running", "queued", "queued"]
    other = await wide.add(priority=-5)
    assert wide.now(other.task_id).state is TaskState.RUNNING
    await wide.end(children[0].task_id)
    assert wide.now(children[2].task_id).state is TaskState.RUNNING
    wide.halt()


async def test_a_parent_has_at_most_eight_open_delegations_and_tasks_hang_three_deep(stage: Stage) -> None:
    parent = await stage.add(not_before=T0 + 60_000)
    for _ in range(8):
        await stage.add(kind="delegation_prompt", parent=parent.task_id)
    with pytest.raises(TaskInputError, match="8 delegations"):
        await stage.add(kind="delegation_prompt", parent=parent.task_id)
    row = parent
    for _ in range(3):
        row = await stage.add(parent=row.task_id)
    with pytest.raises(TaskInputError, match="3 deep"):
        await stage.add(parent=row.task_id)


async def test_cancelling_a_parent_stops_all_below_but_what_is_to_be_kept(stage: Stage) -> None:
    parent = await stage.add()
    child = await stage.add(parent=parent.task_id)
    later = await stage.add(parent=child.task_id, not_before=T0 + 3_600_000)
    kept = await stage.add(parent=child.task_id, keep=True, not_before=T0 + 3_600_000)
    below = await stage.add(parent=kept.task_id, not_before=T0 + 3_600_000)
    await stage.desk.pause(later.task_id, "ada")
    await stage.desk.cancel(parent.task_id, "ada", "enough")
    await stage.turns()
    ended = [stage.now(row.task_id) for row in (parent, child, later)]
    assert [row.state for row in ended] == [TaskState.CANCELLED] * 3
    assert [row.reason for row in ended] == ["by_operator", "parent_cancelled", "parent_cancelled"]
    assert [reason for _, reason in stage.runs.cancelled[:2]] == ["by_operator", "parent_cancelled"]
    assert [stage.now(row.task_id).state for row in (kept, below)] == [TaskState.QUEUED] * 2
    (audit,) = [one for one in stage.store.audit if one.payload["verb"] == "cancelled"]
    assert (audit.subject, audit.actor, audit.payload["reason"]) == (parent.task_id, "ada", "enough")


async def test_a_child_of_a_child_that_is_done_is_stopped_with_its_grandparent(stage: Stage) -> None:
    parent = await stage.add()
    child = await stage.add(parent=parent.task_id)
    grandchild = await stage.add(parent=child.task_id)
    await stage.end(child.task_id)
    await stage.desk.cancel(parent.task_id, "ada")
    assert stage.now(grandchild.task_id).reason == "parent_cancelled"


async def test_a_cancelled_run_stops_the_tasks_below_it_in_its_own_unit(stage: Stage) -> None:
    stage.stopping_runs["r1"] = False
    child = await stage.add(parent="r1", not_before=T0 + 3_600_000)
    assert (child.parent_run_id, child.parent_task_id) == ("r1", "")
    changes = stage.desk.stop_below("r1")
    assert len(changes) == 1
    assert stage.now(child.task_id).state is TaskState.CANCELLED


async def test_what_hangs_below_something_cancelled_is_not_started_afresh(stage: Stage) -> None:
    parent = await stage.add()
    child = await stage.add(parent=parent.task_id, not_before=T0 + 60_000)
    kept = await stage.add(parent=parent.task_id, keep=True, not_before=T0 + 60_000)
    await stage.desk.cancel(parent.task_id, "ann")
    await stage.desk.cancel(kept.task_id, "ann")
    await stage.turns()
    with pytest.raises(ConflictError, match="which is cancelled"):
        await stage.desk.retry(child.task_id, "ann")
    assert (await stage.desk.retry(kept.task_id, "ann")).state is TaskState.QUEUED
    await stage.turns()
    assert [ask.task_id for ask in stage.runs.started] == [parent.task_id, kept.task_id]
    # Once its parent goes on, so may the child.
    await stage.desk.retry(parent.task_id, "ann")
    assert (await stage.desk.retry(child.task_id, "ann")).state is TaskState.QUEUED


async def test_delegations_that_come_at_once_are_counted(stage: Stage) -> None:
    parent = await stage.add()
    stage.paper.instant = False
    ask = replace(ASK, kind="delegation_prompt", parent=parent.task_id)
    coming = [asyncio.create_task(stage.desk.submit(ask, "ada")) for _ in range(10)]
    await stage.turns()
    stage.paper.instant = True
    stage.paper.flush()
    kept = await asyncio.gather(*coming, return_exceptions=True)
    assert [isinstance(one, TaskInputError) for one in kept] == [False] * 8 + [True] * 2


async def test_a_retry_does_not_pass_one_of_the_same_key_that_is_being_kept(stage: Stage) -> None:
    failed = await stage.add(dedupe_key="k")
    await stage.end(failed.task_id, "failed", "permanent_upstream")
    stage.paper.instant = False
    coming = asyncio.create_task(stage.desk.submit(replace(ASK, dedupe_key="k"), "ada"))
    await stage.turns()
    with pytest.raises(ConflictError, match="same dedupe key"):
        await stage.desk.retry(failed.task_id, "ann")
    stage.paper.instant = True
    stage.paper.flush()
    assert (await coming)[1]


async def test_a_parent_that_fails_leaves_its_children_alone(stage: Stage) -> None:
    parent = await stage.add(max_attempts=1)
    child = await stage.add(parent=parent.task_id)
    await stage.end(parent.task_id, "failed", "auth_invalid")
    assert stage.now(parent.task_id).state is TaskState.FAILED
    assert stage.now(child.task_id).state is TaskState.RUNNING


async def test_nothing_may_be_added_below_what_is_cancelled(stage: Stage) -> None:
    stage.runs.obedient = False
    parent = await stage.add()
    await stage.desk.cancel(parent.task_id, "ada")
    assert stage.now(parent.task_id).state is TaskState.CANCEL_REQUESTED
    with pytest.raises(TaskInputError, match=f"the task {parent.task_id} is cancelled"):
        await stage.add(parent=parent.task_id)
    stage.stopping_runs["r1"] = True
    with pytest.raises(TaskInputError, match="the run r1 is cancelled"):
        await stage.add(parent="r1")
    with pytest.raises(TaskInputError, match="no run and no task"):
        await stage.add(parent="nobody")


async def test_a_parent_that_is_cancelled_while_its_child_is_written_takes_it_along(stage: Stage) -> None:
    parent = await stage.add()
    stage.paper.instant = False
    adding = stage.desk.submit(replace_ask(parent=parent.task_id), "ada")
    work = asyncio.ensure_future(adding)
    await stage.turns()
    cancelling = asyncio.ensure_future(stage.desk.cancel(parent.task_id, "ada"))
    await stage.turns()
    stage.paper.instant = True
    stage.paper.flush()
    await stage.turns()
    with pytest.raises(TaskInputError, match="is cancelled"):
        await work
    await cancelling
    (child,) = [row for row in stage.store.tasks.values() if row.parent_task_id == parent.task_id]
    assert child.state is TaskState.CANCELLED


def replace_ask(**fields: Any) -> Any:
    return replace(ASK, **fields)


async def test_a_thousand_children_are_stopped_in_one_step_and_none_starts(stage: Stage) -> None:
    parent = await stage.add(not_before=T0 + 3_600_000)
    children = [await stage.add(parent=parent.task_id) for _ in range(1_000)]
    assert len(stage.runs.live) == 2
    await stage.desk.cancel(parent.task_id, "ada")
    await stage.turns()
    assert {stage.now(row.task_id).state for row in [parent, *children]} == {TaskState.CANCELLED}
    assert len(stage.runs.started) == 2


async def test_a_cancel_that_the_worker_does_not_confirm_is_done_over_its_head(stage: Stage) -> None:
    stage.runs.obedient = False
    row = await stage.add()
    await stage.desk.cancel(row.task_id, "ada")
    await stage.later(1.4)
    assert stage.now(row.task_id).state is TaskState.CANCEL_REQUESTED
    await stage.desk.cancel(row.task_id, "ada")
    await stage.later(0.1)
    ended = stage.now(row.task_id)
    assert (ended.state, ended.fence) == (TaskState.CANCELLED, row.fence + 1)
    await stage.end(row.task_id, "completed", "stop")
    assert stage.store.tasks[row.task_id] == ended
    assert stage.queue.stale_writes == 1


async def test_a_terminal_write_that_came_before_the_cancel_counts(stage: Stage) -> None:
    stage.runs.obedient = False
    row = await stage.add()
    await stage.desk.cancel(row.task_id, "ada")
    assert (await stage.end(row.task_id)).state is TaskState.COMPLETED


async def test_what_fails_for_a_while_is_not_tried_again_once_it_is_cancelled(stage: Stage) -> None:
    stage.runs.obedient = False
    row = await stage.add()
    await stage.desk.cancel(row.task_id, "ada")
    ended = await stage.end(row.task_id, "failed", "rate_limited")
    assert (ended.state, ended.reason) == (TaskState.CANCELLED, "by_operator")


async def test_expiry_is_for_what_never_started(stage: Stage) -> None:
    busy = [await stage.add() for _ in range(2)]
    waiting = await stage.add(expires_at=T0 + 10_000)
    paused = await stage.add(expires_at=T0 + 10_000)
    await stage.desk.pause(paused.task_id, "ada")
    await stage.later(10)
    assert stage.now(waiting.task_id).state is TaskState.EXPIRED
    assert stage.now(paused.task_id).state is TaskState.PAUSED
    await stage.desk.resume(paused.task_id, "ada")
    await stage.turns()
    assert stage.now(paused.task_id).state is TaskState.EXPIRED
    again = await stage.add(expires_at=T0 + 30_000)
    await stage.end(busy[0].task_id)
    await stage.end(again.task_id, "failed", "rate_limited", retry_after_s=60.0)
    await stage.later(30)
    assert stage.now(again.task_id).state is TaskState.QUEUED
    assert waiting.task_id not in started(stage)


async def test_leases_are_renewed_while_a_worker_lives(stage: Stage) -> None:
    row = await stage.add()
    assert row.lease_until == T0 + 30_000
    await stage.later(95)
    now = stage.now(row.task_id)
    assert (now.state, now.attempt) == (TaskState.RUNNING, 1)
    assert now.lease_until is not None
    assert now.lease_until >= T0 + 120_000


async def test_a_lease_that_nobody_renews_lapses_and_its_run_is_stopped_first(stage: Stage) -> None:
    row = await stage.add()
    worker = stage.queue._workers[row.task_id]
    assert worker._timer is not None
    worker._timer.cancel()
    await stage.later(31)
    assert stage.runs.cancelled == [(worker.run_id, "replaced")]
    again = stage.now(row.task_id)
    assert (again.state, again.interruptions, again.fence) == (TaskState.QUEUED, 1, 1)
    await stage.later(2)
    assert stage.now(row.task_id).fence == 2


async def test_leases_gain_the_time_in_which_the_loop_stood_still(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await stage.add()
    await stage.turns()
    stage.clock.tick(45)
    await stage.turns()
    now = stage.now(row.task_id)
    assert (now.state, now.attempt) == (TaskState.RUNNING, 1)


async def test_a_claim_that_cannot_be_written_counts_for_nothing(stage: Stage) -> None:
    stage.paper.instant = False
    row_future = stage.desk.submit(replace_ask(), "ada")
    adding = asyncio.ensure_future(row_future)
    await stage.turns()
    stage.paper.flush(1)
    await stage.turns()
    row, _ = await adding
    assert stage.now(row.task_id).state is TaskState.RUNNING
    stage.paper.fail()
    await stage.turns()
    back = stage.now(row.task_id)
    assert (back.state, back.attempt, back.fence) == (TaskState.QUEUED, 0, 1)
    assert stage.runs.started == []
    stage.paper.healthy = stage.paper.instant = True
    stage.paper.flush()
    await stage.later(2)
    assert stage.now(row.task_id).fence == 2
    assert (await stage.end(row.task_id)).state is TaskState.COMPLETED


async def test_a_task_that_could_not_be_kept_is_not_there(stage: Stage) -> None:
    stage.paper.instant = False
    adding = asyncio.ensure_future(stage.desk.submit(replace_ask(dedupe_key="k"), "ada"))
    second = asyncio.ensure_future(stage.desk.submit(replace_ask(dedupe_key="k"), "ada"))
    await stage.turns()
    stage.paper.fail()
    for work in (adding, second):
        with pytest.raises(JournalUnavailableError):
            await work
    assert len(stage.desk.book) == 0
    stage.paper.healthy = stage.paper.instant = True
    stage.paper.flush()
    assert all(row.state.terminal for row in stage.store.tasks.values())
    assert (await stage.add(dedupe_key="k")).state is TaskState.RUNNING


async def test_one_key_is_one_open_task(stage: Stage) -> None:
    first = await stage.add(dedupe_key="k")
    again, fresh = await stage.desk.submit(replace_ask(dedupe_key="k"), "bob")
    assert (again.task_id, fresh) == (first.task_id, False)
    _, fresh = await stage.desk.submit(replace_ask(dedupe_key="k", owner="bob"), "bob")
    assert fresh
    await stage.end(first.task_id, "failed", "auth_invalid")
    second = await stage.add(dedupe_key="k")
    with pytest.raises(ConflictError, match=second.task_id):
        await stage.desk.retry(first.task_id, "ada")


async def test_trouble_with_one_task_delays_that_one_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    claim = moves.claim
    broken: set[str] = set()

    def breaks(row: TaskRow, now: int, boot_id: str, worker_id: str) -> TaskRow:
        if row.task_id in broken:
            raise RuntimeError("broken")
        return claim(row, now, boot_id, worker_id)

    monkeypatch.setattr(moves, "claim", breaks)
    first = await stage.add(not_before=T0 + 1_000, priority=5)
    broken.add(first.task_id)
    second = await stage.add(not_before=T0 + 1_000)
    await stage.later(1)
    assert stage.now(second.task_id).state is TaskState.RUNNING
    assert stage.now(first.task_id).state is TaskState.QUEUED
    broken.clear()
    await stage.later(3)
    assert stage.now(first.task_id).state is TaskState.QUEUED
    await stage.later(4)
    assert stage.now(first.task_id).state is TaskState.RUNNING
    assert "could not be handled" in caplog.text


async def test_verbs_apply_to_their_states_alone(stage: Stage) -> None:
    row = await stage.add()
    for verb in (stage.desk.pause, stage.desk.resume, stage.desk.retry):
        with pytest.raises(WrongStateError, match=f"task {row.task_id} is running; {verb.__name__} applies to"):
            await verb(row.task_id, "ada")
    with pytest.raises(WrongStateError, match=r"is running; pause applies to queued$"):
        await stage.desk.pause(row.task_id, "ada")
    with pytest.raises(WrongStateError, match="is running; priority applies to queued and paused"):
        await stage.desk.prioritise(row.task_id, 3, "ada")
    await stage.end(row.task_id)
    with pytest.raises(WrongStateError, match="is completed; retry does not apply"):
        await stage.desk.retry(row.task_id, "ada")


async def test_times_of_waiting_tasks_are_changed_within_the_rules(stage: Stage) -> None:
    row = await stage.add(not_before=T0 + 60_000)
    with pytest.raises(TaskInputError, match="it would expire"):
        await stage.desk.edit(row.task_id, "ada", expires_at=T0 + 60_000)
    for name in ("not_before", "expires_at"):
        for beyond in (LATEST_MS + 1, 2**63, -1):
            with pytest.raises(TaskInputError, match=f"^{name}: {beyond} is outside 0-{LATEST_MS}"):
                await stage.desk.edit(row.task_id, "ada", **{name: beyond})
    assert stage.now(row.task_id) == row
    with pytest.raises(BadInputError, match="outside -10 to 10"):
        await stage.desk.prioritise(row.task_id, 11, "ada")
    await stage.desk.edit(row.task_id, "ada", expires_at=T0 + 90_000)
    await stage.desk.edit(row.task_id, "ada", not_before=T0 + 1_000)
    await stage.later(1)
    assert stage.now(row.task_id).state is TaskState.RUNNING


async def test_a_full_queue_takes_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palyra.tasks.desk.MAX_OPEN", 3)
    for _ in range(3):
        await stage.add()
    with pytest.raises(QueueFullError, match="3 tasks are open"):
        await stage.add()


async def test_poison_is_told_and_cleared_by_a_retry(stage: Stage) -> None:
    row = await stage.add(max_attempts=10, backoff_ms=1)
    for _ in range(3):
        worker = stage.queue._workers[row.task_id]
        worker.abandon()
        await stage.turns()
        await stage.later(2)
    ended = stage.now(row.task_id)
    assert (ended.state, ended.reason, ended.interruptions) == (TaskState.FAILED, "poison", 3)
    key = f"task:{row.task_id}:poison"
    assert (stage.told[key].severity, stage.told[key].subject) == ("high", row.task_id)
    await stage.desk.retry(row.task_id, "ada")
    assert stage.told == {}


async def test_a_task_that_waits_although_workers_are_idle_is_told(stage: Stage) -> None:
    stage.paper.healthy = True
    row = await stage.add(not_before=T0 + 1_000)
    stage.queue._troubled[row.task_id] = 1e9
    await stage.later(299)
    assert stage.told == {}
    await stage.later(20)
    assert (stage.told["queue:stuck"].severity, stage.told["queue:stuck"].subject) == ("medium", row.task_id)
    stage.queue._troubled[row.task_id] = 0.0
    await stage.later(20)
    assert stage.told == {}


async def test_a_delegation_that_waits_for_its_siblings_is_not_stuck() -> None:
    wide = Stage(concurrency=8)
    await wide.open()
    parent = await wide.add()
    children = [await wide.add(kind="delegation_prompt", parent=parent.task_id) for _ in range(3)]
    await wide.later(400)
    assert wide.now(children[2].task_id).state is TaskState.QUEUED
    assert (wide.told, wide.desk.book.oldest_ready(wide.clock.now_ms())) == ({}, None)
    await wide.end(children[0].task_id)
    assert wide.now(children[2].task_id).state is TaskState.RUNNING
    wide.halt()
    await wide.turns()


async def test_somebody_may_wait_for_the_end_of_a_task(stage: Stage) -> None:
    row = await stage.add()
    waiting = asyncio.create_task(stage.desk.ended(row.task_id))
    await stage.turns()
    assert not waiting.done()
    await stage.end(row.task_id)
    assert (await waiting).state is TaskState.COMPLETED
    assert (await stage.desk.ended(row.task_id)).state is TaskState.COMPLETED


async def test_an_orderly_stop_gives_back_what_runs(stage: Stage) -> None:
    row = await stage.add()
    stage.queue.stop_claims()
    stage.runs.end(stage.runs.of(row.task_id), "cancelled", "engine_stopping")
    await stage.queue.close()
    back = stage.now(row.task_id)
    assert (back.state, back.attempt, back.interruptions) == (TaskState.QUEUED, 0, 0)
    await stage.later(5)
    assert stage.now(row.task_id).state is TaskState.QUEUED


@pytest.mark.parametrize(
    ("changes", "around", "why"),
    [
        ({"state": TaskState.PAUSED}, {}, WhyItWaits.PAUSED),
        ({"not_before": T0 + 1}, {}, WhyItWaits.NOT_BEFORE),
        ({"not_before": T0 + 1, "waits": Waits.BACKOFF}, {}, WhyItWaits.BACKOFF),
        ({"not_before": T0 + 1, "waits": Waits.PROVIDER_LEASE}, {}, WhyItWaits.PROVIDER_LEASE),
        ({}, {"parent_full": True}, WhyItWaits.PARENT_LIMIT),
        ({}, {"workers_free": False}, WhyItWaits.WORKER_LIMIT),
        ({}, {}, None),
        ({"state": TaskState.RUNNING}, {"parked": True}, WhyItWaits.APPROVAL),
        ({"state": TaskState.RUNNING}, {}, None),
        ({"state": TaskState.FAILED}, {"workers_free": False}, None),
    ],
)
def test_why_a_task_waits(changes: dict[str, Any], around: dict[str, bool], why: WhyItWaits | None) -> None:
    row = TaskRow("t", 1, "summary", "cli", TaskState.QUEUED, "ann", "s", T0, T0, not_before=T0)
    known = {"workers_free": True, "parent_full": False, "parked": False, **around}
    assert why_it_waits(replace(row, **changes), T0, **known) is why
