"""A process that serves does not look through its whole heap while somebody may wait."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from palyra.core import heap


class Ring:
    """Garbage that only the collector finds, once it is let go of."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def looks() -> Iterator[list[int]]:
    """Generations that were looked through since; the heap is as it was afterwards."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    thresholds = gc.get_threshold()
    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)
        gc.unfreeze()
        gc.set_threshold(*thresholds)


async def test_a_process_that_serves_already_looks_through_what_is_young_alone(
    looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def ahead() -> Iterator[None]:
        for number in range(3):
            steps.append(number)
            yield

    monkeypatch.setattr(heap, "writing_ahead", ahead)
    gc.disable()
    try:
        kept = [Ring()]
        looks.clear()
        await heap.settle()
        assert (steps, looks) == ([0, 1, 2], [0])
        assert not any(each is kept[0] for each in gc.get_objects())
    finally:
        gc.enable()
    assert gc.get_threshold() == heap.THRESHOLDS


def test_where_nobody_waits_all_of_it_is_looked_through_once(looks: list[int]) -> None:
    kept = [Ring()]
    looks.clear()
    heap.settle_heap()
    assert looks == [2]
    assert not any(each is kept[0] for each in gc.get_objects())
