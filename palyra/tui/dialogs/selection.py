"""Explaining where a prompt would go: typed here, planned by the engine, told in place."""

from textual.app import ComposeResult

from palyra.control.protocol import Control
from palyra.control.serving_queries import SelectionAnswer, SelectionQuery
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.tui import glyphs
from palyra.tui.details.serving import selection_lines
from palyra.tui.dialogs.base import TEXT_WIDTH, Dialog, sentences
from palyra.tui.inquiry import Inquiry, Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Cycle, Field, Labelled, Push
from palyra.tui.widgets.lines import BLANK, Line, line, muted, wrap

NEEDS = ("nothing else", "json", "tools", "vision")
MOST_PROMPT = 20_000


class SelectionDialog(Dialog[bool]):
    """Plans a prompt as often as asked; nothing is sent or held."""

    AUTO_FOCUS = "#prompt"

    def __init__(self, control: Control, spawn: Spawn, clock: Clock, zone: str, model: str) -> None:
        super().__init__("Where would a prompt go?")
        self._control = control
        self._clock = clock
        self._zone = zone
        self._model = model
        self._inquiry: Inquiry[SelectionAnswer] = Inquiry(spawn, self._show, self._fail)

    def compose_content(self) -> ComposeResult:
        yield Labelled("prompt", Field(id="prompt", placeholder="what would be asked", most=MOST_PROMPT))
        yield Labelled("model", Field(self._model, id="model", placeholder="auto"))
        yield Labelled("needs", Cycle(NEEDS, id="needs"))
        yield Labelled("max tokens", Field(id="max_tokens", placeholder="as the engine sees fit", most=10))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Close", id="keep")
        yield Push("Explain", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.say([BLANK, *sentences("The engine plans it as if it were sent now; nothing is sent or held.")])

    def on_input_submitted(self) -> None:
        self.act()

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Field).value.strip()

    def act(self) -> None:
        most = self._text("max_tokens").replace(",", "").replace("_", "")
        if most and not (most.isascii() and most.isdigit() and int(most)):
            self.query_one("#max_tokens").focus()
            self._tell(wrap(f"{glyphs.ATTENTION} max tokens: write a whole number", TEXT_WIDTH, tone=Tone.WARN))
            return
        needs = self.query_one("#needs", Cycle).value
        query = SelectionQuery(
            prompt=self._text("prompt"),
            model=self._text("model") or "auto",
            json_mode=needs == "json",
            tools=needs == "tools",
            vision=needs == "vision",
            max_tokens=int(most) if most else None,
        )
        self._tell([line(muted("planning …"))])
        self._inquiry.ask(lambda: self._control.ask(query))

    def _show(self, answer: SelectionAnswer) -> None:
        self._tell(selection_lines(answer, self._zone, self._clock.now_ms(), TEXT_WIDTH))

    def _fail(self, error: PalyraError) -> None:
        self._tell(wrap(f"{glyphs.BAD} {error}", TEXT_WIDTH, tone=Tone.BAD))

    def _tell(self, lines: list[Line]) -> None:
        if self.is_mounted:
            self.say([BLANK, *lines])
