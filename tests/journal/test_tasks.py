"""Tasks come back as they were; one key names one open task; what is older than the newest fence is refused."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError
from palyra.core.scope import Scope
from palyra.journal.journal import Journal
from palyra.journal.task_rows import (
    KEEP,
    RUN_OWNERS,
    TASK_INPUTS,
    TASK_RESULTS,
    TASKS,
    RunOwner,
    TaskCount,
    TaskFilter,
    TaskInput,
    TaskResult,
    TaskRow,
    TaskState,
    Waits,
)
from palyra.journal.writer import UnitRefusedError
from tests.journal.samples import T0
from tests.journal.test_migrating import older


def a_task(task_id: str = "t1", **changes: Any) -> TaskRow:
    row = TaskRow(task_id, 1, "background_prompt", "cli", TaskState.QUEUED, "ann", f"task:{task_id}", T0, T0)
    return replace(row, **changes)


RUNNING = a_task(
    version=7,
    state=TaskState.RUNNING,
    dedupe_key="k",
    labels={"channel": "slack:ops", "tags": {"team": "blue"}},
    marks=(KEEP,),
    waits=Waits.BACKOFF,
    boot_id="b",
    worker_id="w",
    fence=3,
    lease_until=T0 + 30_000,
    expires_at=T0 + 5,
    started_at=T0,
)
GIVEN = TaskInput("t1", "Sum this up \udc80.", {"labels": ["a", "b"]})


async def test_a_task_comes_back_with_what_belongs_to_it(journal: Journal) -> None:
    result = TaskResult("t1", "r1", "short", cut=True)
    owner = RunOwner("r1", "task", "", "t1", "r0", 2)
    await journal.submit(
        [TASKS.saved(RUNNING), TASK_INPUTS.saved(GIVEN), TASK_RESULTS.saved(result), RUN_OWNERS.saved(owner)]
    )
    readers = journal.readers
    task = await readers.task("t1")
    assert task == RUNNING
    assert task.keep
    assert not task.remember
    assert task.scope == Scope("ann", "task:t1", channel="slack:ops", tags={"team": "blue"})
    assert await readers.task_input("t1") == replace(GIVEN, text="Sum this up ?.")
    assert await readers.task_result("t1") == result
    assert await readers.runs_of_task("t1") == (owner,)
    assert await readers.run_owner("r1") == owner
    assert await readers.task("t2") is None


async def test_an_older_version_changes_nothing(journal: Journal) -> None:
    await journal.submit([TASKS.saved(RUNNING)])
    await journal.submit([TASKS.saved(replace(RUNNING, priority=3))])
    assert await journal.readers.task("t1") == RUNNING
    await journal.submit([TASKS.saved(replace(RUNNING, version=8, priority=3))])
    assert await journal.readers.task("t1") == replace(RUNNING, version=8, priority=3)


async def test_what_is_older_than_the_newest_fence_is_refused(journal: Journal) -> None:
    await journal.submit([TASKS.saved(RUNNING)])
    late = journal.submit([TASKS.saved(replace(RUNNING, version=9, fence=2, reason="late"))])
    beside = journal.submit([TASKS.saved(a_task("t2"))])
    with pytest.raises(UnitRefusedError, match="newest fence"):
        await late
    await beside
    assert await journal.readers.task("t1") == RUNNING


async def test_a_key_names_one_open_task_of_its_owner(journal: Journal) -> None:
    await journal.submit([TASKS.saved(a_task("t1", dedupe_key="k"))])
    with pytest.raises(UnitRefusedError, match="UNIQUE"):
        await journal.submit([TASKS.saved(a_task("t2", dedupe_key="k"))])
    await journal.submit([TASKS.saved(a_task("t3", dedupe_key="k", owner="bob")), TASKS.saved(a_task("t4"))])
    done = a_task("t1", dedupe_key="k", version=2, state=TaskState.FAILED, finished_at=T0)
    await journal.submit([TASKS.saved(done), TASKS.saved(a_task("t2", dedupe_key="k"))])
    assert [row.task_id for row in await journal.readers.open_tasks()] == ["t3", "t4", "t2"]


@pytest.mark.parametrize(
    "row",
    [
        a_task(state=TaskState.COMPLETED),
        a_task(finished_at=T0),
        a_task(state=TaskState.RUNNING),
        a_task(lease_until=T0),
    ],
    ids=["ended without an end", "open with an end", "running without a lease", "queued with a lease"],
)
async def test_what_contradicts_itself_is_refused(journal: Journal, row: TaskRow) -> None:
    with pytest.raises(UnitRefusedError, match="CHECK"):
        await journal.submit([TASKS.saved(row)])


async def test_live_ones_are_listed_first_and_the_newest_of_each_first(journal: Journal) -> None:
    rows = [
        a_task("a", created_at=T0 + 1),
        a_task("b", created_at=T0 + 2, kind="summary", parent_task_id="a"),
        a_task("c", created_at=T0 + 3, state=TaskState.FAILED, finished_at=T0 + 9, job="nightly"),
        a_task("d", created_at=T0 + 4, state=TaskState.CANCELLED, finished_at=T0 + 8, parent_run_id="r"),
        a_task("e", created_at=T0 + 5, not_before=T0 + 100, owner="bob"),
    ]
    await journal.submit([TASKS.saved(row) for row in rows])

    async def listed(cursor: str = "", limit: int = 50, **wanted: Any) -> tuple[list[str], str]:
        page = await journal.readers.tasks(TaskFilter(**wanted), cursor=cursor, limit=limit)
        return [row.task_id for row in page.tasks], page.cursor

    assert await listed() == (["e", "b", "a", "d", "c"], "")
    found: list[str] = []
    cursor = ""
    while True:
        some, cursor = await listed(cursor, 2)
        found += some
        if not cursor:
            break
    assert found == ["e", "b", "a", "d", "c"]
    assert (await listed(states=("failed", "cancelled")))[0] == ["d", "c"]
    assert (await listed(kind="summary"))[0] == ["b"]
    assert (await listed(owner="bob"))[0] == ["e"]
    assert (await listed(parent="a"))[0] == ["b"]
    assert (await listed(parent="r"))[0] == ["d"]
    assert (await listed(job="nightly"))[0] == ["c"]
    assert (await listed(ready_at=T0 + 99))[0] == ["b", "a"]
    with pytest.raises(BadInputError):
        await listed("elsewhere")
    counts = await journal.readers.task_counts()
    assert TaskCount("background_prompt", "queued", 2) in counts
    assert await journal.readers.tasks_ended_since(T0 + 9) == 1


async def test_those_that_failed_for_a_reason_are_found(journal: Journal) -> None:
    ended: dict[str, Any] = {"state": TaskState.FAILED, "reason": "poison"}
    rows = [a_task(f"t{number}", finished_at=T0 + number, **ended) for number in range(3)]
    other = a_task("t9", state=TaskState.FAILED, reason="timeout", finished_at=T0)
    await journal.submit([TASKS.saved(row) for row in [*rows, other]])
    assert [row.task_id for row in await journal.readers.failed_tasks("poison", 2)] == ["t2", "t1"]


async def test_what_is_old_is_forgotten_with_its_texts(journal: Journal) -> None:
    ended = {"state": TaskState.COMPLETED, "finished_at": T0}
    rows = [a_task("t1", **ended), a_task("t2", **{**ended, "finished_at": T0 + 5}), a_task("t3")]
    await journal.submit([*(TASKS.saved(row) for row in rows), TASK_INPUTS.saved(GIVEN)])
    assert await journal.readers.tasks_to_forget(T0 + 5) == ("t1",)
    await journal.submit([TASKS.forgotten("t1")])
    assert await journal.readers.task_input("t1") is None
    assert [row.task_id for row in (await journal.readers.tasks()).tasks] == ["t3", "t2"]


async def test_the_page_of_many_is_found_by_an_index(journal: Journal, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as database:
        order = "ORDER BY (finished_at IS NULL) DESC, created_at DESC, seq DESC LIMIT 51"
        plan = " ".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN SELECT * FROM tasks {order}"))
    assert "tasks_in_order" in plan
    assert "TEMP B-TREE" not in plan


async def test_a_journal_without_tasks_is_brought_up_to_date(tmp_path: Path, clock: ManualClock) -> None:
    older(tmp_path, 11).close()
    journal = await Journal.open(tmp_path, clock)
    try:
        await journal.submit([TASKS.saved(RUNNING)])
        assert await journal.readers.open_tasks() == (RUNNING,)
    finally:
        await journal.close()
