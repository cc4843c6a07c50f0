"""What the whole room needs: one nursery, and a provider to talk to."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.one_try import ONE_TRY
from tests.support.upstream import Upstream
from tests.toughness.nursery import Nursery
from tests.toughness.programs import Installation


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().serving() as up:
        yield up


@pytest.fixture
def installation(nursery: Nursery, upstream: Upstream, tmp_path: Path) -> Iterator[Installation]:
    """A fresh state directory, and a file that names the mock provider and a budget that asks a person."""
    config = tmp_path / "palyra.toml"
    config.write_text(CONFIG.format(upstream=upstream.base_url) + ONE_TRY)
    made = Installation(nursery, tmp_path / "state", config)
    yield made
    made.close()


CONFIG = """
version = 1

[gateway]
bind = "127.0.0.1:0"
drain_seconds = 20

[providers.mock]
kind = "openai_compatible"
base_url = "{upstream}/v1"
pricing_provider = "openai"
api_key = "sk-upstream"
discover = false

[[models]]
provider = "mock"
upstream = "gpt-4o"

[[models]]
provider = "mock"
upstream = "gpt-4o-mini"

[[budgets]]
policy_id = "team"
scope_kind = "model"
scope_id = "mock/gpt-4o"
interval_kind = "daily"
hard_limit = "0.005"
action = "approval_required"
"""
"""`gpt-4o` asks a person once more than half a cent is at stake; `gpt-4o-mini` always passes."""
