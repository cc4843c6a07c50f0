"""The configuration of the running engine: what its file says now, and reading it again."""

from collections.abc import Awaitable, Callable

from textual.app import ComposeResult

from palyra.control.commands import Command, Reload
from palyra.control.config_queries import ConfigAnswer, ConfigQuery
from palyra.control.protocol import Control
from palyra.control.snapshots import CommandResult
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.tui.details.configuration import configuration_lines
from palyra.tui.dialogs.base import TEXT_WIDTH, Dialog
from palyra.tui.inquiry import Inquiry, Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Push
from palyra.tui.widgets.lines import BLANK, Line, line, muted, wrap

Send = Callable[[Command], Awaitable[CommandResult | None]]

_TONES = {"accepted": Tone.GOOD, "conflict": Tone.WARN}


class ConfigurationDialog(Dialog[None]):
    """`refusal` says why this operator may not read it again; empty where they may."""

    def __init__(self, control: Control, send: Send, spawn: Spawn, clock: Clock, *, zone: str, refusal: str) -> None:
        super().__init__("Configuration")
        self._control, self._send, self._spawn, self._clock = control, send, spawn, clock
        self._zone, self._refusal = zone, refusal
        self._told: ConfigAnswer | None = None
        self._result: CommandResult | None = None
        self._trouble = ""
        self._reading = False
        self._inquiry = Inquiry(spawn, self._take, self._fail)

    def compose_buttons(self) -> ComposeResult:
        yield Push("Close", id="keep")
        if not self._refusal:
            yield Push("Read again", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self._look()
        self.explain()

    def act(self) -> None:
        if not self._reading:
            self._reading = True
            self._spawn(self._reload())

    async def _reload(self) -> None:
        try:
            self._result = await self._send(Reload())
        finally:
            self._reading = False
        self._look()

    def _look(self) -> None:
        self._inquiry.ask(lambda: self._control.ask(ConfigQuery()))

    def _take(self, told: ConfigAnswer) -> None:
        self._told, self._trouble = told, ""
        self.explain()

    def _fail(self, error: PalyraError) -> None:
        self._trouble = str(error)
        self.explain()

    def explain(self) -> None:
        """Says what applying the file would change."""
        if self.is_mounted:
            self.say(self._lines())

    def _lines(self) -> list[Line]:
        if self._trouble:
            return wrap(self._trouble, TEXT_WIDTH, tone=Tone.WARN)
        if self._told is None:
            return [line(muted("reading the file …"))]
        lines: list[Line] = []
        if self._result is not None:
            tone = _TONES.get(self._result.status, Tone.BAD)
            lines += [*wrap(self._result.message, TEXT_WIDTH, tone=tone), BLANK]
        lines += configuration_lines(self._told, self._zone, self._clock.now_ms(), TEXT_WIDTH)
        if self._refusal:
            lines += [BLANK, *wrap(f"Reading it again: {self._refusal}.", TEXT_WIDTH, tone=Tone.MUTED)]
        return lines
