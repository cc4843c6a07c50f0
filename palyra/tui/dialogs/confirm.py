"""Asking before what cannot be undone."""

from textual.app import ComposeResult

from palyra.core.values import value
from palyra.tui.dialogs.base import Dialog, sentences
from palyra.tui.widgets.form import Push


@value
class Consequence:
    """What would happen, and what the two buttons say; `keep` is the safe one."""

    title: str
    text: str
    keep: str
    act: str


class ConfirmDialog(Dialog[bool]):
    """True when the operator chose to act."""

    def __init__(self, consequence: Consequence) -> None:
        super().__init__(consequence.title)
        self._consequence = consequence

    def compose_buttons(self) -> ComposeResult:
        yield Push(self._consequence.keep, id="keep")
        yield Push(self._consequence.act, id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.say(sentences(self._consequence.text))

    def act(self) -> None:
        self.dismiss(True)
