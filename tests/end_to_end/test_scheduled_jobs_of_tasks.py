"""Jobs whose action is a task: what it used is its fire's, and it is made once whatever becomes of the engine."""

import asyncio

from palyra.control.jobs_queries import FireView
from palyra.control.task_queries import TasksQuery
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.end_to_end.test_scheduled_jobs import ended, in_state
from tests.support.faults import OVERLOADED
from tests.support.upstream import Reply, Upstream

DIGEST = """
[[jobs]]
name = "digest"
every = "1m"
action = "task"
task = "summary"
input = "the day"
"""
ALONE = "[retries]\nmax = 0\n[failover]\nenabled = false\n"


async def digests(here: Premises, count: int = 1) -> list[FireView]:
    return await ended(here, count, "digest")


async def test_a_fire_costs_what_all_runs_of_its_task_cost(opened: Opener, upstream: Upstream) -> None:
    here = await opened(f"{DIGEST}{ALONE}")
    upstream.replies = [OVERLOADED]
    await here.advance(60)
    await here.until(lambda: any(task.waits == "backoff" for task in here.engine.tasks.desk.book))
    await here.advance(2)
    (fire,) = await digests(here)
    (task,) = (await here.control.ask(TasksQuery())).tasks
    runs = [await here.run(one.run_id) for one in await here.engine.journal.readers.runs_of_task(task.task_id)]
    assert [run.run.state for run in runs] == ["failed", "completed"]
    assert (fire.state, fire.input_tokens, fire.output_tokens) == ("completed", 12, 4)
    assert fire.cost_nano_usd == sum(run.run.cost_nano_usd or 0 for run in runs) > 0


async def test_a_task_that_its_budget_refuses_denies_the_fire(opened: Opener, upstream: Upstream) -> None:
    budget = '[[budgets]]\npolicy_id = "jobs"\nscope_kind = "job"\nscope_id = "digest"\nhard_limit = 0.000001\n'
    here = await opened(f"{DIGEST}max_attempts = 5\n{budget}")
    await here.advance(60)
    (fire,) = await digests(here)
    assert (fire.state, fire.reason, fire.attempts, fire.cost_nano_usd) == ("denied", "budget_exceeded", 1, 0)
    assert upstream.seen == []


async def test_a_task_that_takes_too_long_is_stopped_before_the_next_attempt(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened(f'{DIGEST}max_attempts = 2\nmax_duration = "5s"\n')
    upstream.replies = [Reply(gate=asyncio.Event())]
    await here.advance(60)
    await upstream.wait_for_requests(1)
    await here.advance(5)
    await in_state(here, "backoff", "digest")
    (task,) = (await here.control.ask(TasksQuery())).tasks
    assert task.state == "cancelled"
    await here.advance(1)
    (fire,) = await digests(here)
    assert (fire.state, fire.attempts) == ("completed", 2)


async def test_an_engine_that_stops_in_order_makes_no_second_task(opened: Opener, upstream: Upstream) -> None:
    here = await opened(DIGEST)
    upstream.replies = [Reply(gate=asyncio.Event())]
    await here.advance(60)
    await upstream.wait_for_requests(1)
    stopping = asyncio.create_task(here.engine.drain())
    await here.advance(here.engine.config.gateway.drain_seconds)
    await stopping
    await here.close()
    again = await opened(DIGEST, clock=here.clock)
    (fire,) = await digests(again)
    assert (fire.state, fire.attempts) == ("completed", 1)
    (task,) = (await again.control.ask(TasksQuery())).tasks
    assert task.state == "completed"
