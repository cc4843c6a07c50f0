"""Operators' tools make, list, hold and stop tasks over HTTP; and an engine that is killed gives back what it had."""

import asyncio
import shutil

from palyra.journal.task_rows import TaskState
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises
from tests.end_to_end.task_house import Tasks
from tests.end_to_end.tools import NOBODY, error_of, tools
from tests.support.upstream import Reply, Upstream


async def test_tools_make_look_at_and_change_tasks(here: Premises) -> None:
    later = here.clock.now_ms() + 3_600_000
    async with tools(here) as tool:
        made = await tool["approver"]("POST", "tasks", {"text": "hello", "model": MINI, "not_before": later})
        task_id = made.json()["task_id"]
        assert made.status_code == 201
        listed = (await tool["viewer"]("GET", "tasks?status=queued&owner=local")).json()
        assert [one["task_id"] for one in listed["tasks"]] == [task_id]
        assert (listed["tasks"][0]["source"], listed["tasks"][0]["waits"]) == ("http", "not_before")
        held = await tool["approver"]("POST", f"tasks/{task_id}/pause", {"reason": "not now"})
        assert (held.status_code, held.json()["task"]["state"], held.json()["task"]["reason"]) == (
            200,
            "paused",
            "not now",
        )
        again = await tool["approver"]("POST", f"tasks/{task_id}/pause", {})
        error = error_of(again)
        assert (again.status_code, error["code"], error["palyra"]["record"]["task"]["state"]) == (
            409,
            "wrong_state",
            "paused",
        )
        assert (await tool["approver"]("POST", f"tasks/{task_id}/priority", {"priority": 7})).status_code == 200
        moved = await tool["approver"]("PATCH", f"tasks/{task_id}", {"not_before": 0, "expires_at": None})
        assert (moved.status_code, moved.json()["task"]["not_before"]) == (200, 0)
        assert (await tool["approver"]("POST", f"tasks/{task_id}/resume")).status_code == 200
        row = await Tasks(here).ends(task_id)
        assert row.state is TaskState.COMPLETED
        shown = (await tool["viewer"]("GET", f"tasks/{task_id}")).json()
        assert (shown["result"], shown["runs"][0]["state"], shown["text"]) == ("Hello world.", "completed", "hello")
        stats = (await tool["viewer"]("GET", "tasks/stats")).json()["stats"]
        assert (stats["live"], stats["ended"], stats["workers"]) == (True, {"completed": 1}, 4)
        late = await tool["approver"]("POST", f"tasks/{task_id}/cancel")
        assert (late.status_code, "cancel does not apply" in error_of(late)["message"]) == (409, True)


async def test_what_is_badly_asked_is_told_field_by_field(here: Premises) -> None:
    async with tools(here) as tool:
        bad = await tool["approver"]("POST", "tasks", {"text": "x", "priority": 11, "payload": [], "modell": "x"})
        assert (bad.status_code, {one["field"] for one in error_of(bad)["palyra"]["faults"]}) == (
            400,
            {"modell", "priority", "payload"},
        )
        kind = await tool["approver"]("POST", "tasks", {"text": "x", "kind": "sumary"})
        assert (kind.status_code, error_of(kind)["param"]) == (400, "kind")
        assert (await tool["viewer"]("POST", "tasks", {"text": "x"})).status_code == 403
        assert (await tool["approver"]("POST", f"tasks/{NOBODY}/cancel")).status_code == 404
        assert (await tool["viewer"]("GET", "tasks?status=gone")).status_code == 400


async def test_one_key_makes_one_task(here: Premises) -> None:
    body = {"text": "x", "model": MINI, "dedupe_key": "nightly", "not_before": here.clock.now_ms() + 1_000}
    async with tools(here) as tool:
        first, second = [await tool["approver"]("POST", "tasks", body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["task_id"] == second.json()["task_id"]


async def test_tasks_of_a_killed_engine_are_given_back_at_once(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[tasks]\nconcurrency = 5\n")
    tasks = Tasks(here)
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate)
    ids = [await tasks.add() for _ in range(5)]
    await upstream.wait_for_requests(5)
    await here.written()
    # What a kill leaves behind: the files as they lie.
    shutil.copytree(
        here.state_dir, here.state_dir.with_name("killed"), ignore=shutil.ignore_patterns("*.lock", "*.sock")
    )
    upstream.default = Reply()
    after = await opened(state="killed", clock=here.clock)
    rows = [await Tasks(after).stands(task_id) for task_id in ids]
    assert {(row.state, row.attempt, row.interruptions) for row in rows} == {(TaskState.QUEUED, 1, 1)}
    assert after.engine.recovered.runs == 5
    await Tasks(after).turns()
    await after.advance(1.3)
    done = [await Tasks(after).ends(task_id) for task_id in ids]
    assert {(row.state, row.attempt, row.fence) for row in done} == {(TaskState.COMPLETED, 2, 2)}
    gate.set()
