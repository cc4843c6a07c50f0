"""One house for all attacks of a module, and how many of them there are."""

from collections.abc import Iterator

import pytest

from tests.attacks.target import Target, target


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("attacked")) as opened:
        yield opened
