"""No part can hold up the others: each is asked under a guard and a limit of its own, and what it told last stays."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.conditions import Condition
from palyra.diagnostics.collecting import LIMIT_S, SLOW_LIMIT_S, Collector, Diagnostics, OffLoop, StillRunningError
from palyra.diagnostics.reasons import ReasonCode, State
from palyra.diagnostics.section import CollectorState, Section
from palyra.diagnostics.snapshot import Diagnosis
from tests.diagnostics.samples import DISK, ENGINE, GOOD, JUDGES, PROVIDER

Collect = Callable[[], Awaitable[Any]]


class House:
    """Collectors for every section; some are replaced by a test."""

    def __init__(self, **other: Collect) -> None:
        self.clock = ManualClock()
        self.asked: dict[str, int] = dict.fromkeys(GOOD, 0)
        self.told: list[Condition] = []
        self.cleared: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.other = other
        self.diagnostics = Diagnostics(
            self.clock,
            [self._collector(name) for name in GOOD],
            lambda: ENGINE,
            tell=self.told.append,
            clear=self.cleared.append,
            failed=lambda name, why: self.failed.append((name, why)),
        )

    def _collector(self, name: str) -> Collector[Any]:
        async def collect() -> Any:
            self.asked[name] += 1
            return await self.other[name]() if name in self.other else GOOD[name]

        slow = name in ("journal", "disk", "memory")
        return Collector(name, collect, JUDGES[name], SLOW_LIMIT_S if slow else LIMIT_S, in_threads=slow)

    async def snapshot(self, seconds: float = 0.0, *, fresh: bool = False) -> Diagnosis:
        """A snapshot, while so much time passes."""
        asked = asyncio.create_task(self.diagnostics.snapshot(fresh=fresh))
        await settle_loop()
        await self.clock.advance(seconds)
        return await asked


@asynccontextmanager
async def house(**other: Collect) -> AsyncIterator[House]:
    made = House(**other)
    try:
        yield made
    finally:
        await made.diagnostics.close()


def of(told: Diagnosis, name: str) -> Section[Any]:
    return told.sections.each()[name]


class Moody:
    """Tells what it is set to, or raises it."""

    def __init__(self, data: object) -> None:
        self.mood: object = data

    async def __call__(self) -> object:
        if isinstance(self.mood, BaseException):
            raise self.mood
        return self.mood


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


async def forever() -> Any:
    await asyncio.get_running_loop().create_future()


async def test_a_collector_that_raises_leaves_the_others_alone() -> None:
    memory = Moody(GOOD["memory"])
    async with house(memory=memory) as here:
        first = await here.snapshot()
        assert first.overall.state is State.OK
        memory.mood = RuntimeError("Bearer abc.def broke, total_tokens: 42")
        await here.clock.advance(60)
        told = await here.snapshot()
    section = of(told, "memory")
    assert (section.state, section.collector, section.stale) == (State.UNKNOWN, CollectorState.ERROR, True)
    assert section.data == GOOD["memory"]
    assert section.observed_at == told.generated_at - 60_000
    assert section.error == "RuntimeError: Bearer [redacted] broke, total_tokens: 42"
    assert [one.code for one in section.reasons] == [ReasonCode.COLLECTOR_ERROR]
    assert told.overall.state is State.DEGRADED
    rest = [one for name, one in told.sections.each().items() if name != "memory"]
    assert all(one.collector is CollectorState.OK and not one.stale for one in rest)
    assert all(one.observed_at == told.generated_at for one in rest)
    assert here.failed == [("memory", section.error)]


async def test_a_collector_that_never_told_anything_has_nothing_stale() -> None:
    async with house(vault=Moody(ValueError())) as here:
        section = of(await here.snapshot(), "vault")
    assert (section.data, section.stale, section.observed_at, section.error) == (None, False, None, "ValueError")


async def test_a_collector_that_hangs_is_left_at_its_limit_and_the_answer_comes_in_time() -> None:
    async with house(tasks=forever, journal=forever) as here:
        asked = asyncio.create_task(here.diagnostics.snapshot())
        await settle_loop()
        await here.clock.advance(0.3)
        assert not asked.done()
        await here.clock.advance(0.7)
        told = await asked
    assert told.took_ms == 1_000
    assert (of(told, "tasks").collector, of(told, "tasks").took_ms) == (CollectorState.TIMEOUT, 250)
    assert (of(told, "journal").collector, of(told, "journal").took_ms) == (CollectorState.TIMEOUT, 1_000)
    assert of(told, "tasks").error == "it took longer than 250 ms"


async def test_one_that_does_not_let_itself_be_ended_is_not_asked_again() -> None:
    release = asyncio.Event()

    async def stubborn() -> Any:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return GOOD["tasks"]

    async with house(tasks=stubborn) as here:
        assert of(await here.snapshot(1), "tasks").collector is CollectorState.TIMEOUT
        await here.clock.advance(2)
        again = of(await here.snapshot(), "tasks")
        assert (again.collector, here.asked["tasks"]) == (CollectorState.STILL_RUNNING, 1)
        release.set()
        await here.clock.advance(2)
        assert of(await here.snapshot(), "tasks").collector is CollectorState.OK
        assert here.asked["tasks"] == 2


async def test_what_waits_for_threads_is_left_to_come_back_and_not_begun_a_second_time() -> None:
    release = asyncio.Event()

    async def reading() -> Any:
        await release.wait()
        return GOOD["journal"]

    async with house(journal=reading) as here:
        assert of(await here.snapshot(1), "journal").collector is CollectorState.TIMEOUT
        await here.clock.advance(2)
        again = of(await here.snapshot(), "journal")
        assert (again.collector, here.asked["journal"]) == (CollectorState.STILL_RUNNING, 1)
        release.set()
        await here.clock.advance(2)
        assert of(await here.snapshot(), "journal").collector is CollectorState.OK
        assert here.asked["journal"] == 2


GARBAGE: list[tuple[str, object]] = [
    ("nothing", None),
    ("another section's data", GOOD["disk"]),
    ("a plain mapping", {"total": 1}),
    ("a word", "fine"),
    ("a field of another type", replace(GOOD["tasks"], workers_busy="many")),
    ("words in place of a number", replace(GOOD["tasks"], throughput_5m="hunter2-hunter2")),
    ("a field that is not there", replace(GOOD["tasks"], by_state=None)),
    ("cancelled from elsewhere", asyncio.CancelledError()),
    ("a time-out of its own", TimeoutError()),
    ("an error without words", AssertionError()),
    ("an error that cannot be told", Unspeakable()),
    ("too deep", RecursionError("maximum recursion depth exceeded")),
]


@pytest.mark.parametrize("given", [row[1] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
async def test_whatever_a_collector_comes_back_with_the_others_tell_what_they_know(given: object) -> None:
    async with house(tasks=Moody(given)) as here:
        told = await here.snapshot()
        section = of(told, "tasks")
        assert (section.state, section.collector, section.data) == (State.UNKNOWN, CollectorState.ERROR, None)
        assert section.error
        assert all(one.state is State.OK for name, one in told.sections.each().items() if name != "tasks")
        assert [name for name, _ in here.failed] == ["tasks"]


async def test_who_is_unwell_in_an_unheard_of_way_is_unknown() -> None:
    serving = replace(GOOD["model_provider"], providers=(replace(PROVIDER, health="molten"),))
    async with house(model_provider=Moody(serving)) as here:
        told = await here.snapshot()
    assert told.health_graph is not None
    node = told.health_graph.node(f"provider:{PROVIDER.id}")
    assert node is not None
    assert node.own is State.UNKNOWN


async def test_blocking_work_that_hangs_is_not_begun_a_second_time() -> None:
    off_loop, release = OffLoop("disk"), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> Any:
        threads.append(threading.current_thread())
        release.wait()
        return DISK

    async with house(disk=lambda: off_loop.run(work)) as here:
        told = await here.snapshot(1)
        assert (of(told, "disk").collector, told.took_ms) == (CollectorState.TIMEOUT, 1_000)
        await here.clock.advance(2)
        for _ in range(3):
            told = await here.snapshot(fresh=True)
            await here.clock.advance(2)
            assert of(told, "disk").collector is CollectorState.STILL_RUNNING
        assert off_loop.begun == 1
        release.set()
        await asyncio.to_thread(threads[0].join)
        await settle_loop()
        asked = asyncio.create_task(here.diagnostics.snapshot(fresh=True))
        assert of(await asked, "disk").collector is CollectorState.OK
        assert off_loop.begun == 2


async def test_what_blocking_work_raises_is_told_to_who_waits() -> None:
    off_loop = OffLoop("disk")

    def fail() -> None:
        raise OSError(28, "No space left on device")

    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            await off_loop.run(fail)
    assert off_loop.begun == 2
    gate = threading.Event()
    first = asyncio.create_task(off_loop.run(gate.wait))
    await settle_loop()
    with pytest.raises(StillRunningError):
        await off_loop.run(gate.wait)
    gate.set()
    assert await first is True


async def test_callers_within_a_second_get_the_same_snapshot() -> None:
    async with house() as here:
        first = await here.snapshot()
        await here.clock.advance(0.9)
        assert await here.snapshot() is first
        await here.clock.advance(0.1)
        assert await here.snapshot() is not first
        assert here.diagnostics.collections == 2


async def test_a_fresh_one_is_made_at_most_once_a_second() -> None:
    async with house() as here:
        first = await here.snapshot()
        fresh = await here.snapshot(fresh=True)
        assert fresh is not first
        assert await here.snapshot(fresh=True) is fresh
        await here.clock.advance(1)
        assert await here.snapshot(fresh=True) is not fresh
        assert here.diagnostics.collections == 3


async def test_two_hundred_callers_at_once_share_one_collection() -> None:
    gate = asyncio.Event()

    async def slow() -> Any:
        await gate.wait()
        return GOOD["tasks"]

    async with house(tasks=slow) as here:
        callers = [asyncio.create_task(here.diagnostics.snapshot(fresh=one % 2 == 0)) for one in range(200)]
        await settle_loop()
        gate.set()
        told = await asyncio.gather(*callers)
        assert here.diagnostics.collections == 1
        assert all(count == 1 for count in here.asked.values())
        assert all(one is told[0] for one in told)


async def test_a_caller_who_leaves_ends_no_collection_that_others_wait_for() -> None:
    gate = asyncio.Event()

    async def slow() -> Any:
        await gate.wait()
        return GOOD["tasks"]

    async with house(tasks=slow) as here:
        leaving = asyncio.create_task(here.diagnostics.snapshot())
        staying = asyncio.create_task(here.diagnostics.snapshot())
        await settle_loop()
        leaving.cancel()
        await settle_loop()
        assert leaving.cancelled()
        gate.set()
        assert of(await staying, "tasks").collector is CollectorState.OK


async def test_three_failures_in_a_row_are_an_incident_which_the_next_success_ends() -> None:
    memory = Moody(RuntimeError("no"))
    async with house(memory=memory) as here:
        for count in range(1, 5):
            await here.snapshot()
            await here.clock.advance(2)
            assert len(here.told) == (count >= 3)
        (condition,) = here.told
        assert (condition.key, condition.kin, condition.subject) == (
            "engine:collector:memory",
            "engine:collector",
            "memory",
        )
        memory.mood = GOOD["memory"]
        await here.snapshot()
        assert here.cleared == ["engine:collector:memory"]
        memory.mood = RuntimeError("no")
        await here.clock.advance(2)
        await here.snapshot()
        assert len(here.told) == 1
