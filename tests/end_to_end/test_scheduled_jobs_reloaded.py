"""Jobs of the file while the house runs: what the file says now holds at once."""

import asyncio

from palyra.control.jobs_commands import PauseJob
from palyra.control.jobs_queries import JobsQuery
from palyra.control.task_queries import TasksQuery
from palyra.scheduler.standing_jobs import Synchronised
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import configuration
from tests.end_to_end.test_scheduled_jobs import JOB, ended
from tests.end_to_end.test_scheduled_jobs_of_tasks import DIGEST
from tests.support.upstream import Reply, Upstream

QUIET = JOB.replace('"hello"', '"quiet"')


async def test_the_files_jobs_are_added_changed_and_removed_while_they_run(opened: Opener, upstream: Upstream) -> None:
    here = await opened(f"{DIGEST}{QUIET}")
    assert (await here.send(PauseJob("quiet", "holidays"))).ok
    upstream.replies = [Reply(gate=asyncio.Event())]
    await here.advance(60)
    await upstream.wait_for_requests(1)
    jobs = configuration(upstream, f"{JOB}{QUIET}max_attempts = 3\n").jobs
    assert here.engine.jobs.apply(jobs) == Synchronised(added=1, changed=1, removed=1)
    assert here.engine.jobs.apply(jobs) == Synchronised()
    (task,) = here.engine.tasks.desk.book
    await here.engine.tasks.desk.ended(task.task_id)
    await here.written()
    (stopped,) = (await here.control.ask(TasksQuery())).tasks
    assert stopped.state == "cancelled"
    views = {job.name: job for job in (await here.control.ask(JobsQuery())).jobs}
    assert sorted(views) == ["hello", "quiet"]
    assert (views["quiet"].state, views["quiet"].why) == ("paused", "holidays")
    await here.advance(60)
    assert (await ended(here))[0].state == "completed"
