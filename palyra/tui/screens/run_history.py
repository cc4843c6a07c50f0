"""Older runs in pages, of which a list holds a few at a time: those at one end go as others come at the other."""

from collections.abc import Iterator

from palyra.control.queries import RunsPage
from palyra.control.snapshots import RunView
from palyra.core.values import value

PAGE = 100


@value
class Wanted:
    """A page that is asked for: where it begins, and at which end it is added."""

    cursor: str
    after: bool


class RunHistory:
    """Pages of one question, newest first; their cursors stay true while runs come and go above them.

    At most `room` runs are held. `first` tells how many pages were let go of above the first that is held.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.first = 0
        self._cursors: list[str] = [""]
        """Where every page begins that is known to be there."""
        self._pages: list[tuple[RunView, ...]] = []

    def __iter__(self) -> Iterator[RunView]:
        return (run for page in self._pages for run in page)

    def __len__(self) -> int:
        return sum(map(len, self._pages))

    @property
    def complete(self) -> bool:
        """Whether the oldest run is held."""
        return self.first + len(self._pages) == len(self._cursors)

    @property
    def older(self) -> Wanted | None:
        """The page behind the last that is held."""
        return None if self.complete else Wanted(self._cursors[self.first + len(self._pages)], after=True)

    @property
    def newer(self) -> Wanted | None:
        """The page before the first that is held."""
        return None if self.first == 0 else Wanted(self._cursors[self.first - 1], after=False)

    def add(self, wanted: Wanted, page: RunsPage, beside: int) -> bool:
        """Adds a page, and lets go of others where there is no room. `beside`: how many newer runs are listed with the
        first page. False for a page that was not wanted any more."""
        if wanted != (self.older if wanted.after else self.newer):
            return False
        if wanted.after:
            self._pages.append(page.runs)
            if self.first + len(self._pages) == len(self._cursors) and page.next_cursor:
                self._cursors.append(page.next_cursor)
        else:
            self.first -= 1
            self._pages.insert(0, page.runs)
        while len(self._pages) > 1 and len(self) + (beside if self.first == 0 else 0) > self.room:
            if wanted.after:
                del self._pages[0]
                self.first += 1
            else:
                del self._pages[-1]
        return True
