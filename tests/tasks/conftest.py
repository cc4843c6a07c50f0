"""A queue whose journal writes at once."""

from collections.abc import AsyncIterator

import pytest

from tests.tasks.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage(concurrency=2)
    await made.open()
    yield made
    made.halt()
    await made.turns()
