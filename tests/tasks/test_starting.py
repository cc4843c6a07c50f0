"""Tasks that a dead engine had leased: given back at the next start, whatever their leases say."""

from palyra.journal.task_rows import TaskState, Waits
from tests.tasks.stage import Stage


async def test_five_that_ran_are_queued_again_at_once(stage: Stage) -> None:
    dying = Stage(stage.store, stage.clock, concurrency=5)
    await dying.open()
    rows = [await dying.add() for _ in range(5)]
    waiting = await dying.add()
    assert len(dying.runs.live) == 5
    await dying.clock.advance(3)
    after = dying.next_boot()
    found = await after.open()
    assert (found.open, found.lapsed) == (6, 5)
    now = after.clock.now_ms()
    for row in rows:
        again = after.now(row.task_id)
        assert (again.state, again.attempt, again.interruptions) == (TaskState.QUEUED, 1, 1)
        assert (again.waits, again.lease_until, again.boot_id) == (Waits.BACKOFF, None, "")
        assert 1_000 <= again.not_before - now <= 1_200
    assert after.now(waiting.task_id).state is TaskState.RUNNING
    assert len(after.runs.live) == 1
    await after.later(1.3)
    states = [after.now(row.task_id) for row in rows]
    assert [(row.state, row.attempt) for row in states].count((TaskState.RUNNING, 2)) == 4
    once_more = await after.next_boot().open()
    assert once_more.lapsed == 5
    after.halt()
