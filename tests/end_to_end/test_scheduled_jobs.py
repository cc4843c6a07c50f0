"""Jobs of a running house: prompts as governed runs, tasks, budgets, notes, kills and stops."""

import asyncio
from collections.abc import Sequence

from palyra.control.jobs_commands import AddJob, PauseJob, TriggerJob
from palyra.control.jobs_queries import FiresQuery, FireView, JobQuery, JobsQuery, ScheduleQuery
from palyra.control.memory_queries import NotesQuery, NoteView
from palyra.control.offline import offline_control
from palyra.control.remote import RemoteControl
from palyra.vault.records import Role
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises, configuration
from tests.end_to_end.test_starting_again import copy_state
from tests.support.faults import OVERLOADED
from tests.support.upstream import Upstream

JOB = """
[[jobs]]
name = "hello"
every = "1m"
action = "prompt"
prompt = "Say hello."
model = "openai/gpt-4o-mini"
tags = ["team=blue"]
"""


async def fires(here: Premises, name: str = "hello") -> list[FireView]:
    """Those of one job, oldest first."""
    return list(reversed((await here.control.ask(FiresQuery(name))).fires))


async def ended(here: Premises, count: int = 1, name: str = "hello") -> list[FireView]:
    """Its fires, once so many have ended."""
    while True:
        found = await fires(here, name)
        if sum(fire.finished_at is not None for fire in found) >= count:
            return found
        await asyncio.sleep(0)


async def in_state(here: Premises, state: str, name: str = "hello") -> FireView:
    while True:
        for fire in await fires(here, name):
            if fire.state == state:
                return fire
        await asyncio.sleep(0)


async def test_a_job_of_the_file_runs_its_prompt_when_it_is_time(opened: Opener, upstream: Upstream) -> None:
    here = await opened(f"{JOB}max_tokens = 50\n")
    await here.advance(60)
    (fire,) = await ended(here)
    assert (fire.state, fire.reason, fire.attempts, fire.trigger) == ("completed", "stop", 1, "schedule")
    assert (fire.input_tokens, fire.output_tokens) == (12, 4)
    detail = await here.run(fire.work_ids[0])
    assert (detail.run.state, detail.run.model) == ("completed", MINI)
    assert fire.cost_nano_usd == detail.run.cost_nano_usd
    assert fire.cost_nano_usd
    row = await here.engine.journal.readers.run(fire.work_ids[0])
    assert row is not None
    assert (row.source, row.scope.job, row.scope.session) == ("job", "hello", "job:hello")
    assert row.scope.tags == {"team": "blue"}
    (asked,) = upstream.seen
    assert asked.json["stream"] is True
    assert asked.json["messages"] == [{"role": "user", "content": "Say hello."}]
    by_job = {entry.key: entry.numbers.requests for entry in (await here.usage("job")).breakdown}
    assert by_job["hello"] == 1


async def test_consoles_see_the_same_jobs_here_over_the_socket_and_offline(opened: Opener) -> None:
    here = await opened(JOB)
    await here.advance(60)
    await ended(here)
    remote = RemoteControl(here.state_dir, environ={})
    try:
        assert await remote.ask(FiresQuery("hello")) == await here.control.ask(FiresQuery("hello"))
        assert await remote.ask(JobQuery("hello")) == await here.control.ask(JobQuery("hello"))
        answer = await remote.ask(ScheduleQuery("0 9 * * mon", timezone="Europe/Prague", count=2))
        assert [one.offset for one in answer.instants] == ["+01:00", "+01:00"]
        assert (await remote.ask(ScheduleQuery("61 * * * *"))).problems
    finally:
        await remote.close()
    page = await here.control.ask(JobsQuery())
    (view,) = page.jobs
    assert (view.name, view.state, view.last_state, view.fired) == ("hello", "active", "completed", 1)
    copied = copy_state(here, "asleep")
    async with offline_control(configuration(here.upstream, JOB), copied, None, here.clock) as asleep:
        (there,) = (await asleep.ask(JobsQuery())).jobs
        assert (there.name, there.next_slot, there.last_state) == (view.name, view.next_slot, "completed")
        assert (await asleep.ask(FiresQuery("hello"))).fires == (await here.control.ask(FiresQuery("hello"))).fires


async def test_a_budget_that_is_spent_denies_the_fire_without_another_try(opened: Opener, upstream: Upstream) -> None:
    budget = '[[budgets]]\npolicy_id = "jobs"\nscope_kind = "job"\nscope_id = "hello"\nhard_limit = 0.000001\n'
    here = await opened(f"{JOB}max_attempts = 5\n{budget}")
    await here.advance(60)
    (fire,) = await ended(here)
    assert (fire.state, fire.reason, fire.attempts) == ("denied", "budget_exceeded", 1)
    assert upstream.seen == []


async def test_a_provider_in_trouble_is_asked_again_after_the_back_off(opened: Opener, upstream: Upstream) -> None:
    alone = "[retries]\nmax = 0\n[failover]\nenabled = false\n"
    here = await opened(f"{JOB}max_attempts = 2\nbackoff_ms = 5000\n{alone}")
    upstream.replies = [OVERLOADED]
    await here.advance(60)
    waiting = await in_state(here, "backoff")
    assert (waiting.reason, waiting.attempts) == ("transient_upstream", 1)
    await here.advance(5)
    (fire,) = await ended(here)
    assert (fire.state, fire.attempts, len(fire.work_ids)) == ("completed", 2, 2)


async def kept(here: Premises) -> Sequence[NoteView]:
    """The notes, once there are some."""
    while True:
        notes = (await here.control.ask(NotesQuery())).notes
        if notes:
            return notes
        await asyncio.sleep(0)


async def test_an_answer_is_kept_as_a_note_and_recalled_by_the_next_fire(opened: Opener, upstream: Upstream) -> None:
    here = await opened(f"{JOB}remember = true\nrecall = 2\n")
    units: list[set[str]] = []
    here.engine.journal.listen(lambda unit: units.append({getattr(one, "table", type(one).__name__) for one in unit}))
    await here.advance(60)
    await ended(here)
    assert [note.text for note in await kept(here)] == ["Hello world."]
    assert [unit for unit in units if {"RunSaved", "job_fires", "memory_notes"} <= unit]
    await here.advance(60)
    await ended(here, 2)
    first, _ = upstream.seen[-1].json["messages"]
    assert first["role"] == "system"
    assert "> Hello world." in first["content"]


async def test_roles_are_asked_for(opened: Opener) -> None:
    here = await opened(JOB)
    viewer, approver = here.operator("vera", Role.VIEWER), here.operator("ann", Role.APPROVER)
    new = AddJob({"name": "x", "every": "1h", "prompt": "p"})
    assert (await viewer.send(TriggerJob("hello"))).code == "role_missing"
    assert (await approver.send(TriggerJob("hello"))).ok
    await ended(here)
    assert (await approver.send(new)).code == "role_missing"
    assert (await approver.send(PauseJob("hello", "why"))).ok
    assert (await here.send(new)).ok
    assert (await here.control.send(PauseJob("nobody"))).status == "not_found"
