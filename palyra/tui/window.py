"""The part of a long list that a screen holds: pages that slide to older things and back, and never leave a gap."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Generic, TypeVar

from palyra.core.values import value

T = TypeVar("T")


@value
class Turn:
    """A page that is asked for: what is older than the place of `cursor` (empty: the newest there is), or with `upward`
    what is newer than it (empty: the oldest there is)."""

    cursor: str = ""
    upward: bool = False


@value
class Page(Generic[T]):
    """Things, newest first, with the cursors that lead on behind the last and before the first; empty where nothing
    is."""

    items: tuple[T, ...]
    older: str = ""
    newer: str = ""


class Window(Generic[T]):
    """Pages of one question that meet each other. At most `room` things are held: those at one end go as others come at
    the other. It begins with the newest, or with `from_oldest` at the other end."""

    def __init__(self, room: int, *, from_oldest: bool = False) -> None:
        self._room = room
        self.first = Turn(upward=from_oldest)
        """What it begins with."""
        self._again: Turn | None = None
        self._pages: list[Page[T]] = []
        self._above: int | None = None
        """How many newer ones there are than those held, where that is known."""
        self._below: int | None = None
        self._total: int | None = None

    def __iter__(self) -> Iterator[T]:
        return (item for page in self._pages for item in page.items)

    def __len__(self) -> int:
        return sum(len(page.items) for page in self._pages)

    # Where it lies.

    @property
    def begun(self) -> bool:
        """Whether a page has come."""
        return bool(self._pages)

    @property
    def slid(self) -> bool:
        """Whether there are newer ones than those held."""
        return self.begun and bool(self._pages[0].newer)

    @property
    def complete(self) -> bool:
        """Whether the oldest is held."""
        return self.begun and not self._pages[-1].older

    @property
    def total(self) -> int | None:
        """How many there are on all pages, where that is known."""
        if self._above is not None and self._below is not None:
            return self._above + len(self) + self._below
        return self._total

    def count(self, total: int) -> None:
        """Takes note of how many there are on all pages."""
        self._total = total

    @property
    def above(self) -> int | None:
        """How many newer ones there are than those held, where that can be told."""
        if self._above is None and self._below is not None and self._total is not None:
            return max(0, self._total - self._below - len(self))
        return self._above

    # What is asked for.

    @property
    def older(self) -> Turn | None:
        """The page behind the last that is held."""
        return Turn(self._pages[-1].older) if self._pages and self._pages[-1].older else None

    @property
    def newer(self) -> Turn | None:
        """The page before the first that is held."""
        return Turn(self._pages[0].newer, upward=True) if self.slid else None

    def again(self, cursor: str) -> Turn:
        """The page of what came since, where the newest is held; `cursor` is the place of that."""
        self._again = Turn(cursor, upward=True)
        return self._again

    # What came.

    def add(self, turn: Turn, page: Page[T], beside: int = 0) -> bool:
        """Adds a page, and lets go of others where there is no room. `beside`: how many things are listed together with
        the newest. False for a page that is not wanted any more."""
        if not self._pages:
            if turn != self.first:
                return False
            self._pages.append(page)
        elif turn == self.older:
            self._add_below(page)
        elif turn == self.newer or (turn == self._again and not self.slid):
            self._add_above(page)
        else:
            return False
        self._above, self._below = self._above if self.slid else 0, self._below if not self.complete else 0
        while len(self._pages) > 1 and len(self) + (0 if self.slid else beside) > self._room:
            self._let_go(self._pages.pop(-1 if turn.upward else 0), upward=turn.upward)
        return True

    def _add_below(self, page: Page[T]) -> None:
        if self._below is not None:
            self._below = max(0, self._below - len(page.items))
        if page.items:
            self._pages.append(page)
        else:
            self._pages[-1] = replace(self._pages[-1], older=page.older)

    def _add_above(self, page: Page[T]) -> None:
        self._again = None
        if self._above is not None:
            self._above = max(0, self._above - len(page.items))
        if page.items:
            self._pages.insert(0, page)
        else:
            self._pages[0] = replace(self._pages[0], newer=page.newer)

    def _let_go(self, page: Page[T], *, upward: bool) -> None:
        if upward and self._below is not None:
            self._below += len(page.items)
        elif not upward and self._above is not None:
            self._above += len(page.items)
