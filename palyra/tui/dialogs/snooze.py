"""Snoozing an alert: for how long, and what happens then."""

from textual.app import ComposeResult

from palyra.control.commands import SnoozeAlert
from palyra.control.snapshots import AlertView, Snapshot
from palyra.core.durations import parse_duration_ms
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.dialogs.base import TEXT_WIDTH, Dialog, sentences
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Field, Labelled, Push
from palyra.tui.widgets.lines import BLANK, Line, line, part, wrap

LONGEST_MS = 30 * show.DAY


class SnoozeDialog(Dialog[SnoozeAlert]):
    """Says until when it would be quiet while the time is typed."""

    AUTO_FOCUS = "#for"

    def __init__(self, alert: AlertView, zone: str, now: int) -> None:
        super().__init__("Snooze this alert?")
        self._alert = alert
        self._zone = zone
        self._now = now
        self._changed = ""

    def compose_content(self) -> ComposeResult:
        yield Labelled("for", Field("1h", id="for", placeholder="30m, 8h, 3d"), id="row-for")
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Keep it here", id="keep")
        yield Push("Snooze it", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def take(self, snapshot: Snapshot) -> None:
        now = next((item for item in snapshot.alerts if item.alert_id == self._alert.alert_id), None)
        changed = "resolved" if now is None else f"{now.state}, {now.severity}"
        if (now is None or now.version != self._alert.version) and changed != self._changed:
            self._changed = changed
            self.explain()

    def on_input_changed(self) -> None:
        self.explain()

    def on_input_submitted(self) -> None:
        self.query_one("#act", Push).focus()

    def explain(self) -> None:
        """Shows the consequence anew."""
        try:
            until = show.instant(self._now + self._duration_ms(), self._zone, self._now)
        except ValueError as error:
            self.say([BLANK, line(part(f"{glyphs.BAD} {error}", Tone.BAD)), *self._warning()])
            return
        text = f"It is quiet until {until}, also when it comes and goes. If it holds then, or gets worse, it is back."
        self.say([BLANK, *sentences(f"{self._alert.summary}. {text}"), *self._warning()])

    def act(self) -> None:
        try:
            seconds = self._duration_ms() // 1_000
        except ValueError:
            self.query_one("#for", Field).focus()
        else:
            self.dismiss(SnoozeAlert(self._alert.alert_id, seconds, self._alert.version))

    def _duration_ms(self) -> int:
        lasting = parse_duration_ms(self.query_one("#for", Field).value)
        if not 1_000 <= lasting <= LONGEST_MS:
            raise ValueError("an alert is snoozed for 1 s to 30 days")
        return lasting

    def _warning(self) -> list[Line]:
        if not self._changed:
            return []
        text = f"{glyphs.ATTENTION} It changed meanwhile ({self._changed}). Close this and look again."
        return wrap(text, TEXT_WIDTH, tone=Tone.WARN)
