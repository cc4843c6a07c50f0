"""What dialogs are made of: one-line buttons, fields and choices that need no colour to be read."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from palyra.core.safe_text import SafeText, cells, safe
from palyra.tui.widgets.lines import Lines, line, muted


class Push(Widget, can_focus=True):
    """A one-line button: `[ Keep waiting ]`."""

    DEFAULT_CSS = """
    Push { width: auto; height: 1; margin: 0 1 0 0; background: transparent; color: $tone-accent; }
    Push:focus { text-style: bold reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", "Press", show=False)]

    class Pressed(Message):
        """The button was pressed."""

        def __init__(self, push: "Push") -> None:
            super().__init__()
            self.push = push

        @property
        def control(self) -> "Push":
            return self.push

    def __init__(self, text: str, *, id: str) -> None:
        super().__init__(id=id)
        self._text = safe(f"[ {text} ]")

    def render(self) -> Content:
        return Content(self._text)

    def get_content_width(self, *_: object) -> int:
        return cells(self._text)

    def relabel(self, text: str) -> None:
        """Says something else from now on."""
        label = safe(f"[ {text} ]")
        if label != self._text:
            self._text = label
            self.refresh(layout=True)

    def action_press(self) -> None:
        self.post_message(self.Pressed(self))

    def on_click(self) -> None:
        self.action_press()


class Field(Input):
    """A one-line input: no blinking cursor, and whatever comes into it is made safe, however it was typed or pasted."""

    DEFAULT_CSS = """
    Field { height: 1; border: none; padding: 0 1; background: $panel; color: $tone-plain; }
    Field:focus { border: none; background: $cursor-row; background-tint: transparent; }
    Field > .input--placeholder { color: $tone-muted; }
    """

    def __init__(self, value: str = "", *, id: str, placeholder: str = "", most: int = 200) -> None:
        super().__init__(
            safe(value), placeholder=placeholder, id=id, compact=True, max_length=most, select_on_focus=False
        )
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """Marks pile up key by key, and keys may draw nothing: what is read back is what was typed."""
        return str(safe(value))

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        first = event.text.splitlines()[:1]
        if first:
            self.replace(safe(first[0]), *self.selection)


class Cycle(Widget, can_focus=True):
    """One of a few values: `‹ daily ›`. Arrows, space or the first letter of a value change it."""

    DEFAULT_CSS = """
    Cycle { height: 1; background: transparent; color: $tone-plain; }
    Cycle:focus { background: $cursor-row; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,l", "step(1)", "Next value", show=False),
        Binding("left,h", "step(-1)", "Previous value", show=False),
        Binding("enter", "app.focus_next", "Next field", show=False),
    ]

    class Changed(Message):
        """Another of the choices was chosen."""

        def __init__(self, cycle: "Cycle") -> None:
            super().__init__()
            self.cycle = cycle

        @property
        def control(self) -> "Cycle":
            return self.cycle

    def __init__(self, values: Sequence[str], value: str = "", *, id: str) -> None:
        super().__init__(id=id)
        self._values = tuple(safe(item) for item in values)
        self._at = next((number for number, item in enumerate(self._values) if item == value), 0)

    @property
    def value(self) -> SafeText:
        """The choice that is shown."""
        return self._values[self._at]

    def render(self) -> Content:
        return Content(f"‹ {self.value} ›")

    def action_step(self, by: int) -> None:
        self._go((self._at + by) % len(self._values))

    def on_key(self, event: events.Key) -> None:
        if event.character is None or not event.is_printable:
            return
        order = [(self._at + step) % len(self._values) for step in range(1, len(self._values) + 1)]
        for number in order:
            if self._values[number].startswith(event.character):
                event.stop()
                event.prevent_default()
                self._go(number)
                return

    def _go(self, number: int) -> None:
        if number != self._at:
            self._at = number
            self.refresh()
            self.post_message(self.Changed(self))


class Labelled(Horizontal):
    """A label and an input beside each other, on one row."""

    DEFAULT_CSS = """
    Labelled { height: 1; }
    Labelled > .label { width: 12; height: 1; }
    """

    def __init__(self, label: str, box: Widget, *, id: str | None = None) -> None:
        self._shown = Lines(classes="label")
        self._label = label
        super().__init__(self._shown, box, id=id)

    def on_mount(self) -> None:
        self._shown.show_line(line(muted(self._label)))
