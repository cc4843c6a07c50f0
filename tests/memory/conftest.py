"""Memory on a journal of its own, with a clock turned by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.journal import Journal
from tests.memory.keeping import Keeping


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def keeping(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Keeping]:
    journal = await Journal.open(tmp_path, clock)
    yield Keeping(journal, clock)
    await journal.close()
