"""A list of any length: a window of it is held, which slides as the cursor nears an end, and jumps to either end."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from palyra.core.errors import PalyraError
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen
from palyra.tui.themes import Tone
from palyra.tui.widgets.live_table import MAX_ROWS, LiveTable
from palyra.tui.window import Page, Turn, Window

T = TypeVar("T")

PAGE = 100
AHEAD = 5
"""So many rows more than are on the screen before an end the page behind it is asked for."""
CHAIN = 5
"""So many pages are looked through for one key, where a filter lets little through."""


class PagedScreen(ListScreen, Generic[T]):
    """Subclasses say how a page is asked for, and list what the window holds beside what they know anyway."""

    WHAT = "The list"
    """What cannot be read, in the plural or not, if it cannot be."""

    def __init__(self) -> None:
        super().__init__()
        self.window: Window[T] = Window(MAX_ROWS)
        self._coming: Window[T] | None = None
        """What takes its place once its first page is there."""
        self._edge = ""
        """Which end is selected then: first, last, or neither."""
        self._chain = 0
        """How many more pages may be asked for before the next key."""
        self._pages: Inquiry[tuple[Window[T], Turn, Page[T]]] | None = None
        self._counts: Inquiry[tuple[Window[T], int]] | None = None

    # What subclasses say.

    @abstractmethod
    def fetcher(self, turn: Turn) -> Callable[[], Awaitable[Page[T]]]:
        """How a page of what is looked at now is asked for."""

    def counter(self) -> Callable[[], Awaitable[int]] | None:
        """How it is asked how many there are on all pages, where that is cheap enough."""
        return None

    def beside(self) -> int:
        """How many things are listed together with the newest page."""
        return 0

    # Asking.

    def begin(self, *, edge: str = "") -> None:
        """Has the window begin anew, with `edge` at that end of the list: `first` or `last`. What is held stays in view
        until something else is there."""
        self._coming = Window(MAX_ROWS, from_oldest=edge == "last")
        self._edge = edge
        self._chain = CHAIN if self.filter or self._order else 1
        self._ask(self._coming, self._coming.first)

    @property
    def asking(self) -> bool:
        """Whether a page is on its way."""
        return self._pages is not None and self._pages.busy

    def look_for_newer(self, cursor: str) -> None:
        """Asks for what came since the newest that is held, whose place `cursor` is; while the window lies further down
        nothing is."""
        if not self.asking and not self.window.slid:
            self._chain = max(1, self._chain)
            self._ask(self.window, self.window.again(cursor))

    def forget(self) -> None:
        """Holds nothing: what is looked at is something else now."""
        self.window = Window(MAX_ROWS)

    def _ask(self, window: Window[T], turn: Turn | None) -> None:
        if turn is None or self._chain == 0:
            return
        self._chain -= 1
        if self._pages is None:
            self._pages = Inquiry(self.palyra.spawn, self._came, self._unread)
        fetch = self.fetcher(turn)

        async def answered() -> tuple[Window[T], Turn, Page[T]]:
            return window, turn, await fetch()

        self._pages.ask(answered)

    def _came(self, answer: tuple[Window[T], Turn, Page[T]]) -> None:
        window, turn, page = answer
        if window not in (self.window, self._coming) or not window.add(turn, page, self.beside()):
            return
        edge = ""
        if window is self._coming:
            self.window, self._coming = window, None
            edge, self._edge = self._edge, ""
            self.begun()
        self.redraw()
        if not self.drawable:
            return
        if edge and self._subjects:
            keys = list(self._subjects)
            self.table.select(keys[0 if edge == "first" else -1])
        if self.filter or edge:
            self._count()
        self.grown()

    def begun(self) -> None:
        """The window has begun anew."""

    def grown(self) -> None:
        """A page came."""
        self._ask_at_end()

    def _unread(self, error: PalyraError) -> None:
        self._coming = None
        self.flash(f"{self.WHAT} could not be read: {error}", Tone.WARN)

    def _count(self) -> None:
        """Has it told how many there are on all pages, once for each window."""
        count = self.counter()
        if (
            count is None
            or not self.window.begun
            or self.window.total is not None
            or (self._counts is not None and self._counts.busy)
        ):
            return
        if self._counts is None:
            self._counts = Inquiry(self.palyra.spawn, self._counted, self._unread)
        window = self.window

        async def answered() -> tuple[Window[T], int]:
            return window, await count()

        self._counts.ask(answered)

    def _counted(self, answer: tuple[Window[T], int]) -> None:
        window, total = answer
        window.count(total)
        if window is self.window:
            self.refresh_frame()

    # Moving.

    def on_live_table_moved(self, event: LiveTable.Moved) -> None:
        """Looks further where the cursor is near an end of what is held; the first and the last of all are the newest
        and the oldest, whatever is held."""
        event.stop()
        window = self.window
        if event.to_first and window.slid:
            self.begin(edge="first")
        elif event.to_last and window.begun and not window.complete and not self._order:
            self.begin(edge="last")
        elif not window.begun and self._coming is None:
            self.begin()
        else:
            self.look_further()

    def look_further(self) -> None:
        """Goes on looking after a key."""
        self._chain = CHAIN
        if not self.asking:
            self._ask_at_end()
        self._count()

    def _ask_at_end(self) -> None:
        """Asks for the page behind the end of the list that the cursor is near to."""
        window = self.window
        if self._coming is not None:
            return
        if self._order and not window.slid:
            # The most of all there is room for, not of the newest page.
            if self._listed + PAGE <= MAX_ROWS:
                self._ask(window, window.older)
            return
        listed, ahead = list(self._subjects), self.table.size.height + AHEAD
        at = listed.index(self.table.selected_key or listed[0]) if listed else 0
        if window.older is not None and at + ahead >= len(listed):
            self._ask(window, window.older)
        elif window.newer is not None and at < ahead:
            self._ask(window, window.newer)

    def next_order(self) -> None:
        super().next_order()
        if self._order and self.window.slid:
            self.begin(edge="first")
        else:
            self.look_further()

    def set_filter(self, text: str) -> None:
        before = self.filter
        super().set_filter(text)
        if self.filter.terms != before.terms and self.snapshot is not None:
            self.begin()

    # Telling.

    @property
    def position(self) -> str:
        """Which of how many the selected row is; empty where that is not known."""
        total, above = self.window.total, self.window.above
        key = self.table.selected_key
        if total is None or above is None or self._order or key not in self._subjects:
            return ""
        at = above + list(self._subjects).index(key) + 1
        beside = self.beside()
        return f"{at + (beside if self.window.slid else 0):,} of {max(total, len(self.window)) + beside:,}"

    def ordered_part(self) -> str:
        return "" if self.window.complete and not self.window.slid else f" of the {len(self._subjects):,} loaded"

    def beyond(self) -> int:
        return 0

    def found(self) -> str:
        more = "" if self.window.complete and not self.window.slid else "+"
        return self.position or f"{len(self._subjects):,}{more} shown"
