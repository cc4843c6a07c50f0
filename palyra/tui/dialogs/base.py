"""What all dialogs share: a calm box, a title, buttons of which the safe one comes first."""

from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from palyra.control.snapshots import Snapshot
from palyra.tui.compositor import TightCompositor
from palyra.tui.frame.small import too_small
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Cycle, Push
from palyra.tui.widgets.lines import Line, Lines, cut, line, muted, part, strong, width_of, wrap

R = TypeVar("R")

TEXT_WIDTH = 62
PRESSING = frozenset(["enter", "space"])
"""What presses the button that has the focus."""
LET_GO = line(part("let go, look, press again", Tone.WARN))


class Dialog(ModalScreen[R | None], Generic[R]):
    """A box over the screen. Dismissed with None when left by Esc or the safe button, whose id is `keep`."""

    AUTO_FOCUS = "#keep"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
        Binding("pageup", "scroll_text(-1)", "Page up", show=False),
        Binding("pagedown", "scroll_text(1)", "Page down", show=False),
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._compositor = TightCompositor()
        self._title = title

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Lines(id="dialog-title")
            yield from self.compose_content()
            with Horizontal(id="buttons"):
                yield Lines(id="dialog-keys")
                yield from self.compose_buttons()

    def compose_content(self) -> ComposeResult:
        """What stands between title and buttons."""
        yield Lines(id="consequence")

    def compose_buttons(self) -> ComposeResult:
        """The safe button first."""
        yield Push("Close", id="keep")

    def on_mount(self) -> None:
        self.query_one("#dialog-title", Lines).show_line(line(strong(self._title)))

    def on_resize(self, event: events.Resize) -> None:
        """What cannot be read in full is not acted on: it comes back with the room for it."""
        self.set_class(too_small(event.size.width, event.size.height), "-small")

    def on_lines_resized(self, event: Lines.Resized) -> None:
        event.stop()
        self._tell_keys(held=False)

    def on_descendant_focus(self) -> None:
        self._tell_keys(held=False)

    def _tell_keys(self, *, held: bool) -> None:
        choosing = isinstance(self.focused, Cycle)
        for keys in self.query("#dialog-keys").results(Lines):
            width = keys.size.width
            keys.show_line(cut(LET_GO, width) if held else _keys(width, choosing=choosing))

    def take(self, snapshot: Snapshot) -> None:
        """Sees each new snapshot while open: what is asked about may have changed."""

    def say(self, lines: list[Line]) -> None:
        """Shows what acting would do."""
        self.query_one("#consequence", Lines).show(lines)

    def on_push_pressed(self, event: Push.Pressed) -> None:
        event.stop()
        if event.push.id == "keep":
            self.dismiss(None)
        else:
            self.act()

    def holds_off(self, key: str, *, again: bool) -> bool:
        """Whether a key that may be held down (`again`) would press a button that acts: the focus came there, or what
        the button says changed, under a finger that meant something else."""
        push = self.focused
        held = again and key in PRESSING and isinstance(push, Push) and push.id != "keep"
        self._tell_keys(held=held)
        return held

    def act(self) -> None:
        """Does what the other button says."""
        raise NotImplementedError

    def action_scroll_text(self, pages: int) -> None:
        """Shows the rest of a text that is longer than its place."""
        for text in self.query("#consequence").results(Lines):
            text.scroll_relative(y=pages * max(1, text.size.height - 1), animate=False)

    def action_leave(self) -> None:
        self.dismiss(None)


def _keys(width: int, *, choosing: bool) -> Line:
    """How a dialog is worked, in the room beside its buttons; `choosing`: a field of few values has the focus."""
    leave = _key("esc", " leaves")
    whole = (*_key("tab", " moves  "), *leave)
    choose = (*_key("tab", " moves  "), *_key("←→", " choose  "), *leave)
    fitting = (choose, _key("←→", " choose"), leave) if choosing else (whole, leave)
    return next((one for one in fitting if width_of(one) < width), ())


def _key(name: str, words: str) -> Line:
    return line(part(name, Tone.ACCENT, bold=True), muted(words))


def sentences(text: object) -> list[Line]:
    """Text wrapped to a dialog's width."""
    return wrap(text, TEXT_WIDTH)
