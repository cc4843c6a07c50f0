"""Longer text to read: scrolls, can be copied, changes nothing."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from palyra.tui.dialogs.base import Dialog
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, Lines, line, lines_text, muted, part

GUESSED_WIDTH = 70
"""Before the first layout."""


class ReaderDialog(Dialog[str]):
    """Shows lines. Dismissed with their text when they are to be copied."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,enter,question_mark,x", "leave", "Close", show=False),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("g,home", "scroll(-100000)", "Start", show=False),
        Binding("G,end", "scroll(100000)", "End", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="reader"):
            yield Lines(id="dialog-title")
            yield Lines(id="text")
            yield Lines(id="reader-keys")

    def on_mount(self) -> None:
        super().on_mount()
        keys = line(
            part("j k", Tone.ACCENT, bold=True),
            muted(" scroll  "),
            part("y", Tone.ACCENT, bold=True),
            muted(" copy  "),
            part("esc", Tone.ACCENT, bold=True),
            muted(" close"),
        )
        self.query_one("#reader-keys", Lines).show_line(keys)
        self.fill()

    def on_lines_resized(self, event: Lines.Resized) -> None:
        event.stop()
        self.fill()

    def lines(self, width: int) -> list[Line]:
        """The text for a width."""
        raise NotImplementedError

    def fill(self) -> None:
        """Makes the text for the width there is."""
        text = self.query_one("#text", Lines)
        text.show(self.lines(text.room or GUESSED_WIDTH))

    def action_scroll(self, by: int) -> None:
        self.query_one("#text", Lines).scroll_relative(y=by, animate=False)

    def action_page(self, by: int) -> None:
        text = self.query_one("#text", Lines)
        text.scroll_relative(y=by * max(1, text.size.height - 1), animate=False)

    def action_copy(self) -> None:
        self.dismiss(lines_text(self.query_one("#text", Lines).lines))
