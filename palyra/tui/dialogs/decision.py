"""Why something was decided as it was."""

from palyra.control.protocol import Control
from palyra.control.queries import DecisionDetail, DecisionQuery
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.tui.details.decision import decision_lines
from palyra.tui.dialogs.reader import ReaderDialog
from palyra.tui.inquiry import Inquiry, Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, line, muted, wrap


class DecisionDialog(ReaderDialog):
    """Asks for the decision when it opens and shows it when it comes."""

    def __init__(self, control: Control, decision_id: str, zone: str, clock: Clock, spawn: Spawn) -> None:
        super().__init__("Why it was decided so")
        self._control = control
        self._decision_id = decision_id
        self._zone = zone
        self._clock = clock
        self._decision: DecisionDetail | None = None
        self._trouble = ""
        self._inquiry = Inquiry(spawn, self._show, self._fail)

    def on_mount(self) -> None:
        super().on_mount()
        self._inquiry.ask(lambda: self._control.ask(DecisionQuery(self._decision_id)))

    def lines(self, width: int) -> list[Line]:
        if self._trouble:
            return wrap(self._trouble, width, indent=" ", tone=Tone.WARN)
        if self._decision is None:
            return [line(" ", muted("asking the journal …"))]
        return decision_lines(self._decision, self._zone, self._clock.now_ms(), width)

    def _show(self, decision: DecisionDetail) -> None:
        self._decision = decision
        self._refill()

    def _fail(self, error: PalyraError) -> None:
        self._trouble = str(error)
        self._refill()

    def _refill(self) -> None:
        if self.is_mounted:
            self.fill()
