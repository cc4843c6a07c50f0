"""Asking who is at the keyboard, before the console opens: several operators share one account."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from palyra.core.safe_text import cells, safe
from palyra.tui import themes
from palyra.tui.driver import PalyraDriver

HINT = "Arrows and Enter choose. What you do is written down under this name, as claimed. Esc leaves."


class Candidate(Widget, can_focus=True):
    """One operator who may be meant."""

    DEFAULT_CSS = "Candidate { width: auto; height: 1; } Candidate:focus { text-style: bold reverse; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "choose", "Choose", show=False)]

    class Chosen(Message):
        """Somebody says who is at the keyboard."""

        def __init__(self, operator_id: str) -> None:
            super().__init__()
            self.operator_id = operator_id

    def __init__(self, operator_id: str) -> None:
        super().__init__()
        self._operator_id = operator_id
        self._text = safe(f"[ {operator_id} ]")

    def render(self) -> Content:
        return Content(self._text)

    def get_content_width(self, *_: object) -> int:
        return cells(self._text)

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self._operator_id))

    def on_click(self) -> None:
        self.action_choose()


class WhoApp(App[str]):
    """Returns the id that was chosen, None when nobody was."""

    CSS = """
    Screen { background: $background; color: $tone-plain; }
    Vertical { padding: 1 2; }
    Static { margin: 0 0 1 0; }
    Candidate { color: $tone-accent; }
    .hint { color: $tone-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,ctrl+c", "leave", "Leave", show=False, priority=True),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, account: str, candidates: Sequence[str]) -> None:
        super().__init__(driver_class=PalyraDriver)
        for own in themes.THEMES:
            self.register_theme(own)
        self.theme = themes.DEFAULT
        self._account = account
        self._candidates = candidates

    def compose(self) -> ComposeResult:
        with Vertical():
            question = f"Several operators use the account {self._account}. Who are you?"
            yield Static(Content(safe(question)), markup=False)
            for operator_id in self._candidates:
                yield Candidate(operator_id)
            yield Static(Content(safe(f"\n{HINT}", multiline=True)), markup=False, classes="hint")

    def on_mount(self) -> None:
        self.query(Candidate).first().focus()

    def on_candidate_chosen(self, message: Candidate.Chosen) -> None:
        self.exit(message.operator_id)

    def action_leave(self) -> None:
        self.exit(None)
