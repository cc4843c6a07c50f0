"""A mock provider, and houses whose books are checked when a test ends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from palyra.core.clock import Clock
from tests.end_to_end.premises import Premises, premises
from tests.support.upstream import Upstream


class Opener(Protocol):
    """Opens a house; `state` names its state directory within the test's own."""

    async def __call__(self, text: str = "", *, clock: Clock | None = None, state: str = "state") -> Premises: ...


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().serving() as serving:
        yield serving


@pytest.fixture
async def opened(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:

        async def open_one(text: str = "", *, clock: Clock | None = None, state: str = "state") -> Premises:
            one = AsyncExitStack()
            stack.push_async_callback(one.aclose)
            here = await one.enter_async_context(premises(upstream, tmp_path / state, text, clock))
            here.close = one.aclose
            return here

        yield open_one


@pytest.fixture
async def here(opened: Opener) -> Premises:
    """A house without budgets, on a clock turned by hand."""
    return await opened()
