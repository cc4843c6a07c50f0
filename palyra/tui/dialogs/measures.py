"""How soon trouble was found, taken up and ended, over a day, a week and a month."""

from palyra.control.incidents_queries import IncidentStats, IncidentStatsQuery
from palyra.control.protocol import Control
from palyra.core.errors import PalyraError
from palyra.tui.details.measures import measures_lines
from palyra.tui.dialogs.reader import ReaderDialog
from palyra.tui.inquiry import Inquiry, Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, line, muted, wrap

WINDOWS = ("24h", "7d", "30d")


class MeasuresDialog(ReaderDialog):
    """Asks for the measures when it opens and shows them when they come."""

    def __init__(self, control: Control, spawn: Spawn) -> None:
        super().__init__("How soon trouble was found, taken up and ended")
        self._control = control
        self._told: tuple[IncidentStats, ...] | None = None
        self._trouble = ""
        self._inquiry = Inquiry(spawn, self._show, self._fail)

    def on_mount(self) -> None:
        super().on_mount()
        self._inquiry.ask(self._ask)

    async def _ask(self) -> tuple[IncidentStats, ...]:
        return tuple([await self._control.ask(IncidentStatsQuery(window)) for window in WINDOWS])

    def lines(self, width: int) -> list[Line]:
        if self._trouble:
            return wrap(self._trouble, width, indent=" ", tone=Tone.WARN)
        if self._told is None:
            return [line(" ", muted("asking the journal …"))]
        return measures_lines(self._told, width)

    def _show(self, told: tuple[IncidentStats, ...]) -> None:
        self._told = told
        self._refill()

    def _fail(self, error: PalyraError) -> None:
        self._trouble = str(error)
        self._refill()

    def _refill(self) -> None:
        if self.is_mounted:
            self.fill()
