"""A journal in a directory of its own, opened on a clock that stands still and closed when the test ends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.journal import Journal


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def journal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "state", clock)
    yield opened
    await opened.close()
