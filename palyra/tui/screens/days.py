"""The days before of what is selected, asked of the journal for the room below a short list."""

from palyra.control.usage_queries import UsageAnswer, UsageQuery
from palyra.core.errors import PalyraError
from palyra.tui import format as show
from palyra.tui.details.days import LEAST_ROWS, Days, days_lines, days_query
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, line, muted

STALE_MS = show.MINUTE
"""They are asked for again after so long."""


class DaysBefore:
    """Asks for the days of one at a time: once, and anew after a while."""

    def __init__(self, screen: ListScreen) -> None:
        self._screen = screen
        self._asked: tuple[UsageQuery, int] | None = None
        """What was asked for, and when (unix ms)."""
        self._found: tuple[UsageQuery, UsageAnswer] | None = None
        self._inquiry: Inquiry[tuple[UsageQuery, UsageAnswer]] | None = None

    def lines(self, days: Days | None, width: int, rows: int) -> list[Line]:
        """At most `rows` lines of `width` cells; empty where there is too little room, or nothing to tell."""
        if days is None or rows < LEAST_ROWS:
            return []
        screen, query = self._screen, days_query(days, self._screen.now)
        if self._asked is None or self._asked[0] != query or screen.now - self._asked[1] >= STALE_MS:
            self._asked = query, screen.now
            if self._inquiry is None:
                self._inquiry = Inquiry(screen.palyra.spawn, self._apply, self._fail)
            self._inquiry.ask(lambda: self._read(query))
        if self._found is None or self._found[0] != query:
            return [line(" ", muted("the days before …"))]
        return days_lines(days, self._found[1], width, rows, marks=screen.palyra.colourless)

    async def _read(self, query: UsageQuery) -> tuple[UsageQuery, UsageAnswer]:
        return query, await self._screen.palyra.control.ask(query)

    def _apply(self, found: tuple[UsageQuery, UsageAnswer]) -> None:
        self._found = found
        self._screen.draw_detail()

    def _fail(self, error: PalyraError) -> None:
        self._screen.flash(f"The days before could not be read: {error}", Tone.WARN)
