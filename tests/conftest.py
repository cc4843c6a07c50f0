"""What holds for every test."""

from collections.abc import Iterable

import pytest
from hypothesis import settings

settings.register_profile("palyra", deadline=None)
settings.load_profile("palyra")
"""How long an example takes is no property of the code: machines are busy at times."""


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """What hangs is ended and told, but long runs take what they need."""
    for item in items:
        if item.get_closest_marker("soak") is not None:
            item.add_marker(pytest.mark.timeout(0))
