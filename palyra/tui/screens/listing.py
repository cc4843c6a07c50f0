"""A list and the detail of what is selected: below it, beside it where there is room, or opened in full."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from palyra.control.snapshots import ApprovalView, Snapshot
from palyra.core.safe_text import cells
from palyra.core.values import value
from palyra.tui import glyphs
from palyra.tui.commands.action import GUARD_SECONDS
from palyra.tui.details.teach import shell_lines
from palyra.tui.filters import Filter, parse_filter
from palyra.tui.screens.base import PalyraScreen
from palyra.tui.subjects import Subject, content_of, key_of
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column, arrange
from palyra.tui.widgets.form import Field, Labelled
from palyra.tui.widgets.lines import Line, Lines, Part, cut, line, lines_text, muted, part, strong
from palyra.tui.widgets.live_table import MARKER_CELLS, MAX_ROWS, LiveTable
from palyra.tui.widgets.rows import Cell, CellValue, Row

Sortable = Any
LEAST_BENEATH = 8
"""Fewer rows below a list are left empty."""
LEAST_PANEL = 30
"""Cells that a detail is laid out for at least, also where the panel is not drawn yet."""
PATIENCE_SECONDS = 2.0
"""How long a list may take to come to what was jumped to."""


@value
class Order:
    """One way to sort a list. `column` is where the heading marks it; "" leaves the order of the engine."""

    name: str
    column: str = ""
    key: Callable[[Any], Sortable] | None = None
    descending: bool = False


class ListScreen(PalyraScreen):
    """Subclasses say which things are listed, how each looks as a row and opened, and by what they can be sorted."""

    COLUMNS: ClassVar[tuple[Column, ...]]
    ROOMY: ClassVar[int] = 0
    """From how many cells on the list has the columns of `ROOMY_COLUMNS` instead; 0 for never."""
    ROOMY_COLUMNS: ClassVar[tuple[Column, ...]] = ()
    ORDERS: ClassVar[tuple[Order, ...]] = (Order("as they come"),)
    FIELDS: ClassVar[tuple[str, ...]]
    """What the filter knows, by the names operators type."""
    ALSO_FIELDS: ClassVar[tuple[str, ...]] = ()
    """Other names for the same."""
    ESSENTIAL: ClassVar[frozenset[str]] = frozenset()
    """Columns without which nobody should decide; if one is cut, a deciding key opens the detail first."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = False
        self.filter = Filter()
        self._order = 0
        self.laid_out_roomy = False
        """Whether the list has the columns of `ROOMY_COLUMNS`, and its rows fit these."""
        self._subjects: dict[str, Subject] = {}
        self._rows: dict[str, tuple[Subject, object, Row]] = {}
        """Those made last, with what they were made from."""
        self._listed = 0
        self._passed = 0
        self._told: tuple[str, object] | None = None
        self._told_at = 0.0
        self._shown_key = ""
        self._sought: tuple[str, float] | None = None
        """What is to be selected once it is listed, and until when (monotonic) it is waited for."""

    # What subclasses say.

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        """What is listed, in its own order."""
        raise NotImplementedError

    def fields(self, subject: Subject) -> Mapping[str, str]:
        """What the filter looks at, by the names of `FIELDS`."""
        raise NotImplementedError

    def passes(self, subject: Subject) -> bool:
        """Whether the filter lets it through."""
        return self.filter.matches(self.fields(subject))

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        """A row, one cell for each column."""
        raise NotImplementedError

    def moment_of(self, subject: Subject) -> object:
        """All that its cells tell beside the subject, clocks above all: while both are the same, so is its row. None
        where that is not known, and the row is made anew each time."""
        return None

    def detail(self, subject: Subject, width: int) -> list[Line]:
        """The thing opened."""
        raise NotImplementedError

    def preview(self, subject: Subject, width: int) -> list[Line]:
        """The essence under the list on narrow terminals; empty for none."""
        return []

    def beneath(self, subject: Subject, width: int, rows: int) -> list[Line]:
        """What takes the room below a short list beside its panel: at most `rows` lines; empty for none."""
        return []

    def teach(self, snapshot: Snapshot) -> list[Line]:
        """What an empty list says."""
        return []

    def look_up(self, subject: Subject) -> None:
        """Asks the journal for what the snapshot does not carry about what is selected."""

    def trail(self, subject: Subject) -> str:
        """How the title calls what is opened."""
        return ""

    def untold(self, subject: Subject) -> bool:
        """Whether there is something to read before deciding that no row shows."""
        return isinstance(subject, ApprovalView) and bool(subject.applicants)

    # Composing.

    def compose_prompt(self) -> ComposeResult:
        yield Labelled("filter", Field(id="filter", placeholder="words, field:value, !not"), id="filterbar")

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="split"):
            with Vertical(id="left"):
                yield LiveTable(self.COLUMNS, id="list")
                yield Lines(id="preview")
            yield Lines(id="detail")

    def on_mount(self) -> None:
        self.table.focus()
        memory = self.palyra.memory
        self.filter = parse_filter(memory.filters.get(self.NAME, ""), (*self.FIELDS, *self.ALSO_FIELDS))
        named = memory.orders.get(self.NAME, "")
        self._use_order(next((number for number, order in enumerate(self.ORDERS) if order.name == named), 0))

    @property
    def table(self) -> LiveTable:
        """The list."""
        return self.query_one("#list", LiveTable)

    @property
    def pane(self) -> Lines:
        """What is told about the selected row."""
        return self._lines("detail")

    # Drawing.

    @property
    def subject(self) -> Subject | None:
        return self._subjects.get(self.table.selected_key or "")

    @property
    def roomy(self) -> bool:
        """Whether there is room for every column of its own."""
        return self.table.size.width >= self.ROOMY > 0

    @property
    def known(self) -> tuple[Subject, ...]:
        return tuple(self._subjects.values())

    def draw_body(self, snapshot: Snapshot) -> None:
        everything = self.items(snapshot)
        self._listed = len(everything)
        shown = [item for item in everything if not self.filter or self.passes(item)]
        order = self.ORDERS[self._order]
        if order.key is not None:
            shown = sorted(shown, key=order.key, reverse=order.descending)
        self._passed = len(shown)
        shown = self._fitting(shown)
        self._subjects = {key_of(item): item for item in shown}
        if not shown:
            self.table.set_empty(self._empty(snapshot))
        if self.ROOMY and self.roomy != self.laid_out_roomy:
            self.laid_out_roomy = self.roomy
            self.forget_rows()
            self.table.set_columns(self.ROOMY_COLUMNS if self.roomy else self.COLUMNS, self._make_rows())
        else:
            self.table.update_rows(self._make_rows())
        self._select_sought()
        if self.opened and self._shown_key not in self._subjects:
            self.close_detail()
        self.draw_detail()

    def _fitting(self, shown: list[Subject]) -> list[Subject]:
        """As many as a table takes. What the cursor stands on stays among them, or it would go from row to row at the
        end of a list that grows at its top, and each would be looked up for nothing."""
        if len(shown) > MAX_ROWS and (selected := self.table.selected_key) is not None:
            kept = next((item for item in shown[MAX_ROWS:] if key_of(item) == selected), None)
            if kept is not None:
                return [*shown[: MAX_ROWS - 1], kept]
        return shown[:MAX_ROWS]

    def _make_rows(self) -> list[Row]:
        """Rows of what is listed. Those out of sight are made when they are seen, and their clocks stand still: making
        500 rows anew takes too long."""
        top = round(self.table.scroll_y) - 1
        bottom = top + self.table.size.height + 2
        made: dict[str, tuple[Subject, object, Row]] = {}
        for number, (key, item) in enumerate(self._subjects.items()):
            kept = self._rows.get(key)
            same = kept is not None and (kept[0] is item or kept[0] == item)
            if top <= number <= bottom:
                moment = self.moment_of(item)
                if kept is None or not same or moment is None or kept[1] != moment:
                    kept = (item, moment, Row(key, self.cells_of(item)))
            elif kept is None or not same:
                kept = (item, None, Row(key, partial(self.cells_of, item)))
            made[key] = kept
        self._rows = made
        return [row for _, _, row in made.values()]

    def forget_rows(self) -> None:
        """All rows will be made anew: what they are made from, beside their subjects, has changed."""
        self._rows.clear()

    def _empty(self, snapshot: Snapshot) -> list[Line]:
        if self.filter:
            return [
                line(),
                line(" ", muted("nothing matches "), part(self.filter.text), muted("; esc clears the filter")),
            ]
        return self.teach(snapshot)

    def draw_detail(self) -> None:
        """Detail and preview of what is selected now."""
        subject = self.subject
        self._notice_change(subject)
        pane, preview = self.pane, self._lines("preview")
        # What an empty list teaches is to be copied: it needs the room that a panel about nothing would take.
        self.set_class(subject is None, "-bare")
        if subject is None:
            pane.show([])
            preview.show([])
            preview.display = False
            return
        self.look_up(subject)
        if key_of(subject) != self._shown_key:
            self._shown_key = key_of(subject)
            pane.start_over()
        if self.opened or self.wide:
            pane.show(self.detail(subject, max(LEAST_PANEL, pane.room or self.size.width)))
        under = self._beneath(subject) if self.wide else self.preview(subject, self.size.width)
        preview.display = bool(under)
        if under:
            preview.show([*self.rule(self.query_one("#left").size.width), *under])

    def _beneath(self, subject: Subject) -> list[Line]:
        left = self.query_one("#left").size
        # The heading of the list, a row to breathe, and the rule.
        rows = left.height - len(self._subjects) - 3
        return [] if self.opened or rows < LEAST_BENEATH else self.beneath(subject, left.width, rows)[:rows]

    def rule(self, width: int) -> list[Line]:
        """What parts the list from what stands below it, both of `width` cells."""
        return [(part(glyphs.RULE * width, Tone.MUTED),)]

    def _notice_change(self, subject: Subject | None) -> None:
        told = None if subject is None else (key_of(subject), content_of(subject))
        if told != self._told:
            self._told = told
            self._told_at = self.palyra.clock.monotonic()

    def title_left(self) -> Line:
        parts = [part(" "), strong(self.LABEL)]
        subject = self.subject if self.opened else None
        if subject is not None and (name := self.trail(subject)):
            parts += [muted(f" {glyphs.TRAIL} "), part(name)]
        return tuple(parts)

    def found(self) -> str:
        """How much the filter lets through."""
        return f"{self._passed:,} of {self._listed:,}"

    def beyond(self) -> int:
        """How many more there are than the list has rows for."""
        return self._passed - len(self._subjects)

    def ordered_part(self) -> str:
        """Of which part of all there is the order is, where it is not of all."""
        return ""

    def title_right(self) -> Line:
        order = self.ORDERS[self._order]
        parts: list[Part] = []
        if self._order:
            parts.append(muted(f"by {order.name}{self.ordered_part()}  "))
        if self.filter:
            parts.append(part(f"/ {self.filter.text}  {self.found()}", Tone.ACCENT))
        elif self.snapshot is not None:
            parts += self.summary()
        if self.snapshot is not None and not self.opened and (beyond := self.beyond()):
            parts.insert(0, muted(f"{len(self._subjects):,} listed, {beyond:,} beyond {glyphs.SEPARATOR} "))
        return tuple(parts)

    def summary(self) -> Line:
        """The count at the right of the title."""
        return (muted(str(self._listed)),)

    # Acting.

    def may_act(self) -> bool:
        self._notice_change(self.subject)
        return self.palyra.clock.monotonic() - self._told_at >= GUARD_SECONDS

    def read_in_full(self) -> bool:
        """Whether the operator could see all there is to decide on; if not, shows it and says so."""
        subject = self.subject
        if subject is None:
            return False
        untold = self.untold(subject) and not (self.wide and self.pane.end_seen)
        if not self.opened and (untold or self._is_cut(subject)):
            self.open_detail()
            self.flash("Its row is cut, so here is all of it. Press the key again to act.", Tone.WARN, guard=True)
            return False
        if self.opened and not self.pane.end_seen:
            self.flash("Read to the end first (PgDn), then press the key again.", Tone.WARN, guard=True)
            return False
        return True

    def _is_cut(self, subject: Subject) -> bool:
        row = self.cells_of(subject)
        places = {place.column.key: place for place in arrange(self.COLUMNS, self.table.size.width - MARKER_CELLS)}
        for key in self.ESSENTIAL:
            place = places.get(key)
            if place is None or _cells(row[place.index]) > place.width:
                return True
        return False

    def open_detail(self) -> None:
        """Gives the selected row the whole screen."""
        if self.subject is None or self.opened:
            return
        self.opened = True
        self.set_class(True, "-opened")
        self.set_focus(None)
        self.redraw()

    def close_detail(self) -> None:
        """Goes back to the list."""
        self.opened = False
        self.set_class(False, "-opened")
        self.table.focus()
        self.refresh_frame()

    @property
    def can_go_back(self) -> bool:
        """Whether Esc leads anywhere."""
        return self.filtering or self.opened or bool(self.filter)

    def go_back(self) -> None:
        """One step back: out of the detail, then out of the filter."""
        if self.filtering:
            self.set_filter("")
            self.leave_filter()
        elif self.opened:
            self.close_detail()
            self.redraw()
        elif self.filter:
            self.set_filter("")

    def find(self, key: str) -> None:
        """Selects a thing, letting go of a filter that hides it."""
        if self.filter and key not in self._subjects:
            self.set_filter("")
        self._sought = (key, self.palyra.clock.monotonic() + PATIENCE_SECONDS)
        self._select_sought()

    def _select_sought(self) -> None:
        """A screen that was just brought to the front lists old things for a moment."""
        if self._sought is None:
            return
        key, until = self._sought
        if key in self._subjects:
            self._sought = None
            self.table.select(key)
        elif self.palyra.clock.monotonic() > until:
            self._sought = None
            self.flash("It is not listed here any more.", Tone.WARN)

    def move(self, name: str) -> None:
        """Scrolls the opened detail, or moves the cursor of the list."""
        if not self.opened:
            self._move_cursor(name)
            return
        page = max(1, self.pane.size.height - 1)
        end = len(self.pane.lines)
        steps = {"down": 1, "up": -1, "first": -end, "last": end, "page_down": page, "page_up": -page}
        self.pane.scroll_relative(y=steps[name], animate=False)

    def _move_cursor(self, name: str) -> None:
        table = self.table
        match name:
            case "down" | "up":
                table.action_move(1 if name == "down" else -1)
            case "page_down" | "page_up":
                table.action_page(1 if name == "page_down" else -1)
            case "first":
                table.action_first()
            case _:
                table.action_last()

    def next_order(self) -> None:
        """Sorts by what comes next in ORDERS."""
        self._use_order((self._order + 1) % len(self.ORDERS))
        self.palyra.memory.orders[self.NAME] = self.ORDERS[self._order].name
        self.redraw()

    def _use_order(self, number: int) -> None:
        self._order = number
        order = self.ORDERS[number]
        self.table.mark_sorted(order.column or None, descending=order.descending)

    def copy(self) -> None:
        """Copies the opened detail, or the row; on an empty list what it teaches to paste."""
        subject = self.subject
        if subject is not None and self.opened:
            self.palyra.copy(lines_text(self.pane.lines))
        elif subject is not None:
            texts = [_text(cell).strip() for cell in self.cells_of(subject)]
            self.palyra.copy("  ".join([*(text for text in texts if text), key_of(subject).partition(":")[2]]))
        elif self.snapshot is not None and self.snapshot.engine.gateway_url:
            self.palyra.copy(shell_lines(self.snapshot.engine))
        else:
            self.flash("There is nothing to copy yet: the gateway is not open.", Tone.WARN)

    # Filtering.

    @property
    def filtering(self) -> bool:
        """Whether the filter is being typed."""
        return self.has_class("-filtering")

    def footer(self, width: int) -> Line:
        if not self.filtering:
            return super().footer(width)
        names = " ".join(self.FIELDS)
        keep, clear = part("⏎", Tone.ACCENT, bold=True), part("esc", Tone.ACCENT, bold=True)
        return cut(line(" ", keep, " keep  ", clear, " clear  ", muted(f"fields: {names}")), width)

    def open_filter(self) -> None:
        """Lets a filter be typed."""
        self.set_class(True, "-filtering")
        box = self.query_one("#filter", Field)
        box.value = self.filter.text
        box.focus()
        self.refresh_frame()

    def set_filter(self, text: str) -> None:
        """Shows only what fits the filter."""
        self.filter = parse_filter(text, (*self.FIELDS, *self.ALSO_FIELDS))
        self.palyra.memory.filters[self.NAME] = self.filter.text
        self.redraw()

    def on_input_changed(self, event: Field.Changed) -> None:
        if event.input.id == "filter" and self.filtering:
            self.set_filter(event.value)

    def on_input_submitted(self, event: Field.Submitted) -> None:
        if event.input.id == "filter":
            self.leave_filter()

    def leave_filter(self) -> None:
        """Keeps the filter and goes back to the list."""
        self.set_class(False, "-filtering")
        self.table.focus()
        self.refresh_frame()

    # What the table tells.

    def on_live_table_selected(self, event: LiveTable.Selected) -> None:
        event.stop()
        # What an update selected was drawn with that update.
        if event.key is None or event.key != self._shown_key:
            self.redraw()

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        event.stop()
        self.open_detail()


def _cells(value: CellValue) -> int:
    return cells(_text(value))


def _text(value: CellValue) -> str:
    if isinstance(value, Cell):
        return "".join(piece.text for piece in value.parts)
    return value.text if isinstance(value, Part) else value
