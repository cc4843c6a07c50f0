"""The command palette: type a part of a name, press Enter."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from palyra.core.safe_text import safe
from palyra.core.values import value
from palyra.tui.dialogs.base import Dialog
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.form import Field
from palyra.tui.widgets.lines import Lines, part
from palyra.tui.widgets.live_table import LiveTable
from palyra.tui.widgets.rows import Row

SHOWN = 100


@value
class Entry:
    """Something to do or to go to."""

    id: str
    title: str
    note: str
    keys: str
    ready: bool


COLUMNS = (
    Column("title", safe(""), 20, flex=3, most=40),
    Column("note", safe(""), 10, flex=4, priority=1),
    Column("keys", safe(""), 5, align="right", priority=2),
)


class PaletteDialog(Dialog[str]):
    """Dismissed with the id of the chosen entry."""

    AUTO_FOCUS = "#words"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,ctrl+n", "move(1)", "Down", show=False),
        Binding("up", "move(-1)", "Up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
    ]

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__("What next?")
        self._entries = entries
        self._texts = [(entry.title.casefold(), entry.note.casefold()) for entry in entries]

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="palette"):
            yield Lines(id="dialog-title")
            yield Field(id="words", placeholder="a part of its name")
            table = LiveTable(COLUMNS, heading=False, empty="Nothing is called so.", id="found")
            table.can_focus = False
            yield table

    def on_mount(self) -> None:
        super().on_mount()
        self._fill("")

    def on_input_changed(self, event: Field.Changed) -> None:
        self._fill(event.value)

    def on_input_submitted(self, event: Field.Submitted) -> None:
        key = self._found.selected_key
        chosen = next((entry for entry in self._entries if entry.id == key), None)
        if chosen is not None and chosen.ready:
            self.dismiss(chosen.id)

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        self.on_input_submitted(Field.Submitted(self.query_one("#words", Field), ""))

    def action_move(self, by: int) -> None:
        self._found.action_move(by)

    @property
    def _found(self) -> LiveTable:
        return self.query_one("#found", LiveTable)

    def _fill(self, words: str) -> None:
        typed = words.casefold().split()
        found = zip(self._entries, self._texts, strict=True)
        ranked = [(rank, entry) for entry, texts in found if (rank := rank_of(typed, *texts)) is not None]
        ranked.sort(key=lambda pair: pair[0])
        self._found.update_rows([_row(entry) for _, entry in ranked[:SHOWN]])
        self._found.action_first()


def rank_of(typed: Sequence[str], title: str, note: str) -> int | None:
    """How near an entry comes to the words that were typed, 0 the nearest; None when a word is nowhere in it. All are
    casefolded."""
    if not all(word in title or word in note for word in typed):
        return None
    if not typed or title.startswith(typed[0]):
        return 0
    return 1 if all(word in title for word in typed) else 2


def _row(entry: Entry) -> Row:
    tone = Tone.PLAIN if entry.ready else Tone.MUTED
    return Row(entry.id, (part(entry.title, tone), part(entry.note, Tone.MUTED), part(entry.keys, Tone.ACCENT)))
