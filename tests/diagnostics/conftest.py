"""A journal of its own for each test that keeps something."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.journal import Journal


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "state", ManualClock())
    yield opened
    await opened.close()
