"""A queue that dies at any moment, with whatever was not written lost: no effect twice, nothing old ever starts, and
the fence only grows."""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from palyra.core.clock import ManualClock
from palyra.core.errors import ConflictError, PalyraError
from palyra.journal.task_rows import TaskRow, TaskState
from tests.tasks.stage import T0, Stage, Store

ENDS = st.sampled_from(
    [
        ("completed", "stop"),
        ("completed", "stop"),
        ("failed", "rate_limited"),
        ("failed", "auth_invalid"),
        ("failed", "deferred"),
        ("failed", "run_timeout"),
        ("refused", "budget_exceeded"),
        ("cancelled", "by_operator"),
        ("cancelled", "self_healing"),
    ]
)
NUMBERS = st.integers(0, 1_000)


class CrashingQueue(RuleBasedStateMachine):
    """Operators and runs do what they like; time passes; the engine dies between any two writes."""

    deaths: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store = Store()
        self.clock = ManualClock(T0)
        self.ids: list[str] = []
        self.stage: Stage
        self.looked = 0
        """How much of the history was looked at."""
        self.last: dict[str, TaskRow] = {}
        """The newest row of each task up to there."""

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def pick(self, number: int) -> str:
        return self.ids[number % len(self.ids)]

    @initialize()
    def start(self) -> None:
        self.stage = Stage(self.store, self.clock, concurrency=3)
        self.do(self.stage.open())

    @rule(
        number=NUMBERS,
        delay=st.sampled_from([0, 0, 2_000, 40_000]),
        life=st.sampled_from([None, None, 1_000, 30_000]),
        most=st.integers(1, 4),
        child=st.booleans(),
        keep=st.booleans(),
        key=st.sampled_from(["", "", "k"]),
    )
    def add(self, number: int, delay: int, life: int | None, most: int, child: bool, keep: bool, key: str) -> None:
        now = self.clock.now_ms()
        fields: dict[str, Any] = {
            "not_before": now + delay,
            "expires_at": None if life is None else now + delay + life,
            "max_attempts": most,
            "priority": number % 3,
            "dedupe_key": key,
            "parent": self.pick(number) if child and self.ids else "",
            "keep": keep,
        }

        async def added() -> None:
            adding = asyncio.ensure_future(self.stage.add(**fields))
            await self.stage.turns()
            if not adding.done():
                # Nobody hears of it before it is written.
                self.stage.paper.flush()
                await self.stage.turns()
            with contextlib.suppress(PalyraError):
                self.ids.append((await adding).task_id)

        self.do(added())

    @precondition(lambda self: self.ids)
    @rule(number=NUMBERS, verb=st.sampled_from(["cancel", "pause", "resume", "retry", "redispatch"]))
    def act(self, number: int, verb: str) -> None:
        task_id = self.pick(number)

        async def acted() -> None:
            if verb == "redispatch":
                self.stage.queue.redispatch(task_id)
            else:
                acting = asyncio.ensure_future(getattr(self.stage.desk, verb)(task_id, "ada"))
                await self.stage.turns()
                self.stage.paper.flush()
                with contextlib.suppress(ConflictError, PalyraError):
                    await acting
            await self.stage.turns()

        self.do(acted())

    @precondition(lambda self: self.stage.runs.live)
    @rule(number=NUMBERS, end=ENDS)
    def end_a_run(self, number: int, end: tuple[str, str]) -> None:
        async def ended() -> None:
            run_id = sorted(self.stage.runs.live)[number % len(self.stage.runs.live)]
            self.stage.runs.end(run_id, *end)
            await self.stage.turns()

        self.do(ended())

    @rule(obedient=st.booleans())
    def runs_obey(self, obedient: bool) -> None:
        self.stage.runs.obedient = obedient

    @rule(instant=st.booleans())
    def the_disk_is_slow(self, instant: bool) -> None:
        self.stage.paper.instant = instant

    @rule(units=st.integers(1, 3))
    def the_disk_writes(self, units: int) -> None:
        async def written() -> None:
            self.stage.paper.flush(units)
            await self.stage.turns()

        self.do(written())

    @rule(seconds=st.sampled_from([0.3, 1.6, 5.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.do(self.stage.later(seconds))

    @precondition(lambda self: self.stage.queue._workers)
    @rule(number=NUMBERS)
    def a_worker_dies(self, number: int) -> None:
        async def died() -> None:
            workers = self.stage.queue._workers
            workers[sorted(workers)[number % len(workers)]].abandon()
            await self.stage.turns()

        self.do(died())

    @precondition(lambda self: self.stage.queue._workers)
    @rule(number=NUMBERS)
    def a_worker_falls_silent_and_its_run_goes_on(self, number: int) -> None:
        async def lapsed() -> None:
            workers = self.stage.queue._workers
            worker = workers[sorted(workers)[number % len(workers)]]
            if worker._timer is not None:
                worker._timer.cancel()
            self.stage.runs.obedient = False
            worker.deadline = self.clock.monotonic()
            await self.stage.later(1.1)

        self.do(lapsed())

    @rule(torn=st.integers(0, 3))
    def the_engine_dies(self, torn: int) -> None:
        self.die(torn)

    def die(self, torn: int) -> None:
        """What waits is lost but for so many units."""
        CrashingQueue.deaths += 1

        async def next_boot() -> None:
            self.stage.paper.flush(torn)
            after = self.stage.next_boot()
            await self.stage.turns()
            self.stage = after
            await after.open()
            leased = [row for row in self.store.tasks.values() if row.state.leased]
            assert all(row.boot_id == after.boot_id for row in leased)

        self.do(next_boot())

    # What holds whatever happens

    @invariant()
    def nothing_has_an_effect_twice(self) -> None:
        history, last = self.store.history, self.last
        for row in history[self.looked :]:
            before = last.get(row.task_id)
            if before is not None:
                assert row.fence >= before.fence
                assert row.version > before.version
                assert before.state is not TaskState.COMPLETED
            if row.state is TaskState.RUNNING and row.attempt == 1 and row.started_at == row.updated_at:
                assert row.expires_at is None or row.expires_at > row.started_at
            assert row.attempt <= row.max_attempts
            last[row.task_id] = row
        self.looked = len(history)

    @invariant()
    def what_is_kept_is_whole(self) -> None:
        for row in self.store.tasks.values():
            assert row.state.leased is (row.lease_until is not None)
            assert row.state.terminal is (row.finished_at is not None)
            if row.state is TaskState.COMPLETED and row.reason != "answer_lost":
                run = self.store.runs[row.target_run_id]
                assert run.state == "completed"
                assert row.task_id in self.store.results

    @invariant()
    def no_two_live_runs_are_of_one_task(self) -> None:
        owners = Counter(
            ask.task_id
            for run_id, (ask, _) in self.stage.runs.live.items()
            if not any(cancelled == run_id for cancelled, _ in self.stage.runs.cancelled)
        )
        assert all(count == 1 for count in owners.values())

    @invariant()
    def only_what_runs_beats(self) -> None:
        leased = {row.task_id for row in self.stage.desk.book if row.state.leased}
        assert self.stage.beats.alive <= leased

    @invariant()
    def open_keys_are_unique(self) -> None:
        keys = [row.dedupe_key for row in self.store.tasks.values() if row.dedupe_key and row.finished_at is None]
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        async def settled() -> None:
            stage = self.stage
            stage.paper.instant, stage.runs.obedient = True, True
            stage.paper.flush()
            for _ in range(80):
                for run_id in list(stage.runs.live):
                    stage.runs.end(run_id)
                for row in list(stage.desk.book):
                    if row.state is TaskState.PAUSED:
                        await stage.desk.resume(row.task_id, "ada")
                # What waits longest waits less than that; nothing lives that would have to be renewed meanwhile.
                self.clock.tick(400)
                await stage.turns()
                if not len(stage.desk.book):
                    break
            assert not len(stage.desk.book), list(stage.desk.book)
            assert all(row.state.terminal for row in self.store.tasks.values())
            stage.halt()
            await stage.turns()

        if hasattr(self, "stage"):
            self.do(settled())
            self.nothing_has_an_effect_twice()
            self.what_is_kept_is_whole()
        self.loop.close()


class LongLivedQueue(CrashingQueue):
    """The same for much longer, with more deaths."""

    steps: ClassVar[int] = 0

    @rule(torn=st.integers(0, 3))
    def the_engine_dies_early(self, torn: int) -> None:
        self.die(torn)

    @rule(torn=st.integers(0, 3), again=st.integers(0, 3))
    def the_engine_dies_while_it_starts(self, torn: int, again: int) -> None:
        self.die(torn)
        self.die(again)

    @invariant()
    def it_goes_on(self) -> None:
        type(self).steps += 1


PATIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))
"""A machine that is busy with other things makes no example a bad one."""
CrashingQueue.TestCase.settings = settings(PATIENT, max_examples=40, stateful_step_count=30)
TestCrashingQueue = CrashingQueue.TestCase


def live_long(examples: int) -> None:
    """So many lives of sixty steps each."""
    few = settings(PATIENT, max_examples=examples, stateful_step_count=60)
    run_state_machine_as_test(LongLivedQueue, settings=few)


@pytest.mark.soak
def test_no_double_effect_in_a_hundred_thousand_crashes() -> None:
    before = LongLivedQueue.deaths
    while LongLivedQueue.deaths - before < 100_000:
        live_long(1_000)
    sys.stdout.write(f"{LongLivedQueue.deaths:,} deaths in {LongLivedQueue.steps:,} steps\n")
