"""Fires of a running house that do not come to their own end: cancelled, killed, stopped with the house; and tasks."""

import asyncio

import pytest

from palyra.control.jobs_commands import CancelFire, TriggerJob
from palyra.core.pulse import WorkHeartbeatKind
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.end_to_end.test_scheduled_jobs import JOB, ended, fires, in_state
from tests.end_to_end.test_starting_again import copy_state
from tests.support.upstream import Reply, Upstream


def beating(here: Premises) -> list[str]:
    """Jobs of the file whose fires beat; those of the system come and go by themselves."""
    jobs = [str(beat.summary) for beat in here.engine.healing.heartbeats if beat.kind is WorkHeartbeatKind.CRON_JOB]
    return [job for job in jobs if not job.startswith("system.")]


async def test_a_fire_is_cancelled_by_an_operator(opened: Opener, upstream: Upstream) -> None:
    here = await opened(f"{JOB}max_attempts = 3\n")
    upstream.default = Reply(gate=asyncio.Event())
    told = await here.send(TriggerJob("hello", "once"))
    assert told.message == f"Job hello fires now (fire {told.data['fire_id']})."
    await upstream.wait_for_requests(1)
    assert beating(here) == ["hello"]
    assert (await here.send(CancelFire("hello"))).ok
    (fire,) = await ended(here)
    assert (fire.state, fire.reason) == ("cancelled", "by_operator")
    assert beating(here) == []
    again = await here.send(TriggerJob("hello", "once"))
    assert again.message == f"Job hello has fired: cancelled (fire {fire.fire_id})."


async def test_a_task_of_a_job_ends_its_fire(opened: Opener) -> None:
    task_job = '[[jobs]]\nname = "sum"\ncron = "* * * * *"\naction = "task"\ntask = "summary"\ninput = "Long text."\n'
    here = await opened(task_job)
    await here.advance(60)
    (fire,) = await ended(here, name="sum")
    assert (fire.state, fire.attempts) == ("completed", 1)
    task = await here.engine.tasks.desk.find(str(fire.detail["task_id"]))
    assert (task.state, task.job, task.source, task.fire_id) == ("completed", "sum", "job", fire.fire_id)


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_kill_amid_a_fire_interrupts_it_and_its_rule_decides(
    opened: Opener, upstream: Upstream, attempts: int
) -> None:
    text = f"{JOB}max_attempts = {attempts}\n"
    here = await opened(text)
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate)
    await here.advance(60)
    await upstream.wait_for_requests(1)
    before = await in_state(here, "running")
    copy_state(here, "next")
    gate.set()
    upstream.default = Reply()
    there = await opened(text, clock=here.clock, state="next")
    if attempts == 2:
        await there.advance(1)
    (fire,) = await ended(there)
    assert fire.fire_id == before.fire_id
    if attempts == 1:
        assert (fire.state, fire.reason, fire.attempts) == ("failed", "interrupted", 1)
    else:
        assert (fire.state, fire.attempts, len(fire.work_ids)) == ("completed", 2, 2)
    old = await there.run(before.work_ids[0])
    assert (old.run.state, old.run.reason) == ("failed", "interrupted")


async def test_an_orderly_stop_gives_a_fire_that_hangs_back_to_the_next_start(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened(JOB)
    upstream.default = Reply(gate=asyncio.Event())
    await here.advance(60)
    await upstream.wait_for_requests(1)
    before = await in_state(here, "running")
    stopping = asyncio.create_task(here.engine.drain())
    await here.advance(10)
    await stopping
    await here.written()
    (fire,) = await fires(here)
    assert (fire.state, fire.reason, fire.attempts) == ("pending", "engine_stopping", 0)
    await here.close()
    upstream.default = Reply()
    there = await opened(JOB, clock=here.clock)
    (again,) = await ended(there)
    assert (again.fire_id, again.state, again.attempts, len(again.work_ids)) == (before.fire_id, "completed", 1, 2)
