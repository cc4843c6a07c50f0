"""A mock provider, and houses whose books are checked when a test ends."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

import pytest

from palyra.core.clock import Clock
from tests.end_to_end.hosted import Site
from tests.end_to_end.premises import Premises, premises
from tests.support.upstream import Upstream

FAILED = pytest.StashKey[bool]()
LONGEST_S = 120
"""A test that takes longer waits for something that will never be."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    if "soak" in item.keywords:
        return (yield)
    with ends_at_all():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """A test that has failed has no limit of time any more, and its house may wait for what will never be."""
    if "soak" in item.keywords:
        return (yield)
    with ends_at_all():
        return (yield)


@contextmanager
def ends_at_all() -> Iterator[None]:
    """Turns a wait for ever into a failure, also one of the house that is being closed.

    A running loop is stopped after its turn, once it is told who waits for what: an error raised amid one would end in
    whatever callback happens to run, and asyncio takes it for a failure of that one's connection.
    """
    stopping = False

    def too_long(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        loop = asyncio._get_running_loop()
        if loop is None or stopping:
            raise AssertionError(f"this still waits after {LONGEST_S} s")
        stopping = True
        loop.call_soon_threadsafe(stop, loop)

    def stop(loop: asyncio.AbstractEventLoop) -> None:
        sys.stderr.write(f"this still waits after {LONGEST_S} s\n")
        for task in asyncio.all_tasks(loop):
            task.print_stack()
        loop.stop()

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Opener(Protocol):
    """Opens a house; `state` names its state directory within the test's own."""

    async def __call__(self, text: str = "", *, clock: Clock | None = None, state: str = "state") -> Premises: ...


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().serving() as serving:
        yield serving


@pytest.fixture
async def opened(request: pytest.FixtureRequest, upstream: Upstream, tmp_path: Path) -> AsyncIterator[Opener]:
    houses: list[Premises] = []
    async with AsyncExitStack() as stack:

        async def open_one(text: str = "", *, clock: Clock | None = None, state: str = "state") -> Premises:
            one = AsyncExitStack()
            stack.push_async_callback(one.aclose)
            here = await one.enter_async_context(premises(upstream, tmp_path / state, text, clock))
            here.close = one.aclose
            houses.append(here)
            return here

        yield open_one
        if request.node.stash.get(FAILED, False):
            for here in houses:
                here.abandon()


@pytest.fixture
async def here(opened: Opener) -> Premises:
    """A house without budgets, on a clock turned by hand."""
    return await opened()


@pytest.fixture(scope="session")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an engine has run once and ended in order."""
    found = Site(tmp_path_factory.mktemp("seed"))

    async def run() -> None:
        async with found.console() as control:
            assert control.house is not None, control.standstill

    asyncio.run(run())
    return found.root


@pytest.fixture
def site(run_once: Path, tmp_path: Path) -> Site:
    """A copy of it to spoil."""
    shutil.copytree(run_once, tmp_path / "site")
    return Site(tmp_path / "site")
