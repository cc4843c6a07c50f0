"""Audit: what people and Palyra did, newest first, and whether the chain that vouches for it is whole."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from palyra.control.audit_queries import AuditEntry, AuditLogPage, AuditLogQuery, told_data
from palyra.control.queries import AuditAnswer
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.audit_window import AuditWindow
from palyra.tui.commands.action import bindings
from palyra.tui.commands.audit import AUDIT
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.audit import audit_lines
from palyra.tui.dialogs.export import AuditExport, ExportDialog
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.verifying import Verifying
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, wrap
from palyra.tui.widgets.live_table import MAX_ROWS, LiveTable
from palyra.tui.widgets.rows import CellValue

COLUMNS = (
    Column("at", safe("at"), 10),
    Column("who", safe("who"), 10, flex=1, most=26),
    Column("what", safe("what"), 20, flex=1, most=30),
    Column("subject", safe("to"), 11, flex=1, most=28),
    Column("told", safe("told"), 10, flex=3, priority=1),
    Column("seq", safe("entry"), 8, align="right", priority=2),
)
PREVIEW_LINES = 4
AHEAD = 5
"""So many rows before the end the next page is asked for."""


class AuditScreen(ListScreen):
    """The newest entries come by themselves, older ones as the cursor nears the end."""

    NAME = "audit"
    LABEL = "Audit"
    TOPICS: ClassVar[tuple[Topic, ...]] = ()
    COLUMNS = COLUMNS
    FIELDS = ("who", "kind", "what", "to", "told", "entry")
    ORDERS = (
        Order("newest"),
        Order("who", "who", lambda entry: entry.actor),
        Order("what", "what", lambda entry: (entry.kind, entry.verb)),
    )
    ACTIONS = (*AUDIT, *OPENING, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.window = AuditWindow(MAX_ROWS)
        self.verdict: AuditAnswer | None = None
        self._verified_at = 0
        self._check: Verifying | None = None
        self._known_version = -1
        self._place = 0
        """Which row was selected last, counted from the top."""
        self._newest: Inquiry[tuple[int, AuditLogPage]] | None = None
        self._further: Inquiry[tuple[int, AuditLogPage]] | None = None
        self._upward = False
        """Whether what is asked for lies above the window."""

    # Asking.

    def take(self, snapshot: Snapshot) -> None:
        super().take(snapshot)
        if snapshot.version != self._known_version:
            self._known_version = snapshot.version
            self._ask_newest()

    def show_decisions(self, shown: bool) -> None:
        """Lists decisions about requests too, or leaves them out."""
        self.window.deeds = not shown
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.window.begin_anew()
        self.redraw()
        self._ask_newest()

    async def _page(self, query: AuditLogQuery) -> tuple[int, AuditLogPage]:
        """A page, and which beginning it was asked for after."""
        age = self.window.age
        return age, await self.palyra.control.ask(query)

    def _ask_newest(self) -> None:
        if self._newest is None:
            self._newest = Inquiry(self.palyra.spawn, self._add_newest, self._fail)
        self._newest.ask(lambda: self._page(self.window.ask_newest()))

    def _add_newest(self, answer: tuple[int, AuditLogPage]) -> None:
        age, page = answer
        if age == self.window.age:
            self.window.add_newest(page)
            self.redraw()
            self._ask_near_end()

    def _ask_near_end(self) -> None:
        """Asks for what lies beyond the end of the window that the cursor is near; filtered, the window does not move:
        what matches would be let go again while more is sought."""
        window, keys = self.window, list(self._subjects)
        if self._further is not None and self._further.busy:
            return
        full = bool(self.filter) and len(window) >= MAX_ROWS
        if window.older is not None and not full and self.table.selected_key in keys[-AHEAD:]:
            self._ask_further(window.ask_older(), upward=False)
        elif window.slid and self.table.selected_key in keys[:AHEAD]:
            self._ask_further(window.ask_newer(), upward=True)

    def _ask_further(self, query: AuditLogQuery, *, upward: bool) -> None:
        self._upward = upward
        if self._further is None:
            self._further = Inquiry(self.palyra.spawn, self._add_further, self._fail)
        self._further.ask(lambda: self._page(query))

    def _add_further(self, answer: tuple[int, AuditLogPage]) -> None:
        age, page = answer
        window = self.window
        if age != window.age:
            return
        if not self._upward:
            window.add_older(page)
        elif window.add_newer(page):
            self._ask_further(window.ask_newer(), upward=True)
        elif not window.slid:
            self._ask_newest()
        self.redraw()
        self.palyra.call_later(self._ask_near_end)

    def on_live_table_selected(self, event: LiveTable.Selected) -> None:
        super().on_live_table_selected(event)
        before, keys = self._place, list(self._subjects)
        self._place = keys.index(event.key) if event.key in self._subjects else 0
        if self.window.slid and self._place == 0 and before > self.table.size.height and not self.filter:
            # The first entry is meant, not the first of those that are held.
            self._begin_anew()
        else:
            self._ask_near_end()

    def _fail(self, error: PalyraError) -> None:
        self.flash(f"The audit could not be read: {error}", Tone.WARN)

    def verify(self) -> None:
        """Follows the whole chain beside the screen; what it says stays in the title."""
        if self._check is None:
            palyra = self.palyra
            self._check = Verifying(
                palyra.control, palyra.spawn, palyra.clock, self._show_verdict, self._fail, self.refresh_frame
            )
        self._check.begin()
        self.flash("Following the chain from its first entry; you can go on working.")

    @property
    def verifying(self) -> bool:
        return self._check is not None and self._check.under_way

    @property
    def can_go_back(self) -> bool:
        return super().can_go_back or self.verifying

    def go_back(self) -> None:
        """One step back: out of what is open, then out of a check that is under way."""
        if super().can_go_back or self._check is None:
            super().go_back()
        else:
            self._check.stop()
            self.flash("The check was stopped; it says nothing of the chain.")

    def _show_verdict(self, answer: AuditAnswer) -> None:
        self.verdict, self._verified_at = answer, self.now
        broken = "" if answer.first_bad is None else f"Broken at entry {answer.first_bad:,} of "
        said = f"{broken}{plural(answer.rows, 'entry', 'entries')}: {answer.message}."
        self.flash(said, Tone.GOOD if answer.ok else Tone.BAD)
        self.forget_rows()
        self.redraw()

    # Drawing.

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        return self.window.entries

    def fields(self, subject: Subject) -> Mapping[str, str]:
        assert isinstance(subject, AuditEntry)
        return {
            "who": subject.actor,
            "kind": subject.kind,
            "what": f"{subject.kind} {subject.verb}",
            "to": subject.subject,
            "told": told_data(subject),
            "entry": str(subject.seq),
        }

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, AuditEntry)
        what = f"{subject.kind} {subject.verb}".strip().replace("_", " ")
        own, bad = subject.actor == "palyra", subject.seq == self._first_bad
        return (
            part(show.moment(subject.at, self.zone, self.now), Tone.MUTED),
            part(subject.actor, Tone.MUTED if own else Tone.ACCENT),
            part(f"{glyphs.BAD} {what}", Tone.BAD) if bad else part(what),
            part(show.short_id(subject.subject) if len(subject.subject) == 26 else subject.subject),
            part(told_data(subject), Tone.MUTED),
            part(f"{subject.seq:,}", Tone.BAD if bad else Tone.MUTED),
        )

    def detail(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, AuditEntry)
        fault = self.verdict.message if self.verdict is not None and subject.seq == self._first_bad else ""
        return audit_lines(subject, fault, self.zone, width)

    @property
    def _first_bad(self) -> int | None:
        """The entry from which on the chain cannot be trusted."""
        return None if self.verdict is None else self.verdict.first_bad

    def preview(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, AuditEntry)
        whole = f"{subject.actor}: {subject.kind} {subject.verb}".strip().replace("_", " ")
        told = wrap(told_data(subject), width - 1, indent=" ", tone=Tone.MUTED)
        return [line(" ", part(whole), muted(f"  {subject.subject}")), *told[:PREVIEW_LINES]]

    def teach(self, snapshot: Snapshot) -> list[Line]:
        return [
            BLANK,
            line(" ", part("Nothing is written down yet.")),
            line(" ", muted("What people decide, edit and repair comes here, each entry with a digest")),
            line(" ", muted("that vouches for it and for all before it.")),
        ]

    def trail(self, subject: Subject) -> str:
        return f"entry {subject.seq:,}" if isinstance(subject, AuditEntry) else ""

    def summary(self) -> Line:
        more = "" if self.window.older is None and not self.window.slid else "+"
        what = "" if self.window.deeds else f"with decisions {glyphs.SEPARATOR} "
        shown = muted(f"{what}{self._listed:,}{more} shown")
        if self._check is not None and self._check.under_way:
            return self._check.line()
        if self.verdict is None:
            return (muted(f"not verified {glyphs.SEPARATOR} "), shown)
        word = f"chain {'whole' if self.verdict.ok else 'broken'} at {show.clock(self._verified_at, self.zone)}"
        return (part(word, Tone.GOOD if self.verdict.ok else Tone.BAD), muted(f" {glyphs.SEPARATOR} "), shown)

    # Exporting.

    def export_dialog(self) -> ExportDialog:
        """Asks how the audit is to be written out."""
        assert self.snapshot is not None, "offered only with entries at hand"
        palyra = self.palyra
        work = AuditExport(palyra.control, AuditLogQuery(deeds=self.window.deeds), self.window.newest)
        return ExportDialog(work, palyra.spawn, palyra.clock, palyra.copy, state_dir=self.snapshot.engine.state_dir)
