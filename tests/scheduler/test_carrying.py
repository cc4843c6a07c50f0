"""Maintenance and tasks as attempts: begun durably, stopped, timed out, and failing in words."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import pytest

from palyra.config.operations import Maintenance
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import PalyraError
from palyra.journal.changes import Change
from palyra.journal.job_rows import JOBS
from palyra.runs.background import BackgroundRuns
from palyra.runs.durable import Durable
from palyra.scheduler.carrying import Carrying, Tasks
from palyra.scheduler.execution import Order
from palyra.scheduler.retrying import AttemptEnd
from tests.scheduler.rows import T0, a_fire, a_job

BEGUN: list[Change] = [JOBS.saved(a_job("begun"))]


class Book:
    """Remembers what was written, in order."""

    behind = 0

    def __init__(self) -> None:
        self.log: list[str] = []

    def submit(self, unit: Any, **_: Any) -> "asyncio.Future[None]":
        self.log.append("begun" if unit is BEGUN or list(unit) == BEGUN else "ended")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class NoRuns:
    def cancel(self, run_id: str, reason: str, by: str) -> bool:
        return False


class Queue:
    def __init__(self) -> None:
        self.cancelled: list[tuple[str, str]] = []
        self.heeds = True
        self.end: asyncio.Future[AttemptEnd] = asyncio.get_running_loop().create_future()

    async def submit(self, order: Order) -> str:
        return f"task of {order.attempt_id}"

    async def ended(self, task_id: str) -> AttemptEnd:
        return await asyncio.shield(self.end)

    async def cancel(self, task_id: str, reason: str, by: str) -> None:
        self.cancelled.append((task_id, reason))
        if self.heeds:
            self.end.set_result(AttemptEnd("cancelled", "by_operator", cost=9))


class Desk:
    def __init__(self, work: Callable[[], Awaitable[Mapping[str, object]]] | None = None) -> None:
        self.clock = ManualClock(T0)
        self.book = Book()
        self.queue = Queue()
        self.ends: list[AttemptEnd] = []
        self.beats: list[str] = []
        works = {} if work is None else {Maintenance.ROLLUP_CHECK: work}
        self.carrying = Carrying(
            cast(BackgroundRuns, NoRuns()), Durable(self.book), self.clock, works, cast(Tasks, self.queue)
        )

    def order(self, action: str = "maintenance", **rules: Any) -> Order:
        work = {"maintenance": "rollup_check"} if action == "maintenance" else {"task": "summary", "input": "x"}

        def ended(end: AttemptEnd) -> list[Change]:
            self.ends.append(end)
            return [JOBS.saved(a_job("ended"))]

        job = a_job(action=action, work=work, **rules)
        return Order(
            job, a_fire(), "a1", 1, False, lambda: BEGUN, ended, lambda phase, progress: self.beats.append(phase)
        )


async def test_maintenance_tells_what_it_did() -> None:
    begun: list[str] = []

    async def work() -> Mapping[str, object]:
        begun.extend(desk.book.log)
        return {"differences": 2, "changed": 1}

    desk = Desk(work)
    await desk.carrying.carry_out(desk.order())
    assert begun == ["begun"]
    assert desk.book.log == ["begun", "ended"]
    assert desk.ends == [AttemptEnd("completed", detail={"differences": 2}, changed=True)]


async def test_maintenance_that_found_nothing_to_do_changed_nothing() -> None:
    async def work() -> Mapping[str, object]:
        return {"changed": 0}

    desk = Desk(work)
    await desk.carrying.carry_out(desk.order())
    assert desk.ends == [AttemptEnd("completed", changed=False)]
    empty = Desk()
    await empty.carrying.carry_out(empty.order())
    assert (empty.ends[0].state, empty.ends[0].changed) == ("completed", False)


async def test_maintenance_that_fails_says_so() -> None:
    async def work() -> Mapping[str, object]:
        raise PalyraError("It is broken.", code="broken")

    desk = Desk(work)
    await desk.carrying.carry_out(desk.order())
    assert desk.ends == [AttemptEnd("failed", "broken", "It is broken.")]


async def hang() -> Mapping[str, object]:
    await asyncio.get_running_loop().create_future()
    return {}


async def test_work_that_takes_too_long_fails_and_beats_until_then() -> None:
    desk = Desk(hang)
    work = asyncio.create_task(desk.carrying.carry_out(desk.order(max_duration=60_000)))
    await desk.clock.advance(59)
    assert desk.beats == ["work"] * 3
    assert desk.ends == []
    await desk.clock.advance(1)
    await work
    assert [(end.state, end.reason) for end in desk.ends] == [("failed", "run_timeout")]


async def test_work_that_is_stopped_ends_for_that_reason() -> None:
    desk = Desk(hang)
    order = desk.order()
    work = asyncio.create_task(desk.carrying.carry_out(order))
    await settle_loop()
    desk.carrying.stop(order, "replaced", "palyra")
    await work
    assert [(end.state, end.reason) for end in desk.ends] == [("cancelled", "replaced")]


async def test_an_engine_that_stops_leaves_the_end_to_the_scheduler() -> None:
    desk = Desk(hang)
    work = asyncio.create_task(desk.carrying.carry_out(desk.order()))
    await settle_loop()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert desk.ends == []


async def test_a_task_is_waited_for_and_cancelled_with_its_fire() -> None:
    desk = Desk()
    work = asyncio.create_task(desk.carrying.carry_out(desk.order("task")))
    await settle_loop()
    desk.queue.end.set_result(AttemptEnd("completed", detail={"task_id": "t"}))
    await work
    assert desk.ends == [AttemptEnd("completed", detail={"task_id": "t"})]

    other = Desk()
    order = other.order("task")
    work = asyncio.create_task(other.carrying.carry_out(order))
    await settle_loop()
    other.carrying.stop(order, "self_healing", "palyra")
    await work
    assert other.queue.cancelled == [("task of a1", "self_healing")]
    assert [(end.state, end.reason, end.cost) for end in other.ends] == [("cancelled", "self_healing", 9)]


async def test_a_task_that_is_done_before_it_hears_that_it_should_stop_is_done() -> None:
    desk = Desk()
    desk.queue.heeds = False
    order = desk.order("task")
    work = asyncio.create_task(desk.carrying.carry_out(order))
    await settle_loop()
    desk.carrying.stop(order, "replaced", "palyra")
    await settle_loop()
    assert desk.ends == []
    desk.queue.end.set_result(AttemptEnd("completed", cost=5))
    await work
    assert desk.ends == [AttemptEnd("completed", cost=5)]


async def test_a_task_that_takes_too_long_is_stopped_and_fails() -> None:
    desk = Desk()
    work = asyncio.create_task(desk.carrying.carry_out(desk.order("task", max_duration=60_000)))
    await desk.clock.advance(59)
    assert (desk.queue.cancelled, desk.beats) == ([], ["work"] * 3)
    await desk.clock.advance(1)
    await work
    assert desk.queue.cancelled == [("task of a1", "run_timeout")]
    assert [(end.state, end.reason, end.cost) for end in desk.ends] == [("failed", "run_timeout", 9)]


async def test_an_engine_that_stops_leaves_the_task_in_its_queue() -> None:
    desk = Desk()
    work = asyncio.create_task(desk.carrying.carry_out(desk.order("task")))
    await settle_loop()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (desk.ends, desk.queue.cancelled) == ([], [])
