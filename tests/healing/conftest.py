"""Stages are closed when their test ends."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.healing.stage import Stage, a_stage

Staged = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def staged() -> AsyncIterator[Staged]:
    opened: list[Stage] = []

    async def make(*args: object, **named: object) -> Stage:
        stage = await a_stage(*args, **named)  # type: ignore[arg-type]
        opened.append(stage)
        return stage

    yield make
    for stage in opened:
        await stage.close()
