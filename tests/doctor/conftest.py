"""A provider for doctors that ask over the network."""

from collections.abc import AsyncIterator

import pytest

from tests.support.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().serving() as mock:
        yield mock
