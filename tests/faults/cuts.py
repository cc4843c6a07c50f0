"""Cuts of the power at every moment of a piece of work on files, many of each, without a process that dies."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.faults.files import stand_between
from tests.faults.passing import Passing
from tests.faults.stable import Disk, Left

T = TypeVar("T")


class Moments(Passing):
    """Keeps what may be left before each write."""

    def __init__(self, root: Path, dice: random.Random, of_each: int) -> None:
        super().__init__()
        self.begin(root)
        self.disk = Disk(root)
        self.left: list[Left] = []
        self._dice, self._of_each = dice, of_each

    def by(self, kind: str, path: str, size: int, do: Callable[[int], T], offset: int = 0) -> T:
        if self.watches(path):
            self.left += self.now()
        return super().by(kind, path, size, do, offset)

    def now(self) -> list[Left]:
        disk = self.disk
        assert disk is not None
        return [disk.left(self._dice) for _ in range(self._of_each)]


def cut_anywhere(root: Path, work: Callable[[], object], of_each: int = 12) -> Iterator[tuple[Left, bool]]:
    """What may lie below `root` when the power fails while the work is done, or after it: then with True; so many of
    each moment."""
    moments = Moments(root, random.Random(root.name), of_each)
    with pytest.MonkeyPatch.context() as patch:
        stand_between(patch, moments)
        work()
    assert moments.disk is not None
    assert moments.disk.differs() == []
    yield from ((left, False) for left in moments.left)
    yield from ((left, True) for left in moments.now() + moments.now())
