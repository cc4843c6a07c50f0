"""One nursery for the whole room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toughness.nursery import Nursery
from tests.toughness.programs import Installation


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture
def installation(nursery: Nursery, tmp_path: Path) -> Installation:
    return Installation(nursery, tmp_path / "state")
