"""Rows of jobs and tasks that cannot be read: the house opens, their owners wait for somebody, the rest goes on."""

import sqlite3
from contextlib import closing

from palyra.control.jobs_queries import JobsQuery
from palyra.control.task_queries import TasksQuery
from palyra.tasks.asking import TaskAsk
from tests.end_to_end.conftest import Opener
from tests.end_to_end.test_scheduled_jobs import JOB, ended
from tests.end_to_end.test_starting_again import copy_state

BROKEN = JOB.replace('"hello"', '"broken"')


async def test_rows_that_cannot_be_read_stop_no_start(opened: Opener) -> None:
    here = await opened(f"{JOB}{BROKEN}")
    here.engine.jobs.drain()
    await here.advance(60)
    here.engine.tasks.stop_claims()
    good, _ = await here.engine.tasks.desk.submit(TaskAsk(text="do it", owner="ann"), "ada")
    bad, _ = await here.engine.tasks.desk.submit(TaskAsk(text="do it", owner="ann"), "ada")
    lane = here.engine.jobs.roster.find("broken")
    assert lane is not None
    await here.engine.jobs.acts.trigger("broken", "ada")
    state = copy_state(here, "broken")
    with closing(sqlite3.connect(state / "journal.db")) as database, database:
        database.execute("UPDATE job_fires SET work_ids = '[' WHERE job_id = ?", (lane.job.job_id,))
        database.execute("UPDATE tasks SET labels = '[]' WHERE task_id = ?", (bad.task_id,))
    there = await opened(f"{JOB}{BROKEN}", clock=here.clock, state="broken")
    jobs = {job.name: job for job in (await there.control.ask(JobsQuery())).jobs}
    assert (jobs["broken"].state, jobs["broken"].last_state) == ("faulted", "failed")
    assert "cannot be read" in jobs["broken"].why
    assert (await ended(there))[0].state == "completed"
    await there.engine.tasks.desk.ended(good.task_id)
    await there.written()
    tasks = {task.task_id: task for task in (await there.control.ask(TasksQuery())).tasks}
    assert tasks[good.task_id].state == "completed"
    assert (tasks[bad.task_id].state, tasks[bad.task_id].reason) == ("failed", "poison")
    await there.advance(15)
    told = {record.key for record in there.engine.healing.book.live()}
    assert {f"job:{lane.job.job_id}:faulted"} < told
    assert any(bad.task_id in key for key in told)
